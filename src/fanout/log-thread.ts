import { type TransferListItem, Worker } from 'node:worker_threads';
import { DataDirectoryError } from './data-directory.ts';

const EXTENSION = import.meta.url.endsWith('.ts') ? 'ts' : 'js';

type ThreadName = 'embedded-writer' | 'embedded-reader' | 'embedded-backup';
type Message = { readonly kind: string };

/** A thread that runs one of this directory's files. It says `opened` or `refused` first, and ends at `close`. */
export class LogThread<To extends Message, From extends Message> {
  readonly #worker: Worker;
  /** Resolves once the thread has ended. */
  readonly exited: Promise<void>;
  #onMessage: (message: From) => void = () => {};
  #onFailure: (reason: string) => void = () => {};
  #failure: string | undefined;
  #closing = false;

  constructor(name: ThreadName, data: object) {
    this.#worker = new Worker(new URL(`./${name}.${EXTENSION}`, import.meta.url), {
      name,
      workerData: data,
      // node:sqlite announces itself as experimental, to everyone's standard error.
      execArgv: ['--disable-warning=ExperimentalWarning'],
    });
    this.#worker.on('message', (message: From) => this.#onMessage(message));
    this.#worker.on('error', (error) => this.#fail(`${name} failed: ${String(error)}`));
    this.exited = new Promise((resolve) => {
      this.#worker.on('exit', () => {
        if (!this.#closing) this.#fail(`${name} ended`);
        resolve();
      });
    });
  }

  /**
   * Waits for `opened`.
   *
   * @param onOther gets what the thread says before that
   * @throws DataDirectoryError with the thread's words if it refuses, or if it dies
   */
  opened(onOther: (message: From) => void = () => {}): Promise<Extract<From, { kind: 'opened' }>> {
    return new Promise((resolve, reject) => {
      this.onFailure((reason) => reject(new DataDirectoryError(reason)));
      this.onMessage((message) => {
        if (isKind(message, 'opened')) resolve(message);
        else if (isKind(message, 'refused')) reject(new DataDirectoryError((message as unknown as Refusal).message));
        else onOther(message);
      });
    });
  }

  onMessage(listener: (message: From) => void): void {
    this.#onMessage = listener;
  }

  /** `listener` is called once, if the thread ends without having been told to; also if it has ended already. */
  onFailure(listener: (reason: string) => void): void {
    this.#onFailure = listener;
    if (this.#failure !== undefined) listener(this.#failure);
  }

  post(message: To, transfer: readonly TransferListItem[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  /** Tells the thread to end after what it was told before, and ends it if it hasn't within `timeoutMs`. */
  async close(close: To, timeoutMs: number): Promise<void> {
    this.#closing = true;
    this.post(close);
    const timer = setTimeout(() => void this.#worker.terminate(), timeoutMs);
    await this.exited;
    clearTimeout(timer);
  }

  #fail(reason: string): void {
    if (this.#failure !== undefined) return;
    this.#failure = reason;
    this.#onFailure(reason);
  }
}

interface Refusal {
  readonly message: string;
}

function isKind<M extends Message, K extends string>(message: M, kind: K): message is Extract<M, { kind: K }> {
  return message.kind === kind;
}
