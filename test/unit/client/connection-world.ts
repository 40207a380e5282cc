import { expect } from 'vitest';
import { Connection, type End, type Outcome, type Said } from '../../../src/client/connection.ts';
import { FakeEnvironment, type FakeSocket } from './fake-environment.ts';

const CONNECT_TIMEOUT_MS = 15_000;

export interface ConnectionWorld {
  readonly environment: FakeEnvironment;
  readonly connection: Connection;
  readonly socket: FakeSocket;
  readonly told: (string | Said | End)[];
}

export function begin(ticket: string | null = null): ConnectionWorld {
  const environment = new FakeEnvironment();
  const told: ConnectionWorld['told'] = [];
  const connection = new Connection(environment, 'ws://gateway/ws', ticket, CONNECT_TIMEOUT_MS, {
    onOpen: () => told.push('open'),
    onPush: (push) => {
      if (push.push === 'broken') throw new Error('a broken push');
      told.push(push);
    },
    onEnd: (end) => told.push(end),
  });
  return { environment, connection, socket: environment.socket, told };
}

/** One whose socket is open. */
export function beginOpen(): ConnectionWorld {
  const world = begin();
  world.socket.opens();
  world.told.length = 0;
  return world;
}

/** What became of a call, as it comes. */
export function call(connection: Connection, members: string): Outcome[] {
  const outcomes: Outcome[] = [];
  expect(connection.call(members, (outcome) => outcomes.push(outcome))).toBe(true);
  return outcomes;
}

export function endOf({ told }: ConnectionWorld): End | undefined {
  return told.find((each): each is End => typeof each === 'object' && 'isFinal' in each);
}
