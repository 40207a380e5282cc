import type { TraceIds } from '../observability/tracing.ts';
import type { CommandError } from '../protocol/errors.ts';
import { encodeValue, type Publication } from '../protocol/publication.ts';
import { AppendQueue, midConflict, overloaded, type Settled, unavailable, unknownOutcome } from './append-queue.ts';
import { DedupeWindow, dataHash, dedupeId } from './dedupe.ts';
import { type Append, Flight } from './embedded-flight.ts';
import type { FromWriter, Retained, ToWriter, WriterData, WriterOpened } from './embedded-messages.ts';
import { EmbeddedPages } from './embedded-pages.ts';
import type { EmbeddedLogSettings } from './embedded-settings.ts';
import type { LogLines } from './log-lines.ts';
import { LogThread } from './log-thread.ts';
import { PARTITIONS_MAX, RecordBlock } from './record-block.ts';
import { RoomIndex } from './room-index.ts';
import type { Appended, AppendRequest, Page, ReadRequest } from './room-log.ts';
import type { LogLoad, LogState, ServedLog } from './served-log.ts';

/** Milliseconds between looks at deadlines: how exact they are. */
const TICK_MS = 100;
/** Milliseconds between attempts to write while the store refuses. */
const PROBE_MS = 1_000;

/**
 * Opens the log of a data directory, creating it where there is none.
 *
 * @throws DataDirectoryError if the directory is in use, holds something else, or is damaged
 */
export async function openEmbeddedLog(settings: EmbeddedLogSettings, logger: LogLines): Promise<EmbeddedLog> {
  const { partitions, windowMs, slackMs } = settings;
  if (!Number.isInteger(partitions) || partitions < 1 || partitions > PARTITIONS_MAX) {
    throw new RangeError(`partitions must be 1 to ${PARTITIONS_MAX}, not ${partitions}`);
  }
  // One for all partitions: here time never falls.
  const window = new DedupeWindow({ windowMs, slackMs });
  const unindexed: { key: number; offset: number; block: number }[] = [];
  const data: WriterData = {
    directory: settings.directory,
    partitions,
    synced: settings.synced,
    windowSpanMs: windowMs + slackMs,
    retentionMs: settings.retentionMs,
    retentionBytes: settings.retentionBytes,
    roomMemoryMs: settings.roomMemoryMs,
    roomsRememberedMax: settings.roomsRememberedMax,
  };
  const writer = new LogThread<ToWriter, FromWriter>('embedded-writer', data);
  const opened = await writer.opened((message) => {
    if (message.kind !== 'window') return;
    for (const { number, head, unindexed: places } of message.blocks) {
      const block = RecordBlock.open(head, number) as RecordBlock;
      warm(window, block);
      for (const place of places)
        unindexed.push({ key: block.room(place), offset: block.offset(place), block: number });
    }
  });
  const index = new RoomIndex(partitions, opened.salt);
  for (const { key, offset, block } of unindexed) index.restore(key, { offset, block });
  try {
    const pages = await EmbeddedPages.open(settings, opened.epoch, logger);
    return new EmbeddedLog(settings, logger, { writer, pages, window, index, opened });
  } catch (error) {
    await writer.close({ kind: 'close' }, settings.closeTimeoutMs);
    throw error;
  }
}

function warm(window: DedupeWindow, block: RecordBlock): void {
  // What is decided here was decided when the record was committed; it only needs to be known again.
  for (let place = 0; place < block.count; place++) {
    const offset = block.offset(place);
    window.apply({ id: block.id(place), dataHash: block.dataHash(place), ts: block.ts, offset });
  }
}

/** What a log is made of. */
export interface EmbeddedLogParts {
  readonly writer: LogThread<ToWriter, FromWriter>;
  readonly pages: EmbeddedPages;
  readonly window: DedupeWindow;
  readonly index: RoomIndex;
  readonly opened: WriterOpened;
}

/**
 * The room log in an SQLite file, for one process. One thread commits, another one reads, and this one decides:
 * it stamps time and offsets, keeps the dedupe window, and hands on what was committed.
 */
export class EmbeddedLog implements ServedLog {
  readonly epoch: string;
  readonly partitions: number;
  readonly #settings: EmbeddedLogSettings;
  readonly #logger: LogLines;
  readonly #writer: LogThread<ToWriter, FromWriter>;
  readonly #pages: EmbeddedPages;
  readonly #window: DedupeWindow;
  readonly #index: RoomIndex;
  readonly #queue: AppendQueue<Append>;
  readonly #ends: number[];
  readonly #timers: NodeJS.Timeout[];
  readonly #retentionWaiters: Array<(outcome: Retained) => void> = [];
  #onBatch: ((publications: readonly Publication[]) => void) | undefined;
  #lastBlock: number;
  /** The log's time: never falls, also where the wall clock does. */
  #clock: number;
  #flight: Flight | undefined;
  #flushScheduled = false;
  #refusal: string | undefined;
  #probedAtMs = 0;
  #failure: string | undefined;
  #closing: Promise<void> | undefined;
  #settled: (() => void) | undefined;

  /** Use `openEmbeddedLog`. */
  constructor(settings: EmbeddedLogSettings, logger: LogLines, parts: EmbeddedLogParts) {
    const { writer, pages, window, index, opened } = parts;
    this.epoch = opened.epoch;
    this.partitions = settings.partitions;
    this.#settings = settings;
    this.#logger = logger;
    this.#writer = writer;
    this.#pages = pages;
    this.#window = window;
    this.#index = index;
    this.#lastBlock = opened.lastBlock;
    this.#queue = new AppendQueue(settings);
    this.#ends = [...opened.ends];
    this.#clock = opened.clock;
    this.#timers = [
      setInterval(() => this.#tick(), TICK_MS).unref(),
      setInterval(() => this.#retain(), settings.retentionIntervalMs).unref(),
    ];
    this.#tick();
    writer.onMessage((message) => this.#onMessage(message));
    writer.onFailure((reason) => this.#fail(reason));
    pages.onFailure((reason) => this.#fail(reason));
  }

  append(request: AppendRequest): Promise<Appended> {
    const { room, from, mid, data, trace } = request;
    const id = dedupeId(from, room, mid);
    const refused = this.#refusalOfAll();
    if (refused !== undefined) return this.#queue.refuse(id, refused);
    const value = encodeValue(room, from, mid, data);
    const hash = dataHash(value);
    const known = this.#window.find(id, this.#now());
    if (known !== undefined) {
      if (known.dataHash !== hash) return this.#queue.refuse(id, midConflict());
      return Promise.resolve({ position: { epoch: this.epoch, offset: known.firstOffset }, duplicate: true });
    }
    if (this.#queue.has(id)) return this.#queue.attach(id, hash);
    if (this.#window.size + this.#queue.load.waiters >= this.#settings.dedupeEntriesMax) {
      return this.#queue.refuse(id, overloaded('the memory of recent publishes is full'));
    }
    const after = request.after === undefined ? undefined : dedupeId(from, room, request.after);
    const append = { id, dataHash: hash, value, trace, name: room, room: this.#index.room(room) };
    const outcome = this.#queue.add(append, after);
    this.#scheduleFlush();
    return outcome;
  }

  tail(onBatch: (publications: readonly Publication[]) => void): void {
    if (this.#onBatch !== undefined) throw new Error('the log is tailed already');
    this.#onBatch = onBatch;
  }

  read(request: ReadRequest): Promise<Page> {
    if (this.#failure !== undefined) return Promise.reject(unavailable(this.#failure));
    if (this.#closing !== undefined) return Promise.reject(unavailable('the log is closed'));
    const room = this.#index.room(request.room);
    return this.#pages.read(request, room, this.#ends[room.partition] ?? -1);
  }

  ends(): readonly number[] {
    return this.#ends;
  }

  /** There is no other process: whatever is acknowledged has been handed on before. */
  async untilCurrent(): Promise<void> {}

  /** Whether appends can be expected to succeed: for readiness. */
  state(): LogState {
    const stuck = this.#queue.flightMs > this.#settings.queueWaitMsMax ? 'the disk does not answer' : undefined;
    const closed = this.#closing === undefined ? undefined : 'the log is closed';
    const reason = this.#failure ?? closed ?? this.#refusal ?? stuck;
    return reason === undefined ? { writable: true } : { writable: false, reason };
  }

  load(): LogLoad {
    return {
      appendsWaiting: this.#queue.load.waiters,
      bytesWaiting: this.#queue.load.bytes,
      readsWaiting: this.#pages.waiting,
      dedupeEntries: this.#window.size,
    };
  }

  /** Does a pass of retention now, or waits for the one under way. It is also done from time to time. */
  retain(): Promise<Retained> {
    const refused = this.#refusalOfAll();
    if (refused !== undefined) return Promise.reject(refused);
    return new Promise((resolve) => {
      this.#retentionWaiters.push(resolve);
      this.#retain();
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // The deadlines bound this: everyone gets an answer, also from a disk that gives none.
    while (this.#queue.load.waiters > 0 && this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#settled = resolve;
      });
    }
    for (const timer of this.#timers) clearInterval(timer);
    await this.#pages.close();
    await this.#writer.close({ kind: 'close' }, this.#settings.closeTimeoutMs);
    this.#endRetention('the log was closed');
  }

  #refusalOfAll(): CommandError | undefined {
    if (this.#failure !== undefined) return unavailable(this.#failure);
    return this.#closing === undefined ? undefined : unavailable('the log is closed');
  }

  #now(): number {
    this.#clock = Math.max(this.#clock, Math.trunc(this.#settings.now()));
    return this.#clock;
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled || this.#flight !== undefined) return;
    this.#flushScheduled = true;
    // Not at once, so that all that this turn of the loop reads from its sockets goes as one batch.
    setImmediate(() => {
      this.#flushScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#flight !== undefined || this.#failure !== undefined) return;
    const appends = this.#queue.take();
    if (appends.length > 0) this.#send(appends);
    else this.#notifySettled();
  }

  /** An empty batch is a probe. */
  #send(appends: readonly Append[]): void {
    const flight = new Flight(appends, this.#ends, this.#lastBlock + 1, this.#now());
    for (const { trace, room } of appends) trace?.sending(room.partition, appends.length);
    this.#flight = flight;
    const index = this.#index.take(appends.length, flight.first);
    const { first, blocks, ends } = flight;
    this.#post({ kind: 'commit', first, blocks: blocks.bytes, lengths: blocks.lengths, ends, index }, [blocks.bytes]);
  }

  #onMessage(message: FromWriter): void {
    if (this.#failure !== undefined) return;
    if (message.kind === 'committed') this.#onCommitted();
    else if (message.kind === 'commitFailed') this.#onCommitFailed(message.outcome, message.message);
    else if (message.kind === 'retained') this.#onRetained(message);
  }

  #onCommitted(): void {
    const flight = this.#endFlight();
    if (this.#refusal !== undefined) {
      this.#refusal = undefined;
      this.#logger.info({}, 'the log can be written again');
    }
    this.#index.written();
    if (flight.appends.length > 0) this.#handOn(flight);
    this.#flush();
  }

  #handOn(flight: Flight): void {
    const { epoch } = this;
    const { ts } = flight;
    const readMs = performance.now();
    const outcomes: Settled[] = [];
    const publications: Publication[] = [];
    // First the ends, then the batch: a session that joins while it is handed on has a position behind it all.
    flight.forEach(({ name, room, id, dataHash, value, trace }, offset, block) => {
      const { partition } = room;
      // What was known was answered without an append, and time doesn't step back.
      if (this.#window.apply({ id, dataHash, ts, offset }).kind !== 'deliver')
        throw new Error(`the record at ${partition}/${offset} was a duplicate`);
      this.#index.note(room, { offset, block });
      this.#ends[partition] = offset;
      this.#lastBlock = block;
      outcomes.push({ position: { epoch, offset }, duplicate: false, dataHash });
      const traced = trace && { parent: trace.context, readMs };
      publications.push({ room: name, partition, epoch, offset, ts, value, trace: traced });
    });
    this.#onBatch?.(publications);
    this.#queue.succeed(outcomes);
    this.#notifySettled();
  }

  #onCommitFailed(outcome: 'refused' | 'unknown', message: string): void {
    const { appends } = this.#endFlight();
    this.#index.notWritten();
    if (this.#refusal !== message)
      this.#logger.error(
        { records: appends.length, outcome, ...tracedOf(appends) },
        `the log can't be written: ${message}`,
      );
    this.#refusal = message;
    this.#probedAtMs = performance.now();
    const words = `the log can't be written: ${message}`;
    this.#queue.fail(() => (outcome === 'unknown' ? unknownOutcome(words) : unavailable(words)));
    this.#notifySettled();
    this.#flush();
  }

  #endFlight(): Flight {
    const flight = this.#flight;
    if (flight === undefined) throw new Error('an outcome without a batch');
    this.#flight = undefined;
    return flight;
  }

  #onRetained(outcome: Retained): void {
    const { recordsDeleted, roomsForgotten, failure } = outcome;
    if (failure !== undefined) this.#logger.warn({ failure }, 'old records could not be deleted; tried again later');
    else if (recordsDeleted + roomsForgotten > 0)
      this.#logger.info({ recordsDeleted, roomsForgotten }, 'old records deleted');
    for (const resolve of this.#retentionWaiters.splice(0)) resolve(outcome);
  }

  #retain(): void {
    // The log's time at which records are judged old is kept, so that the window can't need them later.
    this.#post({ kind: 'retain', now: this.#now() });
  }

  #tick(): void {
    this.#window.advance(this.#now());
    this.#queue.expire();
    this.#notifySettled();
    const refused = this.#refusal !== undefined && this.#flight === undefined && this.#failure === undefined;
    if (!refused || performance.now() - this.#probedAtMs < PROBE_MS) return;
    this.#probedAtMs = performance.now();
    this.#send([]);
  }

  #fail(reason: string): void {
    if (this.#failure !== undefined) return;
    this.#failure = reason;
    this.#logger.error({ reason }, 'the log has failed and must be opened anew');
    this.#flight = undefined;
    this.#queue.fail(() => unknownOutcome(reason));
    this.#queue.failQueued(() => unavailable(reason));
    this.#pages.fail(reason);
    this.#endRetention(reason);
    this.#notifySettled();
    this.#settings.onFailure?.(new Error(reason));
  }

  #endRetention(failure: string): void {
    for (const resolve of this.#retentionWaiters.splice(0)) {
      resolve({ kind: 'retained', recordsDeleted: 0, roomsForgotten: 0, failure });
    }
  }

  #notifySettled(): void {
    if (this.#queue.load.waiters > 0 && this.#failure === undefined) return;
    this.#settled?.();
    this.#settled = undefined;
  }

  #post(message: ToWriter, transfer: ArrayBuffer[] = []): void {
    this.#writer.post(message, transfer);
  }
}

/** What log lines call the first of them that is traced. */
function tracedOf(appends: readonly Append[]): TraceIds | undefined {
  return appends.find(({ trace }) => trace !== undefined)?.trace?.ids;
}
