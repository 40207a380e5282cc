import type { Limits } from '../protocol/limits.ts';

/** What the server said of the session. */
export interface Session {
  readonly session: string;
  readonly node: string;
  readonly server: string;
  readonly user: string;
  readonly device: string;
  /** What the server can do beyond version 1 of the protocol. */
  readonly features: readonly string[];
  readonly limits: Limits;
}

/** The rest of `connect`'s reply. */
export interface Welcome extends Session {
  readonly heartbeatMs: number;
  readonly retryWindowMs: number;
  readonly ticket?: string;
  readonly expiresAtMs?: number;
}
