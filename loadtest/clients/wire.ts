/** What a line of a server means to the benchmark. */
export type Incoming =
  /** A delivery. `offset` and `epoch` are there if the server numbers its publications. */
  | { readonly kind: 'publication'; readonly offset?: number; readonly epoch?: string }
  /** The server accepted a publication. `sequence` is absent if its answers come in order, without a number. */
  | { readonly kind: 'answer'; readonly sequence?: number }
  /** A heartbeat; `text` is what to send back. */
  | { readonly kind: 'heartbeat'; readonly text: string }
  /** Who came to the room, or left. */
  | { readonly kind: 'presence' };

/** Sends a line, or waits for the next one, while a session is being set up or asked something. */
export interface Greeting {
  send(text: string): void;
  receive(): Promise<string>;
}

/** How one server's clients speak. Stateless: one object serves all sessions. */
export interface Wire {
  /** `lines`: each ended by `\n`, on plain TCP. `websocket`: text messages of one or more lines. */
  readonly framing: 'lines' | 'websocket';
  /** Whether the server sends each publication as a text message of its own, and all of one room in one length. */
  readonly onePublicationAFrame: boolean;
  /** Where the WebSocket upgrade goes. */
  readonly path: string;
  /** Upper bound of what `writePublish` writes, in bytes. */
  readonly publishBytesMax: number;
  /** What a session says before it leaves, where the framing has no words for it. */
  readonly goodbye?: string;

  /** Introduces a session and joins its rooms, several only where there is a `roomOf`. */
  greet(greeting: Greeting, sessionIndex: number, rooms: readonly string[]): Promise<void>;

  /** Which of a session's several rooms a line is of; undefined if of none. Absent where sessions have one room. */
  roomOf?(line: Buffer): string | undefined;

  /** Writes one publish command without its frame or line break; returns the end of what it wrote. */
  writePublish(target: Buffer, at: number, room: string, publisher: number, sequence: number, sentUs: number): number;

  /**
   * Reads one line that comes after `greet`. Called once for each publication of a room, not for each delivery.
   *
   * @throws Error with the line's text if it is anything that has no place in a run.
   */
  read(line: Buffer, room: string): Incoming;

  /**
   * Asks who is in a room. Absent where the server doesn't know.
   *
   * @throws Error unless it is exactly these sessions of the run.
   */
  checkPresence?(greeting: Greeting, room: string, sessionIndexes: readonly number[]): Promise<void>;
}

/** For lines that end a run: a refusal, a disconnect, something unknown. */
export function unexpected(line: Buffer | string): Error {
  return new Error(`the server said ${line.toString()}`);
}
