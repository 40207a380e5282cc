import type { ErrorCode } from '../protocol/errors.ts';

/**
 * Codes of the client's own, beside those of the server's replies:
 * - `closed`: the client was closed before there was an answer;
 * - `timed_out`: there was none for as long as the same command may be sent again;
 * - `queue_full`: too many commands wait already;
 * - `offline`: there is no session, and what must not come late cannot wait for one;
 * - `overflow`: an iterator was read too slowly;
 * - `left`: the server has taken the client out of the room;
 * - `token_failed`: whoever gives tokens gave none.
 */
export type ClientErrorCode =
  | ErrorCode
  | 'closed'
  | 'timed_out'
  | 'queue_full'
  | 'offline'
  | 'overflow'
  | 'left'
  | 'token_failed';

/** What a call of the client fails with. */
export class ClientError extends Error {
  override readonly name = 'ClientError';
  readonly code: ClientErrorCode;
  /** Milliseconds after which a retry makes sense, where the server said so. */
  readonly retryAfterMs: number | undefined;
  /** Whether the command was sent: without an answer, it may have had its effect. */
  readonly wasSent: boolean;

  constructor(code: ClientErrorCode, message: string, wasSent = false, retryAfterMs?: number) {
    super(`${code}: ${message}`);
    this.code = code;
    this.wasSent = wasSent;
    this.retryAfterMs = retryAfterMs;
  }
}
