/**
 * Where in a session's life the server may misbehave. Each of a client's turns at a point is counted, over all of its
 * connections.
 */
export type Point =
  /** A handshake has come. */
  | 'upgrade'
  /** It was answered with 101. */
  | 'open'
  /** The command has come; it has had no effect yet. */
  | 'connect'
  | 'join'
  | 'page'
  | 'leave'
  | 'publish'
  /** Its reply has gone out. */
  | 'connected'
  | 'joined'
  | 'paged'
  | 'acked'
  /** A publish is in the log, and nobody was told. */
  | 'appended'
  /** A message is to be pushed to a client that is live, or not, as it is catching up. */
  | 'push'
  | 'withheld'
  /** A message was pushed. */
  | 'pushed'
  /** A room has grown; the client is the room's name here. */
  | 'grown';

/** How a connection ends. */
export type Ending =
  /** The TCP connection is reset without a word. */
  | { readonly by: 'reset' }
  /** A close frame with this code; 1005: without any. */
  | { readonly by: 'close'; readonly code: number }
  /** A `disconnect` push and a close frame; `afterMs` null: without that member. In milliseconds of the client's. */
  | { readonly by: 'disconnect'; readonly code: number; readonly afterMs: number | null }
  /** Half of a JSON object as a whole message, then a close frame. */
  | { readonly by: 'half_object' }
  /** A piece of a WebSocket frame, then the end of the TCP connection. */
  | { readonly by: 'half_frame' }
  /** The connection stays open, and nothing is said any more. `isDeaf`: and nothing is heard. */
  | { readonly by: 'silence'; readonly isDeaf: boolean }
  /** Something that cannot be understood; the client is the one to end it. */
  | { readonly by: 'nonsense'; readonly said: string | Buffer };

export type RetryableCode = 'rate_limited' | 'overloaded' | 'unknown_outcome' | 'unavailable' | 'internal';

export type Fault =
  | { readonly do: 'end'; readonly ending: Ending }
  /** At `upgrade`: an HTTP status instead of 101. */
  | { readonly do: 'status'; readonly status: number }
  /** At `upgrade`: no answer at all. */
  | { readonly do: 'hang' }
  /** The command's reply is an error. At `appended` the message is in the log nevertheless. */
  | { readonly do: 'refuse'; readonly code: string; readonly retryAfterMs?: number }
  /** The reply comes so many real milliseconds later. */
  | { readonly do: 'delay'; readonly ms: number }
  /** What is said is said twice. */
  | { readonly do: 'twice' }
  /** Something that is to be ignored is said before. */
  | { readonly do: 'noise'; readonly said: string }
  /** What is said within so many real milliseconds comes as one message. */
  | { readonly do: 'gather'; readonly ms: number }
  /** At `connected`: the reply has a ticket. */
  | { readonly do: 'ticket'; readonly ticket: string }
  /** At `join` and `page`: at most so many messages, and `more` unless that is all; -1: `more` even then. */
  | { readonly do: 'short'; readonly limit: number }
  /** At `pushed`: an older push comes again. */
  | { readonly do: 'repeat' }
  /** At `withheld`: it is pushed nevertheless. */
  | { readonly do: 'premature' }
  /** At `push` and `withheld`: `resync` instead. It may overtake pages that are on their way. */
  | { readonly do: 'resync'; readonly overtakes: boolean; readonly twice?: boolean }
  /** At `push`: the message and all before it are deleted, and `resync` says so. */
  | { readonly do: 'resync_gap' }
  /** At `push`: the session is taken out of the room. */
  | { readonly do: 'left'; readonly code: 'forbidden' | 'kicked' }
  /** At `publish`: the connection is reset, and the message appended so many real milliseconds later. */
  | { readonly do: 'append_late'; readonly ms: number }
  /** At `grown`: all but the newest so many messages are deleted. */
  | { readonly do: 'trim'; readonly keep: number }
  /** At `grown`: the message so many before the newest is found damaged. */
  | { readonly do: 'damage'; readonly back: number }
  /** At `grown`: the log is another one, with all but the newest so many messages, or with none. */
  | {
      readonly do: 'renew';
      readonly lose: number | 'all';
      readonly by: 'reset' | 'resync';
      readonly overtakes: boolean;
    };

/** Who says what goes wrong. */
export interface Faults {
  /** What is to happen at this point of this client, or room; null: nothing. Called once each time that it is reached. */
  at(point: Point, client: string): Fault | null;
}

/** Faults at given turns, for tests of one thing. */
export class Script implements Faults {
  readonly #due = new Map<string, Fault>();
  readonly #turns = new Map<string, number>();

  /** Has it happen at the client's `turn` at the point, from 1 on. */
  on(client: string, point: Point, turn: number, fault: Fault): this {
    this.#due.set(`${client} ${point} ${turn}`, fault);
    return this;
  }

  /** Has it happen at the client's next turn. */
  next(client: string, point: Point, fault: Fault): this {
    return this.on(client, point, this.turns(client, point) + 1, fault);
  }

  /** How often the client was there. */
  turns(client: string, point: Point): number {
    return this.#turns.get(`${client} ${point}`) ?? 0;
  }

  /** Faults that are still to happen. */
  get due(): readonly string[] {
    return [...this.#due.keys()];
  }

  at(point: Point, client: string): Fault | null {
    const turn = this.turns(client, point) + 1;
    this.#turns.set(`${client} ${point}`, turn);
    const key = `${client} ${point} ${turn}`;
    const fault = this.#due.get(key) ?? null;
    this.#due.delete(key);
    return fault;
  }
}
