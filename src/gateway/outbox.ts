import type { Waiting } from './command-gate.ts';
import type { Transport } from './transport.ts';

/** Collects the outboxes that were added to within one turn of the loop and writes each once at its end. */
export class OutboxFlusher {
  readonly #isTickDue: () => boolean;
  #dirty: Outbox[] = [];
  #immediate: NodeJS.Immediate | null = null;
  /** Handed to transports so far, by all outboxes. */
  bytesFlushed = 0;

  /** @param isTickDue whether {@link flush} will be called within milliseconds, with pushes that can go along */
  constructor(isTickDue: () => boolean = () => false) {
    this.#isTickDue = isTickDue;
  }

  add(outbox: Outbox): void {
    this.#dirty.push(outbox);
    // Behind everything that this turn of the loop has read, so that the acks of a batch, its pushes and the
    // replies to what came meanwhile leave in one write a session.
    this.#immediate ??= setImmediate(() => {
      this.#immediate = null;
      if (!this.#isTickDue()) this.flush();
    });
  }

  /** Writes what is queued now. */
  flush(): void {
    if (this.#immediate !== null) clearImmediate(this.#immediate);
    this.#immediate = null;
    // Flushing may let blocked sessions go on, which may queue more.
    while (this.#dirty.length > 0) {
      const dirty = this.#dirty;
      this.#dirty = [];
      for (const outbox of dirty) outbox.flush();
    }
  }
}

/** Bytes on their way to sessions that only one session gets, over the whole node. */
export class UnsharedBytes {
  readonly bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(bytes: number): void {
    this.#bytes += bytes;
  }

  release(bytes: number): void {
    this.#bytes -= bytes;
  }

  /** Whether `bytes` more would still be within the bound. */
  hasRoomFor(bytes: number): boolean {
    return this.#bytes + bytes <= this.bytesMax;
  }
}

/**
 * What waits to be written to one session: references to buffers, most of them shared with other sessions, in
 * order. The bound is the session's to keep; the outbox counts.
 */
export class Outbox {
  readonly #transport: Transport;
  readonly #flusher: OutboxFlusher;
  readonly #unshared: UnsharedBytes;
  readonly #waiting: Waiting;
  #chunks: Buffer[] | null = null;
  #bytes = 0;
  #addedBytes = 0;
  #unsharedBytes = 0;

  constructor(transport: Transport, flusher: OutboxFlusher, unshared: UnsharedBytes, waiting: Waiting) {
    this.#transport = transport;
    this.#flusher = flusher;
    this.#unshared = unshared;
    this.#waiting = waiting;
  }

  /** Bytes that the kernel has not taken: queued here or in the transport. */
  get bytes(): number {
    return this.#bytes + this.#transport.bufferedBytes;
  }

  /** Bytes that the kernel has taken since the beginning. */
  get takenBytes(): number {
    return this.#addedBytes - this.bytes;
  }

  addShared(chunk: Buffer): void {
    if (this.#chunks !== null) this.#chunks.push(chunk);
    else {
      this.#chunks = [chunk];
      this.#flusher.add(this);
    }
    this.#bytes += chunk.length;
    this.#addedBytes += chunk.length;
  }

  addUnshared(chunk: Buffer): void {
    this.#unsharedBytes += chunk.length;
    this.#unshared.add(chunk.length);
    this.addShared(chunk);
  }

  /** One gathered write. */
  flush(): void {
    const chunks = this.#chunks;
    if (chunks !== null) {
      this.#flusher.bytesFlushed += this.#bytes;
      this.#chunks = null;
      this.#bytes = 0;
      this.#transport.write(chunks, this.#unsharedBytes > 0 ? () => this.drained() : undefined);
    }
    this.drained();
    this.#waiting.goOn();
  }

  /** To be called when the transport has written everything; harmless at other times. */
  drained(): void {
    if (this.#unsharedBytes > 0 && this.bytes === 0) this.#releaseUnshared();
  }

  /** Forgets what waits; the transport is gone. */
  close(): void {
    this.#chunks = null;
    this.#bytes = 0;
    this.#releaseUnshared();
  }

  #releaseUnshared(): void {
    this.#unshared.release(this.#unsharedBytes);
    this.#unsharedBytes = 0;
  }
}
