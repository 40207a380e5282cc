import type { PublishTrace } from '../observability/tracing.ts';
import { CommandError } from '../protocol/errors.ts';
import { PendingTable, type TableEntry } from './pending-table.ts';
import type { Appended } from './room-log.ts';

/** Milliseconds after which it makes sense to try again what the log has no room for. */
const RETRY_AFTER_MS = 500;

/** Someone who waits for a record's outcome: its publisher, or a retry that came while it was under way. */
interface Waiter {
  readonly dataHash: number;
  /** Whether the record is this one's own, and not that of an earlier call. */
  readonly first: boolean;
  /** By the monotonic clock; set once the record is in flight. */
  deadlineMs: number;
  readonly resolve: (appended: Appended) => void;
  readonly reject: (error: CommandError) => void;
}

/** What the queue needs to know of a record that is to be appended and has no outcome yet. */
export interface PendingAppend {
  /** See `dedupeId`. */
  readonly id: string;
  readonly dataHash: number;
  readonly value: Buffer;
  readonly trace?: PublishTrace | undefined;
}

interface Entry<Append> extends TableEntry<Entry<Append>> {
  readonly append: Append;
  readonly queuedAtMs: number;
  /** The record which must be appended before this one, until it is. */
  predecessor: Entry<Append> | undefined;
  appended: boolean;
  /** Emptied when the record fails, also where it fails for those who waited alone. */
  waiters: Waiter[];
}

export interface AppendQueueSettings {
  readonly queueRecordsMax: number;
  /** Bytes of values. */
  readonly queueBytesMax: number;
  readonly queueWaitMsMax: number;
  readonly appendTimeoutMs: number;
}

/** Where a record's first one stands, and what that was. */
export interface Settled extends Appended {
  readonly dataHash: number;
}

/** What all queues of a log hold together. */
export class AppendLoad {
  /** Callers without an answer. */
  waiters = 0;
  records = 0;
  /** Of values that are queued or in flight. */
  bytes = 0;
}

/**
 * Appends on their way into a log: queued in the order of the calls, then one batch in flight, whose outcome
 * comes for all of it at once. Keeps the bounds and the deadlines, lets retries wait for the record that is
 * under way already, and fails what was to come after a record that failed.
 */
export class AppendQueue<Append extends PendingAppend> {
  readonly #settings: AppendQueueSettings;
  /** By the monotonic clock, milliseconds. */
  readonly #monotonic: () => number;
  readonly #pending: PendingTable<Entry<Append>>;
  /** Ids that were refused since the loop's last turn: their callers can't have learned it yet. */
  readonly #justRefused = new Set<string>();
  readonly #load: AppendLoad;
  #queue: Entry<Append>[] = [];
  #flight: Entry<Append>[] = [];
  #sentAtMs = 0;

  /** @param load shared where a log has several queues, so that the bounds are those of all */
  constructor(
    settings: AppendQueueSettings,
    monotonic: () => number = () => performance.now(),
    load: AppendLoad = new AppendLoad(),
  ) {
    this.#settings = settings;
    this.#monotonic = monotonic;
    this.#load = load;
    this.#pending = new PendingTable(settings.queueRecordsMax);
  }

  /** Of all queues that share it. */
  get load(): Readonly<AppendLoad> {
    return this.#load;
  }

  get queued(): number {
    return this.#queue.length;
  }

  /** Milliseconds since the batch in flight was taken, or 0 if there is none. */
  get flightMs(): number {
    return this.#flight.length === 0 ? 0 : this.#nowMs() - this.#sentAtMs;
  }

  /** Whether a record with this id is queued or in flight. */
  has(id: string): boolean {
    return this.#pending.get(id) !== undefined;
  }

  /** Waits for the outcome of a record that is queued or in flight. */
  attach(id: string, dataHash: number): Promise<Appended> {
    const entry = this.#pending.get(id);
    if (entry === undefined) throw new Error('nothing with this id is pending');
    if (this.#load.waiters >= this.#settings.queueRecordsMax) {
      return this.refuse(id, overloaded('too many publishes wait'));
    }
    this.#load.waiters++;
    const deadlineMs = this.#nowMs() + this.#settings.appendTimeoutMs;
    return new Promise((resolve, reject) => {
      entry.waiters.push({ dataHash, first: false, deadlineMs, resolve, reject });
    });
  }

  /** @param after id of the record without whose success this one fails */
  add(append: Append, after: string | undefined): Promise<Appended> {
    const predecessor = after === undefined ? undefined : this.#pending.get(after);
    const { queueRecordsMax, queueBytesMax } = this.#settings;
    if (after !== undefined && this.#hasFailed(after, predecessor)) return this.refuse(append.id, predecessorFailed());
    const load = this.#load;
    if (load.waiters >= queueRecordsMax || load.records >= queueRecordsMax) {
      return this.refuse(append.id, overloaded('too many publishes wait'));
    }
    if (load.bytes + append.value.length > queueBytesMax) {
      return this.refuse(append.id, overloaded('too many bytes of publishes wait'));
    }
    if (this.#justRefused.size > 0) this.#justRefused.delete(append.id);
    const queuedAtMs = this.#nowMs();
    const deadlineMs = queuedAtMs + this.#settings.appendTimeoutMs;
    load.waiters++;
    load.records++;
    load.bytes += append.value.length;
    append.trace?.queued();
    return new Promise((resolve, reject) => {
      const waiters = [{ dataHash: append.dataHash, first: true, deadlineMs, resolve, reject }];
      const { id } = append;
      const entry: Entry<Append> = { id, append, queuedAtMs, predecessor, appended: false, waiters, next: undefined };
      this.#pending.add(entry);
      this.#queue.push(entry);
    });
  }

  /**
   * Refuses a publish at once, and until the loop's next turn all that is to come after it: their session may
   * hand them in before it can have learned of this.
   */
  refuse(id: string, error: CommandError): Promise<never> {
    if (this.#justRefused.size === 0) setImmediate(() => this.#justRefused.clear());
    this.#justRefused.add(id);
    return Promise.reject(error);
  }

  /** Takes what is queued into flight, in order and as far as the bounds go; there must be no other batch. */
  take(recordsMax = Number.POSITIVE_INFINITY, bytesMax = Number.POSITIVE_INFINITY): readonly Append[] {
    this.#expireQueued();
    const count = this.#countWithin(recordsMax, bytesMax);
    if (count === this.#queue.length) {
      this.#flight = this.#queue;
      this.#queue = [];
    } else {
      this.#flight = this.#queue.splice(0, count);
    }
    this.#sentAtMs = this.#nowMs();
    for (const entry of this.#flight) {
      for (const waiter of entry.waiters) waiter.deadlineMs = this.#sentAtMs + this.#settings.appendTimeoutMs;
    }
    return this.#flight.map(({ append }) => append);
  }

  /** The batch in flight is in the log: `outcomes` has the first record of each id, in the batch's order. */
  succeed(outcomes: readonly Settled[]): void {
    const flight = this.#endFlight();
    let areAll = true;
    for (const [index, entry] of flight.entries()) {
      const outcome = outcomes[index];
      if (outcome === undefined) throw new Error('a batch without all of its outcomes');
      const { position, duplicate, dataHash } = outcome;
      // Another replica may have had a publish with this id first, and other data.
      entry.appended = dataHash === entry.append.dataHash;
      areAll &&= entry.appended;
      for (const waiter of entry.waiters) {
        if (waiter.dataHash !== dataHash) waiter.reject(midConflict());
        else waiter.resolve({ position, duplicate: duplicate || !waiter.first });
      }
      this.#forget(entry);
    }
    for (const entry of this.#queue) {
      if (entry.predecessor?.appended) entry.predecessor = undefined;
    }
    if (!areAll) this.#failSuccessors();
  }

  /** The batch in flight failed for all who still wait, and for what was to come after it. */
  fail(error: () => CommandError): void {
    for (const entry of this.#endFlight()) this.#reject(entry, error);
    this.#failSuccessors();
  }

  /** Fails what is queued, as when nothing can be sent any more. */
  failQueued(error: () => CommandError): void {
    const queue = this.#queue;
    this.#queue = [];
    for (const entry of queue) this.#reject(entry, error);
  }

  /** Applies the deadlines; called from time to time. */
  expire(): void {
    this.#expireQueued();
    const now = this.#nowMs();
    let expired = false;
    for (const entry of this.#flight) {
      if (entry.waiters.length === 0 || !entry.waiters.some((waiter) => waiter.deadlineMs <= now)) continue;
      expired = true;
      const late = entry.waiters.filter((waiter) => waiter.deadlineMs <= now);
      entry.waiters = entry.waiters.filter((waiter) => waiter.deadlineMs > now);
      this.#load.waiters -= late.length;
      for (const waiter of late) waiter.reject(unknownOutcome('the append was not confirmed in time'));
    }
    if (expired) this.#failSuccessors();
  }

  #countWithin(recordsMax: number, bytesMax: number): number {
    if (this.#queue.length <= recordsMax && bytesMax === Number.POSITIVE_INFINITY) return this.#queue.length;
    let bytes = 0;
    const behind = this.#queue.findIndex(({ append }, index) => {
      bytes += append.value.length;
      return index >= recordsMax || (index > 0 && bytes > bytesMax);
    });
    return behind === -1 ? this.#queue.length : behind;
  }

  /** In whole milliseconds: as such it takes no memory of its own in an entry. */
  #nowMs(): number {
    return Math.floor(this.#monotonic());
  }

  #expireQueued(): void {
    const oldest = this.#nowMs() - this.#settings.queueWaitMsMax;
    const expired = this.#queue.findIndex((entry) => entry.queuedAtMs > oldest);
    const count = expired === -1 ? this.#queue.length : expired;
    if (count === 0) return;
    for (const entry of this.#queue.splice(0, count)) {
      this.#reject(entry, () => overloaded('the log is too slow: the publish waited too long'));
    }
    this.#failSuccessors();
  }

  /** Fails what is queued behind a record for which nobody waits any more, in order, so that it carries on. */
  #failSuccessors(): void {
    this.#queue = this.#queue.filter((entry) => {
      if (entry.predecessor === undefined || entry.predecessor.waiters.length > 0) return true;
      this.#reject(entry, predecessorFailed);
      return false;
    });
  }

  #hasFailed(after: string, predecessor: Entry<Append> | undefined): boolean {
    if (predecessor === undefined) return this.#justRefused.has(after);
    // A retry with other data waits for `mid_conflict` at best, and what comes after it means that one.
    const newest = predecessor.waiters.at(-1);
    return newest === undefined || newest.dataHash !== predecessor.append.dataHash;
  }

  #reject(entry: Entry<Append>, error: () => CommandError): void {
    const waiters = entry.waiters;
    this.#forget(entry);
    for (const waiter of waiters) waiter.reject(error());
  }

  #forget(entry: Entry<Append>): void {
    this.#load.waiters -= entry.waiters.length;
    this.#load.records--;
    this.#load.bytes -= entry.append.value.length;
    entry.waiters = [];
    entry.predecessor = undefined;
    this.#pending.delete(entry);
  }

  #endFlight(): Entry<Append>[] {
    const flight = this.#flight;
    this.#flight = [];
    return flight;
  }
}

export function overloaded(message: string): CommandError {
  return new CommandError('overloaded', message, RETRY_AFTER_MS);
}

export function unavailable(message: string): CommandError {
  return new CommandError('unavailable', message);
}

export function unknownOutcome(message: string): CommandError {
  return new CommandError('unknown_outcome', message);
}

export function midConflict(): CommandError {
  return new CommandError('mid_conflict', 'this mid was used by this user in this room for other data');
}

function predecessorFailed(): CommandError {
  return overloaded('the publish named by `after` failed');
}
