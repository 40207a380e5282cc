import type { Page } from '../src/fanout/room-log.ts';
import type { KafkaLog } from '../src/kafka/kafka-log.ts';
import { KAFKA_LOG_DEFAULTS, type KafkaLogSettings } from '../src/kafka/kafka-settings.ts';
import { openKafkaLog } from '../src/kafka/open-kafka-log.ts';
import { BOUNDS } from '../src/protocol/bounds.ts';
import type { Position } from '../src/protocol/position.ts';
import { randomName } from '../src/random-name.ts';
import { HISTORY_DEFAULTS } from '../src/redis/history-settings.ts';
import { RedisHistory } from '../src/redis/redis-history.ts';
import type { RedisLink } from '../src/redis/redis-link.ts';
import type { HistoryPlan, SourceName } from './history-plan.ts';
import { quietLink, SILENT } from './quiet-link.ts';

const PREFIX = 'bench';
/** So much that all of a partition stays in memory. */
const ENDLESS: Partial<KafkaLogSettings> = { recentRecordsMax: 16_000_000, recentBytesMax: 2 ** 30 };

/** How many pages were made with what. */
type Made = Readonly<Record<'redis' | 'scan', number>>;

/** The log and the history of a replica, without the gateway, whose pages of old come from one place. */
export class HistoryReplica {
  readonly source: SourceName;
  readonly log: KafkaLog;
  /** null: there is no Redis. */
  readonly #history: RedisHistory | null;
  readonly #link: RedisLink | null;

  private constructor(source: SourceName, log: KafkaLog, history: RedisHistory | null, link: RedisLink | null) {
    this.source = source;
    this.log = log;
    this.#history = history;
    this.#link = link;
  }

  /**
   * Opens one. `memory` has all in memory, and writes it to Redis; the others have there what replicas have by default,
   * and `redis` reads the rest from Redis.
   */
  static async open(source: SourceName, plan: HistoryPlan): Promise<HistoryReplica> {
    const node = `${source}-${randomName(4, 'hex')}`;
    const settings: KafkaLogSettings = {
      ...KAFKA_LOG_DEFAULTS,
      ...(source === 'memory' && ENDLESS),
      ...{ brokers: [plan.broker], prefix: PREFIX, node, replicationFactor: 1 },
    };
    if (source === 'scan') return new HistoryReplica(source, await openKafkaLog(settings, SILENT), null, null);
    const link = quietLink(plan.redisUrl, PREFIX);
    await link.open();
    const history = new RedisHistory(link, { ...HISTORY_DEFAULTS, lengthMax: plan.size.records }, SILENT);
    const log = await openKafkaLog(settings, SILENT, history);
    if (source === 'memory') history.follow(log.past);
    return new HistoryReplica(source, log, history, link);
  }

  /** Whether all that has come through its tail is in Redis. */
  get isWritten(): boolean {
    const figures = this.#history?.figures();
    return figures?.led === this.log.partitions && figures.behind === 0;
  }

  /** A page as a session gets it. */
  read(room: string, partition: number, after: Position, limit: number): Promise<Page> {
    const through = this.log.ends()[partition] ?? -1;
    return this.log.read({ room, after, through, limit, bytesMax: BOUNDS.pageBytesMax });
  }

  /** So far: scans, and pages that Redis had something of or could not be asked for. */
  made(): Made {
    const { finished, cut, failed } = this.log.figures().scans;
    const { known = 0 } = this.#history?.figures().reads ?? {};
    return { redis: known, scan: finished + cut + failed };
  }

  /** @throws Error unless `pages` pages since then came from where they should */
  checkMade(before: Made, pages: number): void {
    const after = this.made();
    const redis = after.redis - before.redis;
    const scans = after.scan - before.scan;
    // A scan is shared by whoever waits meanwhile.
    const isRight = redis === (this.source === 'redis' ? pages : 0) && scans > 0 === (this.source === 'scan');
    if (!isRight) throw new Error(`${pages} pages from ${this.source}: ${redis} from Redis, ${scans} scans of Kafka`);
  }

  async close(): Promise<void> {
    await this.#history?.close();
    await this.log.close();
    this.#link?.close();
  }
}
