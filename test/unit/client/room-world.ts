import type { JoinOptions, Room } from '../../../src/client/client.ts';
import { settled } from './fake-environment.ts';
import { onlineWorld, outcomeOf, page, type SoFar, type World, waited } from './virtual-server.ts';

export interface RoomWorld extends World {
  readonly room: Room;
  readonly joined: SoFar<void>;
  /** What the room has told: offsets of messages, gaps as `from..to`, states, and `left CODE`. */
  readonly told: (number | string)[];
}

/** A client with a session, whose join of `tea` waits for its answer. */
export async function joiningWorld(
  options: JoinOptions = {},
  clientOptions: Parameters<typeof onlineWorld>[0] = {},
): Promise<RoomWorld> {
  const world = await onlineWorld(clientOptions);
  const room = world.client.room('tea');
  const told: RoomWorld['told'] = [];
  room.on('message', ({ offset }) => told.push(offset));
  room.on('gap', ({ from, to }) => told.push(`${from?.offset ?? ''}..${to.offset}`));
  room.on('state', (state) => told.push(state));
  room.on('left', ({ code }) => told.push(`left ${code}`));
  const joined = outcomeOf(room.join(options));
  await settled();
  return { ...world, room, joined, told };
}

/** One that is live behind an offset. */
export async function liveWorld(
  offset = 0,
  options: JoinOptions = {},
  clientOptions: Parameters<typeof onlineWorld>[0] = {},
): Promise<RoomWorld> {
  const world = await joiningWorld(options, clientOptions);
  await world.server.ok('join', page([], offset));
  world.told.length = 0;
  return world;
}

/** Loses the session and gets another one, in which the join waits for its answer. */
export async function resume(world: RoomWorld): Promise<void> {
  await world.server.end();
  await waited(world);
  await world.server.accept();
}

/** Commands of this session about the room, in order. */
export function opsOf({ server }: World): string[] {
  return server.heard.filter(({ room }) => room === 'tea').map(({ op }) => op);
}
