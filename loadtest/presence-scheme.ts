import type { Status } from '../src/protocol/presence-state.ts';
import { randomName } from '../src/random-name.ts';

/** One connection, of one user with one device, in one room. */
export interface SimulatedSession {
  readonly user: string;
  readonly device: string;
  readonly session: string;
  readonly room: string;
}

/** One replica of a way to keep presence in Redis. */
export interface SchemeReplica {
  /** They connect, each into its room. Resolves when others can see them. */
  join(sessions: readonly SimulatedSession[]): Promise<void>;
  setStatus(session: SimulatedSession, status: Status): Promise<void>;
  /** Who is in a room, by name. */
  readRoom(room: string): Promise<readonly string[]>;
  /** Wants to hear of a room's changes, where the scheme tells any. */
  watch(room: string): Promise<void>;
  /** Is no more, and says nothing about it. */
  crash(): void;
}

/** Names are as long as in life: a session's and a device's are those that the gateway makes. */
export function simulate(index: number, room: string): SimulatedSession {
  return {
    user: `user-${String(index).padStart(6, '0')}`,
    device: `device-${randomName(8, 'hex')}`,
    session: randomName(12, 'base64url'),
    room,
  };
}

export function roomName(index: number): string {
  return `room-${String(index).padStart(5, '0')}`;
}
