import type { Status, UserState } from '../../src/protocol/presence-state.ts';
import type { Change } from './presence-store-fixture.ts';

/** The truth: who is connected where. */
export interface Session {
  readonly session: string;
  readonly user: string;
  readonly device: string;
  readonly rooms: Set<string>;
  status: Status;
  text: string | undefined;
  atMs: number;
  /** Its connection has ended, and it is in its grace. */
  isCutOff?: true;
}

/** By what they are about. */
export type Changes = Map<string, Change>;

export function sessionKey(session: string): string {
  return `session ${session}`;
}

export function memberKey(room: string, user: string): string {
  return `member ${room} ${user}`;
}

export function keyOf(change: Change): string {
  return 'session' in change ? sessionKey(change.session) : memberKey(change.room, change.user);
}

/** What a replica's sessions come to: each of them, and each user once a room. */
export function changesOf(sessions: readonly Session[]): Changes {
  const changes: Changes = new Map();
  for (const { user, device, session, status, text, isCutOff, atMs, rooms } of sessions) {
    const state = { status, ...(text !== undefined && { text }), ...(isCutOff && { isCutOff }) };
    changes.set(sessionKey(session), { user, device, session, state, atMs });
    for (const room of rooms) changes.set(memberKey(room, user), { room, user, present: true });
  }
  return changes;
}

/** The changes that lead from one to the other. */
export function difference(from: Changes, to: Changes, nowMs: number): Changes {
  const changes: Changes = new Map();
  for (const [key, change] of to) if (!isSame(from.get(key), change)) changes.set(key, change);
  for (const [key, change] of from) {
    if (to.has(key)) continue;
    const ended = 'session' in change ? { ...change, state: null, atMs: nowMs } : { ...change, present: false };
    changes.set(key, ended);
  }
  return changes;
}

function isSame(a: Change | undefined, b: Change): boolean {
  if (a === undefined || 'room' in a || 'room' in b) return a !== undefined;
  const [x, y] = [a.state, b.state];
  return a.atMs === b.atMs && x?.status === y?.status && x?.text === y?.text && x?.isCutOff === y?.isCutOff;
}

/** Of each of a user's devices the session that was set last, in the order of the devices' names. */
export function tellingSessions(user: string, all: readonly Session[]): Session[] {
  const own = all.filter((each) => each.user === user);
  const bySetting = (x: Session, y: Session) => y.atMs - x.atMs || (x.session < y.session ? -1 : 1);
  const names = [...new Set(own.map(({ device }) => device))].sort();
  return names.flatMap((device) =>
    own
      .filter((each) => each.device === device)
      .sort(bySetting)
      .slice(0, 1),
  );
}

/** What a user's sessions come to: of each device the one that was set last, of those the strongest. */
export function stateOf(user: string, all: readonly Session[]): UserState {
  const devices = tellingSessions(user, all);
  for (const status of ['dnd', 'online', 'away'] as const) {
    // The first device by name where the times are the same: they are in that order, and stay so.
    const [telling] = devices.filter((each) => each.status === status).sort((x, y) => y.atMs - x.atMs);
    if (telling === undefined) continue;
    const { text } = telling;
    const state = { user, status, devices: devices.length };
    return text === undefined ? state : { ...state, text };
  }
  return { user, status: 'offline', devices: 0 };
}
