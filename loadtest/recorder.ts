import { encodeHdr } from './hdr.ts';
import { LatencyHistogram } from './latency-histogram.ts';

/** The slots of time that a run is told in, the same for all of its processes. */
export interface SlotClock {
  /** When the first slot began, in ms since 1970. */
  readonly originMs: number;
  readonly slotMs: number;
}

/** What a load process tells of a slot when that is over. */
export interface Sample {
  readonly kind: 'sample';
  readonly slot: number;
  /** How often what has happened, by its name. */
  readonly counts: Readonly<Record<string, number>>;
  /** By what they are of: see `encodeHdr`. */
  readonly latencies: Readonly<Record<string, string>>;
  /** Share of a core that the process has used since its last sample, and of the time in which its loop had no rest. */
  readonly cpu: number;
  readonly loopBusy: number;
  /** Resident, at the end of the slot. */
  readonly memoryBytes: number;
}

/** Slots of a run at most: a longer one has longer slots. */
const SLOTS_MAX = 600;

/** The shortest slots, no shorter than `slotMsMin`, of which so long a run has no more than can be told. */
export function slotMsFor(runMs: number, slotMsMin: number): number {
  return slotMsMin * Math.max(1, Math.ceil(runMs / SLOTS_MAX / slotMsMin));
}

/** Puts what happens in a load process into the slot that it happens in, to the millisecond, and tells of each once. */
export class Recorder {
  readonly #clock: SlotClock;
  readonly #tell: (sample: Sample) => void;
  readonly #before: () => void;
  readonly #counts = new Map<string, number>();
  readonly #latencies = new Map<string, LatencyHistogram>();
  readonly #timer: NodeJS.Timeout;
  #slot: number;
  #cpu = process.cpuUsage();
  #loop = performance.eventLoopUtilization();
  #toldMs = performance.now();

  /** @param before called before a slot is told, to count what is only counted in sums */
  constructor(clock: SlotClock, tell: (sample: Sample) => void, before: () => void = () => {}) {
    this.#clock = clock;
    this.#tell = tell;
    this.#before = before;
    this.#slot = this.#slotNow();
    this.#timer = setInterval(() => {
      before();
      this.#roll();
    }, clock.slotMs);
    this.#timer.unref();
  }

  count(name: string, times = 1): void {
    this.#roll();
    this.sum(name, times);
  }

  /** Counts what was counted elsewhere since the last time, in the slot that is being told. */
  sum(name: string, times: number): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + times);
  }

  latency(name: string, us: number): void {
    this.#roll();
    this.#histogramOf(name).record(us);
  }

  /** The same of latencies. */
  latencies(name: string, histogram: LatencyHistogram): void {
    if (histogram.count > 0) this.#histogramOf(name).add(histogram);
  }

  /** Tells of the slot that is not over yet. */
  end(): void {
    clearInterval(this.#timer);
    this.#before();
    this.#flush();
  }

  #histogramOf(name: string): LatencyHistogram {
    let histogram = this.#latencies.get(name);
    if (histogram === undefined) {
      histogram = new LatencyHistogram();
      this.#latencies.set(name, histogram);
    }
    return histogram;
  }

  #slotNow(): number {
    const nowMs = performance.timeOrigin + performance.now();
    return Math.max(0, Math.floor((nowMs - this.#clock.originMs) / this.#clock.slotMs));
  }

  #roll(): void {
    const slot = this.#slotNow();
    if (slot <= this.#slot) return;
    this.#flush();
    this.#slot = slot;
  }

  #flush(): void {
    const counts = Object.fromEntries(this.#counts);
    const latencies = Object.fromEntries([...this.#latencies].map(([name, histogram]) => [name, encodeHdr(histogram)]));
    this.#counts.clear();
    this.#latencies.clear();
    const { user, system } = process.cpuUsage(this.#cpu);
    const nowMs = performance.now();
    const us = Math.max(1, (nowMs - this.#toldMs) * 1000);
    this.#toldMs = nowMs;
    this.#cpu = process.cpuUsage();
    const { utilization: loopBusy } = performance.eventLoopUtilization(this.#loop);
    this.#loop = performance.eventLoopUtilization();
    const memoryBytes = process.memoryUsage.rss();
    this.#tell({
      kind: 'sample',
      slot: this.#slot,
      counts,
      latencies,
      cpu: (user + system) / us,
      loopBusy,
      memoryBytes,
    });
  }
}
