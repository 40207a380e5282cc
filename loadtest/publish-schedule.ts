import { Alarm } from './alarm.ts';
import { LatencyHistogram } from './latency-histogram.ts';

const SEED = 0x2545f491;
/** Publications that could not go out, because nobody was allowed to have more open, may be so late. */
const BEHIND_US_MAX = 5e6;
/** Where the alarm is to ring again because nobody may have more open. */
const RETRY_MS = 0.2;

/** Who sends what is due, now, as of `scheduledUs`, a whole number; false if as many are open as may be. */
export interface PublicationSender {
  publishAt(scheduledUs: number): boolean;
}

/**
 * How the time is awaited until the next one is due. Both come sooner than a timer would.
 *
 * - `watched`: the clock is looked at all the time, for a client that has a core for itself;
 * - `woken`: by an alarm, some tens of microseconds later and for more CPU time each, for one that shares its cores.
 */
export type Waiting = 'watched' | 'woken';

/**
 * The open loop: publications go out when they are due, whatever has become of those before. The time between two is
 * random (exponential, so that no rhythm of the server's is favoured), the same in each run; publishers take turns.
 */
export class PublishSchedule {
  /** How late publications were handed to their sockets: the client's own part. */
  readonly lateness = new LatencyHistogram();
  readonly #sender: PublicationSender;
  readonly #alarm: Alarm | null;
  readonly #fail: (error: Error) => void;
  #gapUs = Number.POSITIVE_INFINITY;
  #nextUs = 0;
  #random = SEED;
  #isRunning = false;

  constructor(sender: PublicationSender, waiting: Waiting, fail: (error: Error) => void) {
    this.#sender = sender;
    this.#alarm = waiting === 'woken' ? new Alarm(() => this.#sendDue()) : null;
    this.#fail = fail;
  }

  /** Goes on, or begins, at this rate. */
  setRate(perSecond: number): void {
    this.#gapUs = 1e6 / perSecond;
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#nextUs = performance.now() * 1000;
    this.#sendDue();
  }

  stop(): void {
    this.#isRunning = false;
    this.#alarm?.close();
  }

  #sendDue(): void {
    if (!this.#isRunning) return;
    let nowUs = performance.now() * 1000;
    for (; this.#nextUs <= nowUs; nowUs = performance.now() * 1000) {
      if (nowUs - this.#nextUs > BEHIND_US_MAX) {
        this.#fail(new Error(`the server does not keep up: it is ${BEHIND_US_MAX / 1e6} s behind`));
        return;
      }
      if (!this.#sender.publishAt(Math.floor(this.#nextUs))) break;
      this.lateness.record(nowUs - this.#nextUs);
      this.#nextUs += -Math.log(this.#nextRandom()) * this.#gapUs;
    }
    if (this.#alarm === null) setImmediate(() => this.#sendDue());
    else this.#alarm.set(this.#nextUs > nowUs ? (this.#nextUs - nowUs) / 1000 : RETRY_MS);
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
