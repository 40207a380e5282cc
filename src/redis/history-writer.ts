import type { LogLines } from '../fanout/log-lines.ts';
import type { RecentPast } from '../fanout/shared-history.ts';
import type { Publication } from '../protocol/publication.ts';
import { randomName } from '../random-name.ts';
import type { HistorySettings } from './history-settings.ts';
import type { RedisLink } from './redis-link.ts';
import { loadScript } from './scripts.ts';

const WRITE = loadScript('history-write');
const RELEASE = loadScript('history-release');

export interface HistoryWrites {
  /** Publications that were handed over. */
  records: number;
  /** Times that a partition's history began anew, as nothing was there or too much had not been written. */
  starts: number;
  /** Leases that were lost. */
  lapses: number;
  /** Writes that Redis did not take. */
  failures: number;
}

/** A partition, as its writer knows it. */
interface Line {
  readonly partition: number;
  epoch: string;
  /** Of the lease; null: somebody else's, for all that is known. */
  token: string | null;
  /** Up to where it is written; null: not known. */
  through: number | null;
  isBusy: boolean;
  /** On the monotonic clock: when it was heard of last, and before when it is left alone. */
  saidAtMs: number;
  notBeforeMs: number;
}

interface Batch {
  /** Behind this all is in memory. */
  readonly oldest: number;
  /** What the batch is about: all behind that, up to and with `to`. */
  readonly after: number;
  readonly to: number;
  readonly publications: readonly Publication[];
  /** More is to be written at once. */
  readonly isCut: boolean;
}

/**
 * Writes what this replica's tail has delivered to Redis: of the partitions whose leases it has, and what others have not
 * written. It holds nothing of its own: what it has to write is what is in the log's memory, and what is gone from there
 * before it was written makes the history begin anew behind it.
 */
export class HistoryWriter {
  readonly writes: HistoryWrites = { records: 0, starts: 0, lapses: 0, failures: 0 };
  readonly #link: RedisLink;
  readonly #settings: HistorySettings;
  readonly #logger: LogLines;
  readonly #past: RecentPast;
  readonly #lines: readonly Line[];
  readonly #timer: NodeJS.Timeout;
  #closed = false;

  constructor(link: RedisLink, settings: HistorySettings, logger: LogLines, past: RecentPast) {
    this.#link = link;
    this.#settings = settings;
    this.#logger = logger;
    this.#past = past;
    this.#lines = Array.from({ length: past.partitions }, (_, partition) => {
      return { partition, ...nobody(past.epoch), isBusy: false, saidAtMs: 0, notBeforeMs: 0 };
    });
    this.#timer = setInterval(() => void this.write(), settings.writeMs).unref();
  }

  /** Partitions that this replica writes. */
  get led(): number {
    return this.#lines.filter(({ token }) => token !== null).length;
  }

  /** Offsets of the partitions that it writes which have come through the tail and are not written. */
  get behind(): number {
    return this.#lines.reduce((sum, { partition, token, through }) => {
      return token === null ? sum : sum + Math.max(0, this.#past.span(partition).through - (through ?? -1));
    }, 0);
  }

  /** Ends it, and lets others write. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    const held = this.#lines.filter(({ token }) => token !== null);
    const releases = held.map((line) => {
      const { epoch, partition, token } = line;
      line.token = null;
      return this.#link.run(RELEASE, epoch, partition, token ?? '').catch(() => {});
    });
    await Promise.all(releases);
  }

  /** Writes what there is to be written now; by itself it does so every `writeMs`. */
  async write(): Promise<void> {
    if (!this.#link.isUp) return;
    const nowMs = performance.now();
    const due = this.#lines.filter(({ isBusy, notBeforeMs }) => !isBusy && nowMs >= notBeforeMs);
    await Promise.all(due.map((line) => this.#advance(line)));
  }

  async #advance(line: Line): Promise<void> {
    const { epoch } = this.#past;
    if (line.epoch !== epoch) Object.assign(line, nobody(epoch));
    line.isBusy = true;
    try {
      if (line.token === null) await this.#lead(line);
      while (line.token !== null && !this.#closed && (await this.#writeBatch(line)));
    } catch (error) {
      // It may have been taken all the same: the next answer tells.
      this.writes.failures += 1;
      line.notBeforeMs = performance.now() + this.#settings.retryMs;
      const { message } = error as Error;
      this.#logger.info({ partition: line.partition, error: message }, 'history is not written to Redis for now');
    } finally {
      line.isBusy = false;
    }
  }

  /** Takes the lease, if nobody has it. */
  async #lead(line: Line): Promise<void> {
    const { leaseMs } = this.#settings;
    const token = randomName(9, 'base64url');
    const key = this.#link.key('hw', line.epoch, line.partition);
    if ((await this.#link.call('SET', key, token, 'NX', 'PX', leaseMs)) === 'OK') Object.assign(line, { token });
    else line.notBeforeMs = performance.now() + leaseMs * (0.25 + Math.random() / 4);
  }

  /** Writes one batch, if there is something to be said. Whether there is more. */
  async #writeBatch(line: Line): Promise<boolean> {
    const { leaseMs, renewMs, lengthMax, ageMs, bytesMax, roomsMax, lastMs } = this.#settings;
    const { epoch, partition, token } = line;
    const { partitions } = this.#past;
    const nowMs = performance.now();
    const { oldest, after, to, publications, isCut } = this.#batchOf(line);
    if (line.through !== null && to <= line.through && nowMs - line.saidAtMs < renewMs) return false;
    const answer = await this.#link.run(
      WRITE,
      ...[epoch, partition, token ?? '', leaseMs, lengthMax, ageMs],
      ...[Math.ceil(bytesMax / partitions), Math.ceil(roomsMax / partitions), lastMs],
      ...[oldest, after, to],
      ...publications.flatMap(({ room, offset, ts, value }) => [room, offset, ts, value]),
    );
    const [outcome, through, isAnew] = answer as ['ok' | 'behind' | 'lapsed', string, number];
    if (outcome === 'lapsed') {
      this.writes.lapses += 1;
      Object.assign(line, nobody(epoch));
      return false;
    }
    line.saidAtMs = nowMs;
    line.through = Number(through);
    if (outcome === 'behind') return true;
    this.writes.records += publications.length;
    if (isAnew === 1) {
      this.writes.starts += 1;
      this.#logger.info({ partition, offset: after + 1 }, 'the history of a partition begins anew in Redis');
    }
    return isCut;
  }

  #batchOf({ partition, through }: Line): Batch {
    const { batchRecordsMax, batchBytesMax } = this.#settings;
    const span = this.#past.span(partition);
    const oldest = span.from - 1;
    // Where it is not known how far it is written, that is asked first.
    if (through === null) return { oldest, after: oldest, to: oldest, publications: [], isCut: true };
    const after = Math.max(oldest, Math.min(through, span.through));
    const publications: Publication[] = [];
    let bytes = 0;
    for (const publication of this.#past.publications(partition, after + 1)) {
      const { offset, value } = publication;
      bytes += value.length;
      const isFull = publications.length === batchRecordsMax || (publications.length > 0 && bytes > batchBytesMax);
      if (isFull) return { oldest, after, to: offset - 1, publications, isCut: true };
      publications.push(publication);
    }
    return { oldest, after, to: span.through, publications, isCut: false };
  }
}

function nobody(epoch: string): Pick<Line, 'epoch' | 'token' | 'through'> {
  return { epoch, token: null, through: null };
}
