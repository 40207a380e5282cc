/**
 * Every error a command can be answered with, in one table: the reply, the HTTP status, the documents and
 * the tests read it from here.
 *
 * An error says that *this command* failed and the session goes on; what ends a session is a disconnect
 * (see disconnects.ts).
 */
export const ERRORS = {
  bad_request: { retry: false, meaning: 'malformed, unknown op or key, a bound exceeded; `message` names the field' },
  unauthorized: { retry: false, meaning: 'no valid token' },
  forbidden: { retry: false, meaning: 'not allowed' },
  not_joined: { retry: false, meaning: 'the session is not in this room' },
  already_joined: { retry: false, meaning: 'the session is in this room already' },
  mid_conflict: { retry: false, meaning: 'this `mid` was used by this user in this room for other `data`' },
  limit_exceeded: { retry: false, meaning: 'a cap is reached, as of rooms per session' },
  rate_limited: { retry: true, meaning: 'a token bucket is empty; see `retryAfterMs`' },
  overloaded: {
    retry: true,
    meaning: 'the log or the node sheds load, or the publish named by `after` failed; see `retryAfterMs`',
  },
  unknown_outcome: { retry: true, meaning: 'the append was neither confirmed nor refused in time' },
  unavailable: { retry: true, meaning: 'what this command needs is down; other commands work' },
  internal: { retry: true, meaning: 'our fault; `message` holds a trace id' },
} as const satisfies Record<string, { retry: boolean; meaning: string }>;

export type ErrorCode = keyof typeof ERRORS;

/** A command's failure, thrown by whatever finds it and answered as the command's one reply. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly code: ErrorCode;
  /** Milliseconds after which a retry makes sense, where that is known. */
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, retryAfterMs?: number) {
    super(message);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}
