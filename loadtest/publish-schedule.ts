import { LatencyHistogram } from './latency-histogram.ts';
import type { PublishWindow } from './publish-window.ts';

const SEED = 0x2545f491;
/** Publications that could not go out, because nobody was allowed to have more open, may be so late. */
const BEHIND_US_MAX = 5e6;

/**
 * The open loop: publications go out when they are due, whatever has become of those before. The time between two is
 * random (exponential, so that no rhythm of the server's is favoured), the same in each run; publishers take turns.
 * Time is not slept away but watched, since a timer would come later than a publication may.
 */
export class PublishSchedule {
  /** How late publications were handed to their sockets: the client's own part. */
  readonly lateness = new LatencyHistogram();
  readonly #window: PublishWindow;
  readonly #gapUs: number;
  readonly #fail: (error: Error) => void;
  #nextUs = 0;
  #random = SEED;
  #isRunning = false;

  constructor(window: PublishWindow, perSecond: number, fail: (error: Error) => void) {
    this.#window = window;
    this.#gapUs = 1e6 / perSecond;
    this.#fail = fail;
  }

  start(): void {
    this.#isRunning = true;
    this.#nextUs = performance.now() * 1000;
    this.#watch();
  }

  stop(): void {
    this.#isRunning = false;
  }

  #watch(): void {
    if (!this.#isRunning) return;
    for (let nowUs = performance.now() * 1000; this.#nextUs <= nowUs; nowUs = performance.now() * 1000) {
      if (nowUs - this.#nextUs > BEHIND_US_MAX) {
        this.#fail(new Error(`the server does not keep up: it is ${BEHIND_US_MAX / 1e6} s behind`));
        return;
      }
      if (!this.#window.publishAt(Math.floor(this.#nextUs))) break;
      this.lateness.record(nowUs - this.#nextUs);
      this.#nextUs += -Math.log(this.#nextRandom()) * this.#gapUs;
    }
    setImmediate(() => this.#watch());
  }

  /** Above 0, up to 1 (xorshift of 32 bits). */
  #nextRandom(): number {
    let state = this.#random;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#random = state;
    return ((state >>> 0) + 1) / 2 ** 32;
  }
}
