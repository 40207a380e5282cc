/**
 * Every error a command can be answered with, in one table: the reply, the HTTP status, the documents and
 * the tests read it from here.
 *
 * An error says that *this command* failed and the session goes on; what ends a session is a disconnect
 * (see disconnects.ts).
 */
export const ERRORS = {
  bad_request: {
    retry: false,
    status: 400,
    meaning: 'malformed, unknown op or key, a bound exceeded; `message` names the field',
  },
  unauthorized: { retry: false, status: 401, meaning: 'no valid token' },
  forbidden: { retry: false, status: 403, meaning: 'not allowed' },
  not_joined: { retry: false, status: 409, meaning: 'the session is not in this room' },
  already_joined: { retry: false, status: 409, meaning: 'the session is in this room already' },
  mid_conflict: {
    retry: false,
    status: 409,
    meaning: 'this `mid` was used by this user in this room for other `data`',
  },
  limit_exceeded: { retry: false, status: 409, meaning: 'a cap is reached, as of rooms per session' },
  rate_limited: { retry: true, status: 429, meaning: 'a token bucket is empty; see `retryAfterMs`' },
  overloaded: {
    retry: true,
    status: 503,
    meaning: 'the log or the node sheds load, or the publish named by `after` failed; see `retryAfterMs`',
  },
  unknown_outcome: { retry: true, status: 504, meaning: 'the append was neither confirmed nor refused in time' },
  unavailable: { retry: true, status: 503, meaning: 'what this command needs is down; other commands work' },
  internal: { retry: true, status: 500, meaning: 'our fault; `message` holds a trace id' },
} as const satisfies Record<string, { retry: boolean; status: number; meaning: string }>;

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
