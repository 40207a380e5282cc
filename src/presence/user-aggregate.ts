import type { Status, UserState } from '../protocol/presence-state.ts';

/** One session's share of what its user is. */
export interface SessionStatus {
  readonly device: string;
  readonly session: string;
  readonly status: Status;
  readonly text?: string;
  /** Milliseconds since 1970: when the status was set. */
  readonly atMs: number;
}

const STRENGTH: Readonly<Record<Status, number>> = { dnd: 3, online: 2, away: 1 };

/** A user as others see them. Depends on the sessions alone, not on their order. Cost: O(sessions). */
export function aggregate(user: string, sessions: readonly SessionStatus[]): UserState {
  const [first] = sessions;
  if (first === undefined) return { user, status: 'offline', devices: 0 };
  if (sessions.length === 1) return stateOf(user, first, 1);
  const [telling, ...others] = tellingOf(sessions);
  const strongest = others.reduce((a, b) => (outweighs(b, a) ? b : a), telling as SessionStatus);
  return stateOf(user, strongest, others.length + 1);
}

/** For each device the session that tells what it is. */
export function tellingOf<T extends SessionStatus>(sessions: readonly T[]): readonly T[] {
  const devices = new Map<string, T>();
  for (const session of sessions) {
    const known = devices.get(session.device);
    if (known === undefined || replaces(session, known)) devices.set(session.device, session);
  }
  return [...devices.values()];
}

/** Whether others see no difference between two states of one user. */
export function seenAlike(a: UserState, b: UserState): boolean {
  return a.status === b.status && a.text === b.text && a.devices === b.devices;
}

/** How many devices the sessions are of. */
export function countDevices(sessions: readonly SessionStatus[]): number {
  return sessions.length < 2 ? sessions.length : new Set(sessions.map(({ device }) => device)).size;
}

/** Without a key `text` where there is none. */
function stateOf(user: string, { status, text }: SessionStatus, devices: number): UserState {
  return text === undefined ? { user, status, devices } : { user, status, text, devices };
}

/** Within a device: the status set later, then the first by name, so that all who aggregate agree. */
function replaces(a: SessionStatus, b: SessionStatus): boolean {
  return a.atMs === b.atMs ? a.session < b.session : a.atMs > b.atMs;
}

/** Over devices: the stronger status, then the one set later, then the first by name. */
function outweighs(a: SessionStatus, b: SessionStatus): boolean {
  if (a.status !== b.status) return STRENGTH[a.status] > STRENGTH[b.status];
  if (a.atMs !== b.atMs) return a.atMs > b.atMs;
  return a.device < b.device;
}
