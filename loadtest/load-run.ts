import { setTimeout as sleep } from 'node:timers/promises';
import type { LoadOptions } from './load-options.ts';
import { OTHER_LOAD_MAX } from './load-plan.ts';
import type { Check, Figure, Moment } from './load-result.ts';
import type { Progress } from './progress.ts';
import { MACHINE, type ReplicaCounts, type ServerWatch } from './server-watch.ts';
import type { Target } from './target.ts';
import type { SlotRange, Timeline } from './timeline.ts';

/** Share of the time beyond which a load process may be what limits the run. */
const BUSY_MAX = 0.9;

/** One run of a scenario: what it works with, and what it has found. */
export class LoadRun {
  readonly options: LoadOptions;
  readonly cores: readonly number[];
  readonly target: Target;
  readonly timeline: Timeline;
  readonly watch: ServerWatch;
  readonly checks: Check[] = [];
  readonly figures: Figure[] = [];
  readonly moments: Moment[] = [];
  readonly warnings: string[] = [];
  readonly #stopping: AbortSignal;
  readonly #progress: Progress;

  /** @param stopping aborted when the run is to come to its end early */
  constructor(
    options: LoadOptions,
    cores: readonly number[],
    target: Target,
    timeline: Timeline,
    watch: ServerWatch,
    stopping: AbortSignal,
    progress: Progress,
  ) {
    this.options = options;
    this.cores = cores;
    this.target = target;
    this.timeline = timeline;
    this.watch = watch;
    this.#stopping = stopping;
    this.#progress = progress;
  }

  get isStopping(): boolean {
    return this.#stopping.aborted;
  }

  say(what: string): void {
    this.#progress.say(what);
  }

  check(what: string, isGood: boolean, found: string): void {
    this.checks.push({ what, isGood, found });
  }

  /** @throws RangeError unless the value is a number that JSON knows */
  figure(name: string, value: number, unit: string): void {
    if (!Number.isFinite(value)) throw new RangeError(`${name}: ${value}`);
    this.figures.push({ name, value, unit });
  }

  /** Now. */
  moment(name: string): void {
    this.moments.push({ name, seconds: (Date.now() - this.timeline.clock.originMs) / 1000 });
  }

  /** Resolves after this time, or when the run is to end. */
  async pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stopping }).catch(() => {});
  }

  /** Asks until `isSo`, or this time is over, which is told by `false`, or the run is to end. */
  async until(isSo: () => Promise<boolean>, withinMs: number, pollMs: number): Promise<boolean> {
    const deadlineMs = performance.now() + withinMs;
    for (;;) {
      if (await isSo()) return true;
      if (performance.now() > deadlineMs || this.isStopping) return false;
      await this.pause(pollMs);
    }
  }

  /** What a replica has told of itself last. */
  countsOf(name: string): ReplicaCounts {
    return this.watch.counts.get(name) ?? { refused: {}, disconnects: {} };
  }

  /** Figures of CPU and memory of all servers and load processes, and a warning where the load had no rest. */
  async figuresOfUse(range: SlotRange): Promise<void> {
    const { timeline, target, options } = this;
    await this.watch.read();
    let othersCpu = meanOf(timeline.valuesOf(`${MACHINE} CPU`, range));
    for (const { name } of [...target.replicas, ...target.besides]) {
      const within = timeline.valuesOf(`${name} CPU`, range);
      // Of a second or two there may be no reading but that of just now.
      const cpu = within.length > 0 ? within : timeline.valuesOf(`${name} CPU`).slice(-1);
      if (cpu.length === 0) continue;
      othersCpu -= meanOf(cpu);
      this.figure(`${name} CPU`, meanOf(cpu) * 100, '%');
      this.figure(`${name} CPU, most`, Math.max(...cpu) * 100, '%');
      this.figure(`${name} memory, most`, Math.max(...timeline.valuesOf(`${name} memory, MiB`)), 'MiB');
      const delays = timeline.valuesOf(`${name} loop delay, most, ms`, range);
      if (delays.length > 0) this.figure(`${name} loop delay, most`, Math.max(...delays), 'ms');
    }
    for (let process = 1; process <= options.processes; process++) {
      const cpu = meanOf(timeline.valuesOf(`load ${process} CPU`, range));
      othersCpu -= cpu;
      this.figure(`load process ${process} CPU`, cpu * 100, '%');
      this.figure(
        `load process ${process} memory, most`,
        Math.max(0, ...timeline.valuesOf(`load ${process} memory, MiB`)),
        'MiB',
      );
      const busy = timeline.valuesOf(`load ${process} busy`, range);
      const full = busy.filter((share) => share > BUSY_MAX).length;
      if (full === 0) continue;
      this.warnings.push(
        `Load process ${process} had no rest in ${full} of ${busy.length} slots of ${timeline.clock.slotMs} ms: ` +
          'what was measured then may be its own limit. More --processes share it, where there are cores for them.',
      );
    }
    this.figure('others on this machine CPU', Math.max(0, othersCpu) * 100, '%');
    if (othersCpu > OTHER_LOAD_MAX) {
      this.warnings.push(`Other processes of this machine took ${Math.round(othersCpu * 100)} % of a core meanwhile.`);
    }
  }
}

/** A scenario: what is done to a gateway, and what is checked. */
export interface Scenario {
  /** Settings of replicas that are started for it. */
  env(options: LoadOptions): Readonly<Record<string, string>>;
  /** For progress: about how long it takes. */
  plannedMs(options: LoadOptions): number;
  /** Shortest slots that its timeline may have. */
  readonly slotMsMin: number;
  run(run: LoadRun): Promise<void>;
}

function meanOf(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
