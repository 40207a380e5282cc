import { CommandError } from '../protocol/errors.ts';
import type { Position } from '../protocol/position.ts';
import { overloaded } from './append-queue.ts';
import type { FromReader, ReadQuery, ReadResult, ToReader } from './embedded-messages.ts';
import type { LogLines } from './log-lines.ts';
import { LogThread } from './log-thread.ts';
import { unpackPage } from './page-block.ts';
import type { Posting } from './postings.ts';
import type { Room } from './room-index.ts';
import type { Page, ReadRequest } from './room-log.ts';

/** Damaged records that are remembered as reported, so that each makes one line. */
const REPORTED_MAX = 10_000;

interface Pending {
  readonly room: string;
  readonly partition: number;
  readonly resolve: (page: Page) => void;
  readonly reject: (error: CommandError) => void;
}

export interface EmbeddedPagesSettings {
  readonly directory: string;
  /** Reads that may wait; beyond, `overloaded`. */
  readonly readsQueuedMax: number;
  readonly closeTimeoutMs: number;
}

/** The reading half of the embedded log: asks the reader's thread for pages. */
export class EmbeddedPages {
  readonly #settings: EmbeddedPagesSettings;
  readonly #epoch: string;
  readonly #logger: LogLines;
  readonly #thread: LogThread<ToReader, FromReader>;
  readonly #pending = new Map<number, Pending>();
  readonly #reported = new Set<string>();
  #number = 0;

  /** @throws DataDirectoryError if the log can't be read */
  static async open(settings: EmbeddedPagesSettings, epoch: string, logger: LogLines): Promise<EmbeddedPages> {
    const thread = new LogThread<ToReader, FromReader>('embedded-reader', { directory: settings.directory });
    await thread.opened();
    return new EmbeddedPages(settings, epoch, logger, thread);
  }

  /** Use `open`. */
  constructor(
    settings: EmbeddedPagesSettings,
    epoch: string,
    logger: LogLines,
    thread: LogThread<ToReader, FromReader>,
  ) {
    this.#settings = settings;
    this.#epoch = epoch;
    this.#logger = logger;
    this.#thread = thread;
    thread.onMessage((message) => this.#onMessage(message));
  }

  /** Reads without an answer. */
  get waiting(): number {
    return this.#pending.size;
  }

  onFailure(listener: (reason: string) => void): void {
    this.#thread.onFailure(listener);
  }

  /** @param end offset of the partition's newest publication, or -1: nothing beyond it is read */
  read(request: ReadRequest, { partition, key, unindexed }: Room, end: number): Promise<Page> {
    if (this.#pending.size >= this.#settings.readsQueuedMax) return Promise.reject(overloaded('too many reads wait'));
    const number = ++this.#number;
    const { room } = request;
    return new Promise((resolve, reject) => {
      this.#pending.set(number, { room, partition, resolve, reject });
      const query = this.#query(request, end);
      this.#thread.post({ ...query, number, key, unindexed: packRange(unindexed, query.direction, query.start) });
    });
  }

  /** Answers all who wait with `unavailable`. */
  fail(message: string): void {
    for (const { reject } of this.#pending.values()) reject(new CommandError('unavailable', message));
    this.#pending.clear();
  }

  /** Ends after the reads that wait. */
  async close(): Promise<void> {
    await this.#thread.close({ kind: 'close' }, this.#settings.closeTimeoutMs);
    this.fail('the log is closed');
  }

  #query(request: ReadRequest, end: number): Omit<ReadQuery, 'number' | 'key' | 'unindexed'> {
    const { room, after, before, limit, bytesMax } = request;
    const through = Math.min(request.through, end);
    const query = { kind: 'read', room, through, limit, bytesMax } as const;
    if (after !== undefined) {
      const foreign = !this.#isKnown(after, end);
      return { ...query, direction: 'after', start: foreign ? -1 : after.offset, foreign };
    }
    const foreign = before !== undefined && !this.#isKnown(before, end);
    const start = before === undefined || foreign ? through + 1 : Math.min(before.offset, through + 1);
    return { ...query, direction: 'before', start, foreign };
  }

  /** A position beyond the end is one of another epoch: of a log that this one has replaced. */
  #isKnown(position: Position, end: number): boolean {
    return position.epoch === this.#epoch && position.offset <= end;
  }

  #onMessage(message: FromReader): void {
    if (message.kind !== 'page' && message.kind !== 'readFailed') return;
    const pending = this.#pending.get(message.number);
    if (pending === undefined) return;
    this.#pending.delete(message.number);
    if (message.kind === 'page') {
      pending.resolve(this.#page(pending, message));
    } else {
      this.#logger.error({ failure: message.message }, 'history can’t be read');
      pending.reject(new CommandError('unavailable', 'history can’t be read'));
    }
  }

  #page({ room, partition }: Pending, result: ReadResult): Page {
    const epoch = this.#epoch;
    for (const offset of result.damaged) this.#report(partition, offset);
    const publications = unpackPage(result.block).map(({ offset, ts, value }) => {
      return { room, partition, epoch, offset, ts, value };
    });
    const { gap, more } = result;
    const page = { publications, source: 'log', more } as const;
    if (gap === undefined) return page;
    const from = gap.from === null ? null : { epoch, offset: gap.from };
    return { ...page, gap: { from, to: { epoch, offset: gap.to } } };
  }

  #report(partition: number, offset: number): void {
    const name = `${partition}/${offset}`;
    if (this.#reported.has(name) || this.#reported.size >= REPORTED_MAX) return;
    this.#reported.add(name);
    this.#logger.error(
      { partition, offset },
      `the record at partition ${partition}, offset ${offset} is damaged and can’t be served`,
    );
  }
}

/** Those behind or before an offset, as numbers: objects would have to be cloned one by one. */
function packRange(postings: readonly Posting[], direction: 'after' | 'before', start: number): Float64Array {
  const asked = postings.filter(({ offset }) => (direction === 'after' ? offset > start : offset < start));
  const words = new Float64Array(2 * asked.length);
  for (const [index, { offset, block }] of asked.entries()) {
    words[2 * index] = offset;
    words[2 * index + 1] = block;
  }
  return words;
}
