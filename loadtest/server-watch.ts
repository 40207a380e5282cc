import { allowedCores, coreBusySeconds, processCpuSeconds } from './cpu.ts';
import { residentBytes } from './memory-reading.ts';
import { readMetrics, seriesOf } from './metrics-page.ts';
import type { Replica, Target } from './target.ts';
import type { Timeline } from './timeline.ts';

const READ_MS_MIN = 1_000;
const READY_POLL_MS = 500;
const READY_TIMEOUT_MS = 1_000;
/** Answers in a row that a replica may owe before it counts as not ready. */
const READY_FAILURES_MAX = 2;
const MIB = 1_048_576;

/** All cores, whoever uses them. */
export const MACHINE = 'machine';

/** What replicas tell of themselves, as counted since they began. */
export interface ReplicaCounts {
  /** By code or reason. */
  readonly refused: Readonly<Record<string, number>>;
  readonly disconnects: Readonly<Record<string, number>>;
}

/** Watches servers while they are loaded, into a timeline: CPU, memory, the delay of their loops, sessions. */
export class ServerWatch {
  readonly #target: Target;
  readonly #timeline: Timeline;
  readonly #cpuBefore = new Map<string, { readonly atMs: number; readonly seconds: number }>();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #counts = new Map<string, ReplicaCounts>();

  constructor(target: Target, timeline: Timeline) {
    this.#target = target;
    this.#timeline = timeline;
  }

  /** @param onReady which of the replicas are ready, by their places, when that has changed */
  begin(onReady: (areReady: readonly boolean[]) => void): void {
    const readMs = Math.max(READ_MS_MIN, this.#timeline.clock.slotMs);
    void this.read();
    this.#every(readMs, () => this.read());
    const { replicas } = this.#target;
    const failures = replicas.map(() => 0);
    let told = replicas.map(() => true);
    this.#every(READY_POLL_MS, async () => {
      await Promise.all(
        replicas.map(async ({ internal }, place) => {
          if (internal === null) return;
          failures[place] = (await isReady(internal)) ? 0 : (failures[place] as number) + 1;
        }),
      );
      const areReady = failures.map((count) => count < READY_FAILURES_MAX);
      if (areReady.join() === told.join()) return;
      told = areReady;
      onReady(areReady);
    });
  }

  /** By name; the last that was heard of each. */
  get counts(): ReadonlyMap<string, ReplicaCounts> {
    return this.#counts;
  }

  /** Reads all there is to read, now. */
  async read(): Promise<void> {
    this.#cpu(
      MACHINE,
      allowedCores().reduce((sum, core) => sum + coreBusySeconds(core), 0),
    );
    for (const { name, pid } of this.#target.besides) this.#readProcess(name, pid);
    await Promise.all(this.#target.replicas.map((replica) => this.#readReplica(replica)));
  }

  /** Reads once more, so that nothing of the end is missing. */
  async end(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.read();
  }

  /** One at a time: who has not answered is not asked again. */
  #every(ms: number, act: () => Promise<void>): void {
    let isActing = false;
    const timer = setInterval(async () => {
      if (isActing) return;
      isActing = true;
      await act();
      isActing = false;
    }, ms);
    timer.unref();
    this.#timers.push(timer);
  }

  async #readReplica({ name, pid, internal }: Replica): Promise<void> {
    if (pid !== null) this.#readProcess(name, pid);
    if (internal === null) return;
    let metrics: ReadonlyMap<string, number>;
    try {
      metrics = await readMetrics(internal);
    } catch {
      // Gone, frozen, or too busy to answer: its place in the timeline stays empty.
      return;
    }
    const gauge = (what: string, value: number | undefined) =>
      value !== undefined && this.#timeline.gauge(`${name} ${what}`, value);
    gauge('sessions', metrics.get('tidegate_sessions'));
    gauge('loop delay, most, ms', (metrics.get('nodejs_eventloop_lag_max_seconds') ?? 0) * 1000);
    if (pid === null) {
      gauge('memory, MiB', (metrics.get('process_resident_memory_bytes') ?? 0) / MIB);
      this.#cpu(name, metrics.get('process_cpu_seconds_total') ?? 0);
    }
    const refused = Object.fromEntries(seriesOf(metrics, 'tidegate_connections_refused_total'));
    const disconnects = Object.fromEntries(seriesOf(metrics, 'tidegate_disconnects_total'));
    this.#counts.set(name, { refused, disconnects });
  }

  #readProcess(name: string, pid: number): void {
    try {
      const bytes = residentBytes(pid);
      // It has ended, and nobody has asked how.
      if (Number.isNaN(bytes)) return;
      this.#timeline.gauge(`${name} memory, MiB`, bytes / MIB);
      this.#cpu(name, processCpuSeconds(pid));
    } catch {
      // It has ended.
    }
  }

  #cpu(name: string, seconds: number): void {
    const atMs = performance.now();
    const before = this.#cpuBefore.get(name);
    this.#cpuBefore.set(name, { atMs, seconds });
    if (before === undefined) return;
    this.#timeline.gauge(`${name} CPU`, ((seconds - before.seconds) * 1000) / (atMs - before.atMs));
  }
}

async function isReady(internal: string): Promise<boolean> {
  try {
    const { ok } = await fetch(new URL('/health/ready', internal), { signal: AbortSignal.timeout(READY_TIMEOUT_MS) });
    return ok;
  } catch {
    return false;
  }
}
