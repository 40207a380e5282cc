const LF = 0x0a;
const CR = 0x0d;

/** The lines of one message, read one by one. The end of the message ends its last line. */
export class MessageLines {
  #message: Buffer | null = null;
  /** Where the next line begins. */
  #at = 0;

  /** The message is not copied: it must not change until it is read to its end, or left. */
  begin(message: Buffer): void {
    this.#message = message;
    this.#at = 0;
  }

  /** The next line without its `\n` or `\r\n`, or null where there is none. */
  next(): Buffer | null {
    const message = this.#message;
    if (message === null) return null;
    const start = this.#at;
    let end = message.indexOf(LF, start);
    if (end === -1) {
      end = message.length;
      this.#message = null;
    } else {
      this.#at = end + 1;
    }
    if (end > start && message[end - 1] === CR) end -= 1;
    return start === 0 && end === message.length ? message : message.subarray(start, end);
  }

  /** Leaves the message. Returns what was not read of it, or null. */
  leave(): Buffer | null {
    const rest = this.#message?.subarray(this.#at) ?? null;
    this.#message = null;
    return rest;
  }
}
