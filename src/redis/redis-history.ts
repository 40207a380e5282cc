import type { LogLines } from '../fanout/log-lines.ts';
import type { KeptHistory, RecentPast, RoomPlace, Stretch, StretchBounds } from '../fanout/shared-history.ts';
import { HistoryReader, type HistoryReads } from './history-reader.ts';
import type { HistorySettings } from './history-settings.ts';
import { HistoryWriter, type HistoryWrites } from './history-writer.ts';
import type { RedisLink } from './redis-link.ts';

/** What the history has to tell of itself. */
export interface HistoryFigures extends Readonly<HistoryWrites> {
  readonly reads: Readonly<HistoryReads>;
  /** Partitions that this replica writes. */
  readonly led: number;
  /** Offsets in those that have come through the tail and are not written. */
  readonly behind: number;
}

/** Rooms' pasts in Redis: every replica reads them, and of each partition one at a time writes. */
export class RedisHistory implements KeptHistory {
  readonly #link: RedisLink;
  readonly #settings: HistorySettings;
  readonly #logger: LogLines;
  readonly #reader: HistoryReader;
  #writer: HistoryWriter | null = null;

  constructor(link: RedisLink, settings: HistorySettings, logger: LogLines) {
    this.#link = link;
    this.#settings = settings;
    this.#logger = logger;
    this.#reader = new HistoryReader(link, settings);
  }

  follow(past: RecentPast): void {
    this.#writer = new HistoryWriter(this.#link, this.#settings, this.#logger, past);
  }

  readForward(place: RoomPlace, from: number, through: number, bounds: StretchBounds): Promise<Stretch> {
    return this.#reader.readForward(place, from, through, bounds);
  }

  readBackward(place: RoomPlace, through: number, bounds: StretchBounds): Promise<Stretch> {
    return this.#reader.readBackward(place, through, bounds);
  }

  figures(): HistoryFigures {
    const { writes, led, behind } = this.#writer ?? NOTHING_WRITTEN;
    return { ...writes, led, behind, reads: this.#reader.reads };
  }

  /** Writes no more, so that another replica may; the link is left open. */
  async close(): Promise<void> {
    await this.#writer?.close();
  }
}

const NOTHING_WRITTEN = { writes: { records: 0, starts: 0, lapses: 0, failures: 0 }, led: 0, behind: 0 };
