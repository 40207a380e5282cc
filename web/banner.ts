import type { Client, ClientState } from '../src/client/client.ts';
import { DISCONNECTS } from '../src/protocol/disconnects.ts';
import { byId, setText } from './dom.ts';

/** By the reason for which a connection ended. */
const WAITING_WORDS: Readonly<Record<string, string>> = {
  drain: 'The gateway is being restarted',
  slow_consumer: 'This connection was too slow for what was said',
  heartbeat_timeout: 'The connection went silent',
  silence: 'The gateway doesn’t answer',
  overloaded: 'The gateway is full at the moment',
  token_expired: 'The token has run out',
  internal: 'The gateway had a fault',
};

/** By the code for which the server wants nobody back. */
const CLOSED_WORDS: Readonly<Record<number, string>> = {
  [DISCONNECTS.replaced.code]: 'This chat was opened in another place.',
  [DISCONNECTS.kicked.code]: 'An operator has ended your session.',
  [DISCONNECTS.forbidden.code]: 'An operator has closed this gateway to you.',
  [DISCONNECTS.protocol_error.code]:
    'This page and the gateway don’t understand each other. Reload the page to get its newest version.',
  [DISCONNECTS.connection_limit.code]: 'You have too many sessions at the same time.',
};

/** Tells how the connection is: in a line for everybody, and in a banner while it is not well. */
export class Banner {
  readonly #client: Client;
  readonly #me: string;
  readonly #banner = byId('banner', HTMLElement);
  readonly #words = byId('banner-words', HTMLElement);
  readonly #countdown = byId('banner-countdown', HTMLElement);
  readonly #action = byId('banner-action', HTMLButtonElement);
  readonly #state = byId('state', HTMLElement);
  #timer: ReturnType<typeof setInterval> | undefined;
  #wasOnline = false;

  constructor(client: Client, me: string) {
    this.#client = client;
    this.#me = me;
    this.#action.addEventListener('click', () => void client.connect().catch(() => {}));
    client.on('state', () => this.#draw());
    addEventListener('online', () => this.#draw());
    addEventListener('offline', () => this.#draw());
    this.#draw();
  }

  #draw(): void {
    const { state } = this.#client;
    clearInterval(this.#timer);
    this.#banner.hidden = state.name === 'online';
    this.#banner.dataset.state = state.name;
    this.#state.dataset.state = state.name;
    this.#action.hidden = state.name !== 'closed';
    setText(this.#countdown, '');
    setText(this.#state, this.#shortWords(state));
    setText(this.#words, this.#longWords(state));
    if (state.name === 'online') this.#wasOnline = true;
    if (state.name === 'closed')
      setText(this.#action, state.code === DISCONNECTS.replaced.code ? 'Use it here' : 'Connect again');
    if (state.name === 'waiting') {
      this.#count(state.retryAtMs);
      this.#timer = setInterval(() => this.#count(state.retryAtMs), 1_000);
    }
  }

  #count(retryAtMs: number): void {
    const seconds = Math.ceil((retryAtMs - Date.now()) / 1_000);
    setText(this.#countdown, seconds > 0 ? `next try in ${seconds} s` : 'trying now');
  }

  /** What is read out: each change once, and no countdown. */
  #shortWords(state: ClientState): string {
    switch (state.name) {
      case 'online':
        return `Connected as ${this.#me}`;
      case 'resyncing':
        return 'Catching up…';
      case 'connecting':
        return this.#wasOnline ? 'Reconnecting…' : 'Connecting…';
      default:
        return this.#longWords(state);
    }
  }

  #longWords(state: ClientState): string {
    switch (state.name) {
      case 'online':
        return '';
      case 'resyncing':
        return 'Catching up…';
      case 'connecting':
        return this.#wasOnline ? 'Reconnecting…' : `Connecting to ${location.host}…`;
      case 'waiting':
        if (!navigator.onLine) return 'You’re offline';
        return WAITING_WORDS[state.reason] ?? `Can’t reach ${location.host}`;
      case 'closed':
        return CLOSED_WORDS[state.code ?? 0] ?? `The connection was closed: ${state.reason}`;
    }
  }
}
