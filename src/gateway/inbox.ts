import { MessageLines } from './message-lines.ts';

/** What a message is charged beyond its bytes, so that many tiny ones are bounded by what they take. */
const MESSAGE_OVERHEAD_BYTES = 128;

/** Bytes that wait in the inboxes of a node, against its bounds. */
export class InboxBytes {
  /** For one session. */
  readonly sessionMax: number;
  /** For all of them. */
  readonly nodeMax: number;
  bytes = 0;

  constructor(sessionMax: number, nodeMax: number) {
    this.sessionMax = sessionMax;
    this.nodeMax = nodeMax;
  }
}

/**
 * Messages of one session that came while it read none, where the transport cannot stop reading its socket. Made when
 * there is something to hold, and dropped when it has been read.
 */
export class Inbox {
  readonly #node: InboxBytes;
  readonly #lines = new MessageLines();
  readonly #messages: Buffer[] = [];
  #bytes = 0;

  constructor(node: InboxBytes) {
    this.#node = node;
  }

  /** Holds a copy of the message. False if it does not fit, and then nothing that follows may be read either. */
  add(message: Buffer): boolean {
    const bytes = message.length + MESSAGE_OVERHEAD_BYTES;
    if (this.#bytes + bytes > this.#node.sessionMax || this.#node.bytes + bytes > this.#node.nodeMax) return false;
    this.#messages.push(Buffer.from(message));
    this.#bytes += bytes;
    this.#node.bytes += bytes;
    return true;
  }

  /** The next line, or null if all was read. */
  next(): Buffer | null {
    let line = this.#lines.next();
    while (line === null) {
      const message = this.#messages.shift();
      if (message === undefined) return null;
      this.#release(message.length + MESSAGE_OVERHEAD_BYTES);
      this.#lines.begin(message);
      line = this.#lines.next();
    }
    return line;
  }

  /** Forgets what is left. */
  close(): void {
    this.#messages.length = 0;
    this.#release(this.#bytes);
  }

  #release(bytes: number): void {
    this.#bytes -= bytes;
    this.#node.bytes -= bytes;
  }
}
