import type { Limits } from './limits.ts';
import type { Gap, Position } from './position.ts';
import type { Status, UserState } from './presence-state.ts';
import type { Publication } from './publication.ts';

/** What each op's `ok` reply holds. The dialect turns it into JSON or into words. */
export interface Replies {
  readonly connect: ConnectReply;
  readonly refresh: { readonly expiresAtMs: number };
  readonly join: JoinReply;
  readonly leave: { readonly room: string };
  readonly publish: PublishReply;
  readonly signal: { readonly room: string };
  readonly presence: RoomPresenceReply | UserPresenceReply;
  readonly watch: { readonly users: readonly UserPresenceReply[] };
  readonly unwatch: Readonly<Record<string, never>>;
  readonly status: { readonly status: Status };
  readonly history: HistoryReply;
  readonly ping: { readonly serverMs: number };
}

export type RepliedOp = keyof Replies;

export interface ConnectReply {
  readonly protocol: 1;
  /** Names of what this server can do beyond version 1. */
  readonly features: readonly string[];
  readonly server: string;
  readonly node: string;
  readonly session: string;
  readonly user: string;
  readonly device: string;
  /** 0: this session gets no heartbeats. */
  readonly heartbeatMs: number;
  readonly retryWindowMs: number;
  /** When the session ends unless its token is refreshed; absent without a token. */
  readonly expiresAtMs?: number;
  readonly limits: Limits;
}

export interface PageReply {
  readonly room: string;
  /** Up to where this reply speaks. */
  readonly position: Position;
  /** Oldest first. */
  readonly messages: readonly Publication[];
  readonly more: boolean;
  readonly gap?: Gap | undefined;
}

export interface JoinReply extends PageReply {
  readonly recovered: boolean;
  readonly presence?: RoomPresenceReply | RoomCount;
}

export interface RoomCount {
  readonly count: number;
  readonly version: number;
}

export interface RoomPresenceReply extends RoomCount {
  /** Ordered by bytes. */
  readonly users: readonly UserState[];
  readonly more: boolean;
  readonly partial: boolean;
}

export interface UserPresenceReply extends UserState {
  readonly lastSeenMs: number;
  readonly partial: boolean;
}

export type HistoryReply = PageReply;

export interface PublishReply {
  readonly room: string;
  readonly mid: string;
  readonly epoch: string;
  readonly offset: number;
  readonly duplicate: boolean;
}
