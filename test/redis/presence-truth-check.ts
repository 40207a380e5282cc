import { isDeepStrictEqual } from 'node:util';
import type { DeviceState } from '../../src/presence/presence-store.ts';
import type { UserPresence, UserState } from '../../src/protocol/presence-state.ts';
import { everybodyIn } from '../contract/presence-store-fixture.ts';
import { type Session, stateOf, tellingSessions } from '../contract/presence-truth.ts';
import type { PresenceClient } from './presence-client.ts';

/** So small that rooms have several pages. */
const PAGE = 3;

/** In what the clients see something else than what is so; undefined: in nothing. */
export async function mismatchWithTruth(
  clients: readonly PresenceClient[],
  users: readonly string[],
  rooms: readonly string[],
): Promise<string | undefined> {
  const sessions = clients.flatMap((client) => client.sessions);
  const truth = new Truth(sessions, users, rooms);
  for (const client of clients) {
    if (!client.isSettled) return `${client.name} has not written all, or not read what it watches`;
    try {
      const mismatch = (await client.run(() => mismatchOfReads(client, truth))) ?? mismatchOfWatches(client, truth);
      if (mismatch !== undefined) return `${client.name}: ${mismatch}`;
    } catch (error) {
      return `${client.name} can't read: ${(error as Error).message}`;
    }
  }
  return undefined;
}

class Truth {
  readonly users: readonly string[];
  readonly rooms: readonly string[];
  readonly #sessions: readonly Session[];

  constructor(sessions: readonly Session[], users: readonly string[], rooms: readonly string[]) {
    this.#sessions = sessions;
    this.users = users;
    this.rooms = rooms;
  }

  stateOf(user: string): UserState {
    return stateOf(user, this.#sessions);
  }

  everybodyIn(room: string): UserState[] {
    const isThere = (user: string) => this.#sessions.some((each) => each.user === user && each.rooms.has(room));
    return this.users.filter(isThere).map((user) => this.stateOf(user));
  }

  deviceStatesOf(user: string): DeviceState[] {
    const connected = this.#sessions.filter((each) => each.user === user && !each.isCutOff);
    return tellingSessions(user, this.#sessions).map(({ device, status, text, atMs }) => {
      const isConnected = connected.some((each) => each.device === device);
      return { device, status, ...(text !== undefined && { text }), atMs, isConnected };
    });
  }

  isTogether(user: string): boolean {
    return this.#sessions.some((each) => each.user === user && each.rooms.size > 0);
  }
}

async function mismatchOfReads({ store }: PresenceClient, truth: Truth): Promise<string | undefined> {
  for (const user of await store.readUsers(truth.users, truth.rooms)) {
    const { isTogether, partial } = user;
    const deviceStates = [...user.deviceStates].sort((x, y) => (x.device < y.device ? -1 : 1));
    const read = { ...stateIn(user), deviceStates, isTogether, partial };
    const expected = {
      ...truth.stateOf(user.user),
      deviceStates: truth.deviceStatesOf(user.user),
      isTogether: truth.isTogether(user.user),
      partial: false,
    };
    if (!isDeepStrictEqual(read, expected)) return differ('reads', user.user, read, expected);
  }
  for (const room of truth.rooms) {
    const expected = truth.everybodyIn(room);
    const read = await everybodyIn(store, room, PAGE);
    if (!isDeepStrictEqual(read, expected)) return differ('reads', `room ${room}`, read, expected);
    const { count, partial } = await store.readRoom(room, undefined, 1);
    if (count !== expected.length || partial) return `reads a count of ${count} of room ${room}, partial: ${partial}`;
  }
  return undefined;
}

function mismatchOfWatches({ rooms, users }: PresenceClient, truth: Truth): string | undefined {
  for (const { room, users: known, count, isPartial } of rooms) {
    const expected = truth.everybodyIn(room);
    const seen = [...known.values()].sort((x, y) => (x.user < y.user ? -1 : 1));
    if (!isDeepStrictEqual(seen, expected)) return differ('was told of', `room ${room}`, seen, expected);
    if (count !== expected.length || isPartial) return `was told a count of ${count} of room ${room}: ${isPartial}`;
  }
  for (const { user, state } of users) {
    const expected = truth.stateOf(user);
    const seen = state === undefined ? undefined : stateIn(state);
    if (!isDeepStrictEqual(seen, expected)) return differ('was told of', user, seen, expected);
  }
  return undefined;
}

function stateIn({ user, status, devices, text }: UserPresence): UserState {
  return { user, status, devices, ...(text !== undefined && { text }) };
}

function differ(how: string, what: string, seen: unknown, expected: unknown): string {
  return `${how} ${what}: ${JSON.stringify(seen)}, which is ${JSON.stringify(expected)}`;
}
