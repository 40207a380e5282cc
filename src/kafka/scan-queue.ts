import type { KafkaLogSettings } from './kafka-settings.ts';
import { RecordsGoneError } from './records-gone-error.ts';
import { Scan, type ScanContext, type Scanned, type Waiter, type Want } from './scan.ts';

/** Scans in a row that may find records gone: retention deletes seldom, and each time where the log begins is asked. */
const GONE_MAX = 3;

/** How scans ended: all had theirs, or not within its bounds, or Kafka did not let it. */
export type ScanCounts = Record<'finished' | 'cut' | 'failed', number>;

export interface ScanQueueContext extends ScanContext {
  readonly settings: ScanContext['settings'] & Pick<KafkaLogSettings, 'scansMax'>;
}

/** The wants of one partition. */
interface Line {
  readonly partition: number;
  /** Whose turn it is: of them the lowest is where the next scan begins. */
  waiting: Waiter[];
  /** Who has come since, and waits until those are served: or who wants what is older could hold them up for good. */
  late: Waiter[];
  scan: Scan | null;
  isDue: boolean;
  /** Scans in a row that found records gone. */
  gone: number;
}

/**
 * Shares scans: one at a time in a partition for all who wait there, and `scansMax` at a time in all, the partitions in
 * turn. Each scan answers one at least of those whose turn it is, so that everybody's comes.
 */
export class ScanQueue {
  readonly counts: ScanCounts = { finished: 0, cut: 0, failed: 0 };
  readonly #context: ScanQueueContext;
  readonly #lines = new Map<number, Line>();
  /** Those that want a scan and have none, the first one first. */
  readonly #due: Line[] = [];
  #running = 0;

  constructor(context: ScanQueueContext) {
    this.#context = context;
  }

  /** Scans under way. */
  get running(): number {
    return this.#running;
  }

  /**
   * Resolves when the want was given what it is about, as far as that goes. It has no bound of its own: whoever wants
   * is counted by the caller.
   *
   * @throws Error if Kafka fails, or the log begins anew
   */
  scan(want: Want): Promise<Scanned> {
    return new Promise((resolve, reject) => {
      const waiter = { want, from: want.from, resolve, reject };
      const line = this.#lineOf(want.partition);
      if (line.scan?.admit(waiter)) return;
      line.late.push(waiter);
      this.#enqueue(line);
    });
  }

  #lineOf(partition: number): Line {
    let line = this.#lines.get(partition);
    if (line === undefined) {
      line = { partition, waiting: [], late: [], scan: null, isDue: false, gone: 0 };
      this.#lines.set(partition, line);
    }
    return line;
  }

  #enqueue(line: Line): void {
    if (line.isDue || line.scan !== null) return;
    line.isDue = true;
    this.#due.push(line);
    this.#startDue();
  }

  #startDue(): void {
    while (this.#running < this.#context.settings.scansMax) {
      const next = this.#due.shift();
      if (next === undefined) return;
      void this.#run(next);
    }
  }

  async #run(line: Line): Promise<void> {
    line.isDue = false;
    const epoch = this.#context.epoch();
    line.waiting = ofEpoch(epoch, line.waiting);
    line.late = ofEpoch(epoch, line.late);
    if (line.waiting.length + line.late.length === 0) {
      this.#lines.delete(line.partition);
      return;
    }
    this.#running += 1;
    const scan = new Scan(this.#context, line.partition, takeTurn(line));
    line.scan = scan;
    try {
      await scan.run();
      this.counts[scan.isCut ? 'cut' : 'finished'] += 1;
      line.gone = 0;
      line.waiting = scan.rest();
    } catch (error) {
      this.counts.failed += 1;
      const rest = scan.rest();
      line.gone += 1;
      if (error instanceof RecordsGoneError && line.gone < GONE_MAX) {
        line.waiting = rest;
      } else {
        line.gone = 0;
        for (const { reject } of rest) reject(error);
      }
    }
    line.scan = null;
    this.#running -= 1;
    if (line.waiting.length + line.late.length === 0) this.#lines.delete(line.partition);
    // Behind the others that are due.
    else this.#enqueue(line);
    this.#startDue();
  }
}

/** Refuses the others: of their log nothing is to be had. */
function ofEpoch(epoch: string, waiters: readonly Waiter[]): Waiter[] {
  return waiters.filter(({ want, reject }) => {
    if (want.epoch !== epoch) reject(new Error('the log has just begun anew'));
    return want.epoch === epoch;
  });
}

/** Those for whom the next scan is: with whose turn it is go those of the late ones that it comes by. */
function takeTurn(line: Line): Waiter[] {
  if (line.waiting.length === 0) [line.waiting, line.late] = [line.late, []];
  const start = Math.min(...line.waiting.map(({ from }) => from));
  const taken = [...line.waiting, ...line.late.filter(({ from }) => from >= start)];
  line.waiting = [];
  line.late = line.late.filter(({ from }) => from < start);
  return taken;
}
