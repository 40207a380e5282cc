import { ClientError } from './client-error.ts';
import { Deferred } from './deferred.ts';

/** Values for one `for await`, which may be slower than they come; bounded. */
export class Stream<Value> implements AsyncIterableIterator<Value> {
  readonly #max: number;
  /** Called when no more than half of what may wait does, and at the end. */
  readonly #onRoom: (stream: Stream<Value>) => void;
  #queue: Value[] = [];
  #readers: Deferred<IteratorResult<Value>>[] = [];
  #error: ClientError | null = null;
  hasEnded = false;

  /** @param max values that may wait; with one more, the stream ends with `overflow` behind those */
  constructor(max: number, onRoom: (stream: Stream<Value>) => void) {
    this.#max = max;
    this.#onRoom = onRoom;
  }

  get hasRoom(): boolean {
    return this.hasEnded || this.#queue.length * 2 <= this.#max;
  }

  push(value: Value): void {
    if (this.hasEnded) return;
    const reader = this.#readers.shift();
    if (reader !== undefined) reader.resolve({ value, done: false });
    else if (this.#queue.length < this.#max) this.#queue.push(value);
    else this.end(new ClientError('overflow', `more than ${this.#max} messages wait to be read`));
  }

  /** What waits is still read, then the error is thrown; null: then it is over. */
  end(error: ClientError | null): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.#error = error;
    for (const reader of this.#readers.splice(0)) this.#last(reader);
    this.#onRoom(this);
  }

  next(): Promise<IteratorResult<Value>> {
    const reader = new Deferred<IteratorResult<Value>>();
    const value = this.#queue.shift();
    if (value !== undefined) reader.resolve({ value, done: false });
    else if (this.hasEnded) this.#last(reader);
    else this.#readers.push(reader);
    if (this.hasRoom) this.#onRoom(this);
    return reader.promise;
  }

  return(): Promise<IteratorResult<Value>> {
    this.#queue = [];
    this.#error = null;
    this.end(null);
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #last(reader: Deferred<IteratorResult<Value>>): void {
    const error = this.#error;
    // It is thrown once.
    this.#error = null;
    if (error === null) reader.resolve({ value: undefined, done: true });
    else reader.reject(error);
  }
}
