import type { PresenceMode } from '../protocol/commands.ts';
import type { Gap, Position } from '../protocol/position.ts';
import type { Message, Signal } from './messages.ts';
import type { Published } from './publishes.ts';
import type { RosterChange } from './roster.ts';

/** `idle` is not asked to be joined; `joining` waits for the reply, or for a session. */
export type RoomState = 'idle' | 'joining' | 'catching_up' | 'live';

export interface JoinOptions {
  /** The last so many messages, handed on at first; 0–300. */
  readonly history?: number;
  /** Messages behind this position, as of an earlier run of the program; wins over `history`. */
  readonly since?: Position;
  /** What to hear of who is here; default: nothing. */
  readonly presence?: PresenceMode;
  /** false: to not be seen as present. */
  readonly visible?: boolean;
}

export interface RoomEvents {
  /** Each message once, in order. */
  message: Message;
  /** Messages that may have existed between the two positions cannot be had. */
  gap: Gap;
  signal: Signal;
  /** `count` and `users` are up to date already. Empty lists: the count alone has changed. */
  presence: RosterChange;
  state: RoomState;
  /** The server ended it: with the code of its push (`forbidden`, `kicked`) or of a refused join. */
  left: { readonly code: string; readonly message: string };
}

/** A promise of a publish, with the id under which the message will be pushed. */
export type Publish = Promise<Published> & { readonly mid: string };
