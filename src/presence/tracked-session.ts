import { Timed } from '../limits/timer-wheel.ts';
import type { Status } from '../protocol/presence-state.ts';
import { type Few, includes, members } from './few.ts';
import type { SessionChange } from './presence-store.ts';

/** One session as others see it: its device, what its person says, and the rooms that it is seen in. */
export class TrackedSession extends Timed {
  readonly user: TrackedUser;
  readonly device: string;
  readonly session: string;
  status: Status = 'online';
  text: string | undefined;
  /** Milliseconds since 1970: when the status was set. */
  statusMs = Date.now();
  /** Milliseconds since 1970 at which its connection ended; 0 while it is connected. */
  endedMs = 0;
  rooms: Few<string>;
  /** `lingering`: in its grace. */
  phase: 'connected' | 'lingering' | 'gone' = 'connected';
  /** It has ended for good, and not only been cut off. */
  hasLeft = false;
  /** No write has had it yet. */
  isNew = true;
  /** Milliseconds since 1970 at which it connected, if its device was on another replica then; else 0. */
  movedMs = 0;
  readonly #onGraceOver: (session: TrackedSession) => void;

  constructor(user: TrackedUser, device: string, session: string, onGraceOver: (session: TrackedSession) => void) {
    super();
    this.user = user;
    this.device = device;
    this.session = session;
    this.#onGraceOver = onGraceOver;
  }

  goOnWith(status: Status, text: string | undefined, statusMs: number): void {
    this.status = status;
    this.text = text;
    this.statusMs = statusMs;
  }

  onDue(): void {
    this.#onGraceOver(this);
  }
}

export interface TrackedUser {
  readonly name: string;
  /** In the order in which they connected. */
  sessions: Few<TrackedSession>;
}

/** Of one or more. */
export function firstEnded(sessions: readonly TrackedSession[]): TrackedSession {
  return sessions.reduce((first, each) => (each.endedMs < first.endedMs ? each : first));
}

/** Sessions of a device that are in their grace. */
export function lingeringOf(user: TrackedUser, device: string): readonly TrackedSession[] {
  return members(user.sessions).filter((each) => each.phase === 'lingering' && each.device === device);
}

export function isSeen(user: TrackedUser, room: string): boolean {
  return members(user.sessions).some(({ rooms }) => includes(rooms, room));
}

/** What there is to say of a session now. */
export function changeOf(tracked: TrackedSession): SessionChange {
  const { user, device, session, status, text, phase, hasLeft } = tracked;
  const of = { user: user.name, device, session };
  if (phase === 'gone') return { ...of, state: null, atMs: tracked.endedMs, ...(hasLeft && { isLeaving: true }) };
  const isCutOff = phase === 'lingering';
  const state = { status, ...(text !== undefined && { text }), ...(isCutOff && { isCutOff }) };
  // One that was cut off before the store knew of it takes no other's place: its device may be elsewhere by now.
  return { ...of, state, atMs: tracked.statusMs, ...(tracked.isNew && !isCutOff && { isNew: true }) };
}
