import { type LatencySummary, summarizeHdr } from './hdr.ts';
import type { Sample, SlotClock } from './recorder.ts';
import type { Series } from './series.ts';

const MIB = 1_048_576;

/** From one slot on, up to another one and without it. */
export interface SlotRange {
  readonly from?: number;
  readonly to?: number;
}

/** Puts together what load processes and servers tell, slot by slot. */
export class Timeline {
  readonly clock: SlotClock;
  /** By name and slot. */
  readonly #counts = new Map<string, number[]>();
  readonly #latencies = new Map<string, string[][]>();
  readonly #gauges = new Map<string, number[]>();
  #slots = 0;

  constructor(clock: SlotClock) {
    this.clock = clock;
  }

  get slotNow(): number {
    return Math.max(0, Math.floor((Date.now() - this.clock.originMs) / this.clock.slotMs));
  }

  add(process: number, { slot, counts, latencies, cpu, loopBusy, memoryBytes }: Sample): void {
    for (const [name, times] of Object.entries(counts)) {
      const all = listOf(this.#counts, name);
      all[slot] = (all[slot] ?? 0) + times;
    }
    for (const [name, encoded] of Object.entries(latencies)) {
      const all = listOf(this.#latencies, name);
      all[slot] = [...(all[slot] ?? []), encoded];
    }
    this.gauge(`load ${process} CPU`, cpu, slot);
    this.gauge(`load ${process} busy`, loopBusy, slot);
    this.gauge(`load ${process} memory, MiB`, memoryBytes / MIB, slot);
    this.#slots = Math.max(this.#slots, slot + 1);
  }

  gauge(name: string, value: number, slot = this.slotNow): void {
    listOf(this.#gauges, name)[slot] = value;
    this.#slots = Math.max(this.#slots, slot + 1);
  }

  /** How often something has happened, from one slot up to another one. */
  total(name: string, { from = 0, to }: SlotRange = {}): number {
    return (this.#counts.get(name) ?? []).slice(from, to).reduce((sum, times) => sum + times, 0);
  }

  /** All that has been counted whose name begins so, without that beginning. */
  totals(prefix: string, range?: SlotRange): Record<string, number> {
    const names = [...this.#counts.keys()].filter((name) => name.startsWith(prefix));
    const all = names.map((name) => [name.slice(prefix.length), this.total(name, range)] as const);
    return Object.fromEntries(all.filter(([, times]) => times > 0));
  }

  /** The most in one slot, a second. */
  peakPerSecond(name: string, { from = 0, to }: SlotRange = {}): number {
    const most = (this.#counts.get(name) ?? []).slice(from, to).reduce((max, times) => Math.max(max, times), 0);
    return (most * 1000) / this.clock.slotMs;
  }

  /** The values of a gauge that were read. */
  valuesOf(name: string, { from = 0, to }: SlotRange = {}): number[] {
    // What was not read is a hole, and flat leaves holes out.
    return (this.#gauges.get(name) ?? []).slice(from, to).flat();
  }

  summaries(): Record<string, LatencySummary> {
    return Object.fromEntries([...this.#latencies].map(([name, slots]) => [name, summarizeHdr(slots.flat())]));
  }

  series(): Series {
    const slots = Array.from({ length: this.#slots }, (_, slot) => slot);
    const entries = <T, R>(all: ReadonlyMap<string, T[]>, read: (value: T | undefined) => R) =>
      [...all].map(([name, list]) => [name, slots.map((slot) => read(list[slot]))] as const);
    const latencies = [...this.#latencies].map(([name, list]) => {
      const each = slots.map((slot) => (list[slot] === undefined ? null : summarizeHdr(list[slot])));
      return [name, { p50Ms: each.map((one) => one?.p50Ms ?? null), p99Ms: each.map((one) => one?.p99Ms ?? null) }];
    });
    return {
      slotMs: this.clock.slotMs,
      seconds: slots.map((slot) => (slot * this.clock.slotMs) / 1000),
      counts: Object.fromEntries(entries(this.#counts, (times) => times ?? 0)),
      latencies: Object.fromEntries(latencies),
      gauges: Object.fromEntries(entries(this.#gauges, (value) => value ?? null)),
    };
  }
}

function listOf<T>(all: Map<string, T[]>, name: string): T[] {
  let list = all.get(name);
  if (list === undefined) {
    list = [];
    all.set(name, list);
  }
  return list;
}
