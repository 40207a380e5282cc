import type { Position } from './position.ts';

/** What a client may ask. Fields were checked by the reader; see docs/PROTOCOL.md for their meaning. */
export type Command =
  | ConnectCommand
  | JoinCommand
  | LeaveCommand
  | PublishCommand
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
  readonly user?: string;
  readonly device?: string;
  readonly client?: string;
}

export interface JoinCommand extends Identified {
  readonly op: 'join';
  readonly room: string;
  readonly since?: Position;
  readonly history?: number;
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
