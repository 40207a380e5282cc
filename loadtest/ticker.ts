import type { LoadRun } from './load-run.ts';
import { formatCount } from './table.ts';

const TICK_MS = 2_000;
const COUNTED = ['attempts', 'publications', 'deliveries'] as const;

/** Says how a run is going, while it is. */
export class Ticker {
  readonly #run: LoadRun;
  readonly #timer: NodeJS.Timeout;
  #tickedMs = performance.now();
  readonly #totals = new Map<string, number>();

  constructor(run: LoadRun) {
    this.#run = run;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#timer.unref();
  }

  end(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const { timeline } = this.#run;
    const nowMs = performance.now();
    const seconds = (nowMs - this.#tickedMs) / 1000;
    this.#tickedMs = nowMs;
    const words = COUNTED.map((name) => {
      const total = timeline.total(name);
      const times = total - (this.#totals.get(name) ?? 0);
      this.#totals.set(name, total);
      return `${formatCount(times / seconds)} ${name}/s`;
    });
    const online = timeline.total('came online') - timeline.total('went offline');
    this.#run.say([...(online > 0 ? [`${formatCount(online)} online`] : []), ...words].join(', '));
  }
}
