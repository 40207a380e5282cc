import type { Position } from './position.ts';
import type { Status } from './presence-state.ts';

/** What a client may ask. Fields were checked by the reader; see docs/PROTOCOL.md for their meaning. */
export type Command =
  | ConnectCommand
  | RefreshCommand
  | JoinCommand
  | LeaveCommand
  | PublishCommand
  | SignalCommand
  | PresenceCommand
  | WatchCommand
  | UnwatchCommand
  | StatusCommand
  | HistoryCommand
  | PingCommand
  | QuitCommand
  | PongCommand;

interface Identified {
  /** An integer from 0 to 2^53-1 that the client picked. */
  readonly id: number;
}

export interface ConnectCommand extends Identified {
  readonly op: 'connect';
  readonly token?: string;
  readonly user?: string;
  readonly device?: string;
  readonly client?: string;
  /** false: the client of a raw TCP connection wants no heartbeats. */
  readonly heartbeat?: boolean;
}

export interface RefreshCommand extends Identified {
  readonly op: 'refresh';
  readonly token: string;
}

/** What a session wants to hear of a room's presence. */
export const PRESENCE_MODES = ['full', 'count', 'off'] as const;
export type PresenceMode = (typeof PRESENCE_MODES)[number];

export interface JoinCommand extends Identified {
  readonly op: 'join';
  readonly room: string;
  readonly since?: Position;
  readonly history?: number;
  /** Absent: `off`. */
  readonly presence?: PresenceMode;
  /** false: the session is not seen as present. */
  readonly visible?: boolean;
  /** A person in text mode joins also where hearing of presence is not granted. No client can send it. */
  readonly presenceIfGranted?: true;
}

export interface LeaveCommand extends Identified {
  readonly op: 'leave';
  readonly room: string;
}

export interface PublishCommand extends Identified {
  readonly op: 'publish';
  readonly room: string;
  readonly mid: string;
  /** JSON text as it came, but for raw line breaks between its tokens. */
  readonly data: string;
  readonly after?: string;
}

export interface SignalCommand extends Identified {
  readonly op: 'signal';
  readonly room: string;
  /** JSON text as it came, but for raw line breaks between its tokens. */
  readonly data: string;
}

/** Either `room`, with `after` the name behind which the page begins, or `user`. */
export interface PresenceCommand extends Identified {
  readonly op: 'presence';
  readonly room?: string;
  readonly after?: string;
  readonly user?: string;
}

export interface WatchCommand extends Identified {
  readonly op: 'watch';
  readonly users: readonly string[];
}

export interface UnwatchCommand extends Identified {
  readonly op: 'unwatch';
  readonly users: readonly string[];
}

export interface StatusCommand extends Identified {
  readonly op: 'status';
  readonly status: Status;
  readonly text?: string;
}

export interface HistoryCommand extends Identified {
  readonly op: 'history';
  readonly room: string;
  readonly before?: Position;
  readonly after?: Position;
  readonly limit: number;
}

export interface PingCommand extends Identified {
  readonly op: 'ping';
}

export interface QuitCommand extends Identified {
  readonly op: 'quit';
}

/** Answers a heartbeat; the one command without an `id` and without a reply. */
export interface PongCommand {
  readonly op: 'pong';
}
