import type { Environment } from './environment.ts';
import type { TokenSource } from './tokens.ts';

export interface ClientOptions {
  /** Of the gateway's `/ws`: `ws:` or `wss:`. */
  readonly url: string | URL;
  /** With anonymous access; without one, the server makes a guest's name. */
  readonly user?: string;
  /** A name for this device; without one, the server makes it. See `tabDevice()`. */
  readonly device?: string;
  /** A JWT, or who gives a fresh one, asked before each connect and before the session's token expires. */
  readonly token?: TokenSource;
  /** The program's name and version, as `name/1.0`. */
  readonly client?: string;
  /** Publishes, and apart from them other commands, that may wait for a reply; more are refused. 256 by default. */
  readonly waitingMax?: number;
  /** Milliseconds of wall time for which what has no answer is sent again: 60,000 by default and at most. */
  readonly retryForMs?: number;
  /** Messages that may wait for an iterator's reader: 4,096 by default, at least 1,000. */
  readonly iteratorMessagesMax?: number;
  /** Milliseconds until there is a session, and until a token: 15,000 by default. */
  readonly connectTimeoutMs?: number;
  /** For tests, and for places without a global WebSocket. */
  readonly environment?: Environment;
}
