import type { Client, ClientState } from '../client/client.ts';
import type { View } from './view.ts';
import { disconnectedWords } from './words.ts';

type Watched = Pick<Client, 'state' | 'session' | 'on'>;

/** Shows how the connection is, and tells when there is no use in waiting for it any longer. */
export class ConnectionWatch {
  readonly #client: Watched;
  readonly #view: Pick<View, 'note' | 'error'>;
  readonly #waitMs: number | null;
  readonly #lost = Promise.withResolvers<string>();
  #isConnected = false;
  #isBehind = false;
  #reason = 'no answer';
  #timer: NodeJS.Timeout | undefined;

  /** @param waitMs for which it may be without a session at a time; null: for ever */
  constructor(client: Watched, view: Pick<View, 'note' | 'error'>, waitMs: number | null) {
    this.#client = client;
    this.#view = view;
    this.#waitMs = waitMs;
    client.on('state', (state) => this.#changed(state));
    client.on('error', (error) => view.error(error.message));
    this.#expectSession();
  }

  /** Resolves with why there is no session and won't be one; never, while there may be one. */
  get lost(): Promise<string> {
    return this.#lost.promise;
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #changed(state: ClientState): void {
    switch (state.name) {
      case 'online':
      case 'resyncing':
        this.#connected(state.name === 'resyncing');
        break;
      case 'waiting':
        this.#waits(state.reason, state.retryAtMs - Date.now());
        break;
      case 'closed':
        this.#lost.resolve(disconnectedWords(state.code, state.reason));
    }
  }

  #connected(isBehind: boolean): void {
    clearTimeout(this.#timer);
    if (!this.#isConnected) this.#view.note(`# connected as ${this.#client.session?.user}`);
    if (this.#isBehind && !isBehind) this.#view.note('# caught up');
    this.#isConnected = true;
    this.#isBehind = isBehind;
  }

  #waits(reason: string, inMs: number): void {
    const what = this.#isConnected ? 'connection lost' : 'not connected';
    this.#view.note(`# ${what} (${reason}); next try in ${Math.max(0, Math.ceil(inMs / 1_000))} s`);
    if (this.#isConnected) this.#expectSession();
    this.#isConnected = false;
    this.#isBehind = false;
    this.#reason = reason;
  }

  #expectSession(): void {
    const waitMs = this.#waitMs;
    if (waitMs === null) return;
    this.#timer = setTimeout(
      () => this.#lost.resolve(`not reached within ${waitMs / 1_000} s (${this.#reason})`),
      waitMs,
    );
  }
}
