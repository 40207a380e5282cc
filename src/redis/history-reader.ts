import type { RoomPlace, SharedHistory, Stretch, StretchBounds } from '../fanout/shared-history.ts';
import type { HistorySettings } from './history-settings.ts';
import { backwardStretch, forwardStretch } from './history-stretch.ts';
import type { RedisLink, Script } from './redis-link.ts';
import { loadScript } from './scripts.ts';

const FORWARD = loadScript('history-forward');
const BACKWARD = loadScript('history-backward');

/** What became of reads: something of what was asked was known, or nothing; or Redis was not to be asked. */
export type HistoryReads = Record<'known' | 'unknown' | 'unavailable', number>;

/**
 * Reads rooms' pasts from Redis. At most `readsMax` at a time, so that a herd of them does not keep others of Redis, and
 * whoever would wait for more than `readWaitMsMax` goes without.
 */
export class HistoryReader implements SharedHistory {
  readonly reads: HistoryReads = { known: 0, unknown: 0, unavailable: 0 };
  readonly #link: RedisLink;
  readonly #settings: HistorySettings;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(link: RedisLink, settings: HistorySettings) {
    this.#link = link;
    this.#settings = settings;
  }

  async readForward(place: RoomPlace, from: number, through: number, bounds: StretchBounds): Promise<Stretch> {
    const answer = await this.#ask(FORWARD, place, from, bounds);
    return this.#counted(answer, forwardStretch(place, from, through, answer));
  }

  async readBackward(place: RoomPlace, through: number, bounds: StretchBounds): Promise<Stretch> {
    const answer = await this.#ask(BACKWARD, place, through, bounds);
    return this.#counted(answer, backwardStretch(place, through, answer));
  }

  /** undefined: it can't be asked now. */
  async #ask(script: Script, { epoch, partition, room }: RoomPlace, offset: number, bounds: StretchBounds) {
    const startedMs = performance.now();
    if (this.#running >= this.#settings.readsMax) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
    try {
      if (!this.#link.isUp || performance.now() - startedMs > this.#settings.readWaitMsMax) return undefined;
      return await this.#link.run(script, epoch, partition, room, offset, bounds.limit, bounds.bytesMax);
    } catch {
      // The link has counted it, and tells when Redis is down.
      return undefined;
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }

  #counted(answer: unknown, stretch: Stretch): Stretch {
    if (answer === undefined) this.reads.unavailable += 1;
    else this.reads[stretch.through < stretch.from ? 'unknown' : 'known'] += 1;
    return stretch;
  }
}
