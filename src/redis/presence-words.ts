import type { DeviceState, PresenceBatch, RoomChange, SessionChange } from '../presence/presence-store.ts';
import type { Status, UserPresence, UserState } from '../protocol/presence-state.ts';

const LETTERS: Readonly<Record<Status, string>> = { dnd: 'd', online: 'o', away: 'a' };
const STATUSES: Readonly<Record<string, UserState['status']>> = { d: 'dnd', o: 'online', a: 'away', f: 'offline' };

/** What changes of one user: sessions that are there and that are gone, rooms joined and left. */
interface UserChanges {
  s: (readonly [string, string, string, number, string, string, 1?])[];
  g: (readonly [string, number, string?])[];
  m: string[];
  d: string[];
}

/** Changes of one user, as the scripts read them. */
export interface ChangesOfUser {
  readonly user: string;
  readonly changes: UserChanges;
  /** How many they are. */
  readonly size: number;
}

/** A batch by users, so that it can be written in parts of which each is a whole for whom it is about. */
export function byUser({ sessions, members }: PresenceBatch): ChangesOfUser[] {
  const users = new Map<string, UserChanges>();
  const of = (user: string): UserChanges => {
    let changes = users.get(user);
    if (changes === undefined) {
      changes = { s: [], g: [], m: [], d: [] };
      users.set(user, changes);
    }
    return changes;
  };
  for (const change of sessions) addSession(of(change.user), change);
  for (const { room, user, present } of members) of(user)[present ? 'm' : 'd'].push(room);
  return [...users].map(([user, changes]) => ({ user, changes, size: sizeOf(changes) }));
}

/** Parts of at most so many changes, or of one user. */
export function* parts(all: readonly ChangesOfUser[], changesMax: number): Generator<string> {
  let part: (readonly [string, UserChanges])[] = [];
  let size = 0;
  for (const { user, changes, size: more } of all) {
    if (size > 0 && size + more > changesMax) {
      yield JSON.stringify(part);
      part = [];
      size = 0;
    }
    part.push([user, changes]);
    size += more;
  }
  if (size > 0) yield JSON.stringify(part);
}

/** A user's state as the scripts give it. */
export function stateOf(user: string, status: string, devices: number, text: string): UserState {
  return { user, status: STATUSES[status] ?? 'offline', ...(text !== '' && { text }), devices };
}

/** A user's devices as the scripts give them. */
export function deviceStatesOf(json: string): readonly DeviceState[] {
  const rows = JSON.parse(json) as (readonly [string, string, string, string, 0 | 1])[];
  return rows.map(([device, letter, text, atMs, isConnected]) => {
    // Who is there has a status that was given.
    const status = STATUSES[letter] as Status;
    return { device, status, ...(text !== '' && { text }), atMs: Number(atMs), isConnected: isConnected === 1 };
  });
}

/** A user's state as it is stored: `status|devices|text`, or nothing where there is no session. */
export function readState(user: string, seen: string): UserState {
  if (seen === '') return stateOf(user, 'f', 0, '');
  const [status = 'f', devices = '0'] = seen.split('|', 2);
  return stateOf(user, status, Number(devices), seen.slice(status.length + devices.length + 2));
}

interface ToldState {
  readonly user: string;
  readonly status: string;
  readonly devices: number;
  readonly text?: string;
}

interface RoomMessage {
  readonly v: string;
  /** The version that the room had before; 0: nobody was there. */
  readonly p: string;
  readonly c: number;
  readonly j?: readonly ToldState[];
  readonly l?: readonly ToldState[];
  readonly g?: readonly ToldState[];
  /** More than can be told by name. */
  readonly n?: 1;
  readonly x?: 1;
}

/** A change of a room as it was published, with the version before it. */
export function readRoomMessage(room: string, message: string): { change: RoomChange; before: number } {
  const { v, p, c, j = [], l = [], g = [], n, x } = JSON.parse(message) as RoomMessage;
  const states = (list: readonly ToldState[]) => list.map(toldState);
  const names = n === 1 ? null : { joined: states(j), left: states(l), changed: states(g) };
  return { change: { room, version: Number(v), count: c, names, partial: x === 1 }, before: Number(p) };
}

/** A change of a user as it was published; `partial`: of other devices it may not have been known yet. */
export function readUserMessage(message: string): { readonly user: UserPresence; readonly partial: boolean } {
  const told = JSON.parse(message) as ToldState & { readonly v: string; readonly t: number; readonly x?: 1 };
  return { user: { ...toldState(told), lastSeenMs: told.t, version: Number(told.v) }, partial: told.x === 1 };
}

function toldState({ user, status, devices, text = '' }: ToldState): UserState {
  return stateOf(user, status, devices, text);
}

function addSession({ s, g }: UserChanges, { device, session, state, atMs, isNew, isLeaving }: SessionChange): void {
  if (state === null) {
    g.push(isLeaving ? [session, atMs, device] : [session, atMs]);
    return;
  }
  const { status, text = '', isCutOff } = state;
  const fields = [session, device, LETTERS[status], atMs, isCutOff ? 'c' : '', text] as const;
  s.push(isNew ? [...fields, 1] : fields);
}

function sizeOf({ s, g, m, d }: UserChanges): number {
  return s.length + g.length + m.length + d.length;
}

/** What an unwritten batch knows that what is so by now does not: of sessions that have ended, when. */
export function withEnds(everything: PresenceBatch, unwritten: PresenceBatch): PresenceBatch {
  const there = new Set(everything.sessions.map(({ session }) => session));
  const ended = unwritten.sessions.filter(({ session, state }) => state === null && !there.has(session));
  return { sessions: [...ended, ...everything.sessions], members: everything.members };
}
