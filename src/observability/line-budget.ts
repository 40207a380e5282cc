import { TokenBucket } from '../limits/token-bucket.ts';

/** Lines alike that may come at once, and then a second. */
const RATE = { perSecond: 1, burst: 20 };
/** Kinds of lines that are told apart; there are far fewer, since their words are ours. */
const KINDS_MAX = 256;

interface Kind {
  readonly bucket: TokenBucket;
  leftOut: number;
}

/** Keeps lines that say the same from filling the log, whoever makes us say them. */
export class LineBudget {
  readonly #kinds = new Map<string, Kind>();

  /** How many lines of this kind were left out since the last one, or null: this one is to be left out too. */
  take(words: string, nowMs: number): number | null {
    let kind = this.#kinds.get(words);
    if (kind === undefined) {
      if (this.#kinds.size >= KINDS_MAX) this.#kinds.clear();
      kind = { bucket: new TokenBucket(RATE), leftOut: 0 };
      this.#kinds.set(words, kind);
    }
    if (kind.bucket.take(1, nowMs) > 0) {
      kind.leftOut += 1;
      return null;
    }
    const { leftOut } = kind;
    kind.leftOut = 0;
    return leftOut;
  }
}
