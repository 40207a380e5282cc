import {
  type CryptoKey,
  createRemoteJWKSet,
  customFetch,
  errors,
  type FlattenedJWSInput,
  type JWTHeaderParameters,
  type RemoteJWKSet,
} from 'jose';
import type { LogLines } from '../fanout/log-lines.ts';
import { requestKeySet } from './key-set-request.ts';
import { type KeySource, KeysUnavailableError } from './key-source.ts';

export interface RemoteKeySetSettings {
  readonly url: string;
  readonly logger: LogLines;
  /** After a fetch that worked: how long an unknown `kid` is believed to be just that. */
  readonly cooldownMs?: number;
  /** After a fetch that failed: how long no token makes us ask again. */
  readonly failureCooldownMs?: number;
  /** From the request to the last byte of the answer. */
  readonly timeoutMs?: number;
  /** How often the keys are fetched anew without being asked for, so that removed ones stop working. */
  readonly refreshMs?: number;
}

/**
 * The public keys behind a URL (RFC 7517): RS256, ES256 and EdDSA (Ed25519).
 *
 * The set is fetched when the first token comes, every `refreshMs`, and when a token names a key that is not in
 * it: never two fetches at a time, none for an unknown `kid` within `cooldownMs` of one that worked or
 * `failureCooldownMs` of one that failed, whatever tokens come. What was fetched stays in use for as long as later
 * fetches fail. Tokens whose key is here never wait for a fetch.
 *
 * A key replaced under the same `kid`, or without any, is noticed only by the refresh.
 */
export class RemoteKeySet implements KeySource {
  readonly algorithms: readonly string[] = ['RS256', 'ES256', 'EdDSA'];
  readonly #keys: RemoteJWKSet;
  readonly #cooldownMs: number;
  readonly #failureCooldownMs: number;
  readonly #logger: LogLines;
  readonly #shownUrl: string;
  readonly #refresh: NodeJS.Timeout;
  readonly #closing = new AbortController();
  #fetching: Promise<boolean> | null = null;
  #isLoaded = false;
  /** By the clock of `performance.now()`, which nobody sets back. */
  #restUntilMs = 0;
  #fetches = 0;
  #failures = 0;
  #failuresInARow = 0;

  /** @throws Error if the URL is not one of http or https without user and password */
  constructor(settings: RemoteKeySetSettings) {
    const url = requireUrl(settings.url);
    // A query may hold a key of its own.
    this.#shownUrl = `${url.origin}${url.pathname}`;
    this.#logger = settings.logger;
    this.#cooldownMs = settings.cooldownMs ?? 30_000;
    this.#failureCooldownMs = settings.failureCooldownMs ?? 1_000;
    // jose's own clocks are off: it would fetch for every unknown `kid` while fetches fail, since it counts its
    // cooldown from the last one that worked, and drop good keys at `cacheMaxAge`.
    this.#keys = createRemoteJWKSet(url, {
      cooldownDuration: Number.POSITIVE_INFINITY,
      cacheMaxAge: Number.POSITIVE_INFINITY,
      timeoutDuration: settings.timeoutMs ?? 5_000,
      [customFetch]: (href, { signal, headers }) => this.#request(href, signal, headers),
    });
    this.#refresh = setInterval(() => void this.#fetch(), settings.refreshMs ?? 600_000).unref();
  }

  /** Requests made so far. */
  get fetches(): number {
    return this.#fetches;
  }

  /** Those of them that brought no keys. */
  get failures(): number {
    return this.#failures;
  }

  readonly keyFor = async (header: JWTHeaderParameters, token: FlattenedJWSInput): Promise<CryptoKey> => {
    if (!this.#isLoaded) await this.#ask();
    try {
      return await this.#keys(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
    }
    await this.#ask();
    return this.#keys(header, token);
  };

  close(): void {
    clearInterval(this.#refresh);
    this.#closing.abort(new Error('closed'));
  }

  /**
   * Fetches the keys if it is time to, on behalf of a token that needs others than are here; those that come
   * meanwhile wait for the same fetch. Returns also if nothing new is to be expected.
   *
   * @throws KeysUnavailableError if the last fetch failed
   */
  async #ask(): Promise<void> {
    const isResting = this.#fetching === null && performance.now() < this.#restUntilMs;
    const isFresh = isResting ? this.#failuresInARow === 0 : await this.#fetch();
    if (!isFresh) throw new KeysUnavailableError('the keys cannot be fetched');
  }

  /** Fetches the keys, or waits for the fetch under way. Never rejects: false says that it failed. */
  #fetch(): Promise<boolean> {
    this.#fetching ??= this.#reload().finally(() => {
      this.#fetching = null;
    });
    return this.#fetching;
  }

  async #reload(): Promise<boolean> {
    try {
      if (this.#closing.signal.aborted) return false;
      await this.#keys.reload();
      this.#succeeded();
      return true;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  #succeeded(): void {
    this.#restUntilMs = performance.now() + this.#cooldownMs;
    if (this.#failuresInARow > 0) {
      this.#logger.info({ url: this.#shownUrl, failures: this.#failuresInARow }, 'the key set can be fetched again');
    }
    this.#failuresInARow = 0;
    this.#isLoaded = true;
  }

  #failed(error: unknown): void {
    this.#restUntilMs = performance.now() + this.#failureCooldownMs;
    this.#failures++;
    this.#failuresInARow++;
    // Once, and not for each try: clients decide how many there are.
    if (this.#failuresInARow > 1 || this.#closing.signal.aborted) return;
    const consequence = this.#isLoaded ? 'the keys fetched before stay in use' : 'no token can be checked';
    this.#logger.warn({ url: this.#shownUrl, err: error }, `the key set cannot be fetched; ${consequence}`);
  }

  #request(href: string, timeout: AbortSignal, headers: Headers): Promise<Response> {
    this.#fetches++;
    return requestKeySet(href, { headers, signal: AbortSignal.any([timeout, this.#closing.signal]) });
  }
}

/** Whether a key set can be fetched from there. Fetch would refuse user and password, but only with the first token. */
export function isKeySetUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : null;
  return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
}

function requireUrl(text: string): URL {
  if (!isKeySetUrl(text)) throw new Error('the key set needs an http or https URL without user and password');
  return new URL(text);
}
