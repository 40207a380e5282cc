import { setImmediate as turn } from 'node:timers/promises';
import type { KafkaMessage } from 'kafkajs';
import { dataHash, dedupeId } from '../../../src/fanout/dedupe.ts';
import { partitionOf } from '../../../src/fanout/partition.ts';
import { encodeRecord } from '../../../src/kafka/record.ts';
import type { Offsets } from '../../../src/kafka/topic-offsets.ts';
import { encodeValue } from '../../../src/protocol/publication.ts';

export const EPOCH = 'epoch';

/** A record to be appended; without a room it is somebody else's. */
export interface FakeRecord {
  readonly room: string | null;
  readonly mid: string;
  readonly ts: number;
  readonly deadlineMs?: number;
  readonly epoch?: string;
  readonly data?: string;
}

type Visit = (messages: readonly KafkaMessage[]) => boolean;

/**
 * A topic in memory, read as `RangeReader` and `TopicOffsets` read one: in batches, each in a turn of its own; where
 * records are gone it goes on behind them without a word.
 */
export class FakeTopic {
  readonly partitions: number;
  /** All that were ever appended, by partition and offset. */
  readonly records: KafkaMessage[][];
  /** By partition: the offset of the first record that is left. */
  readonly firsts: number[];
  /** Records of a batch. */
  batchSize = 4;
  reads = 0;
  readonly readsOf: number[];
  /** Partitions that are read now, and the most that were at the same time. */
  readonly busy = new Set<number>();
  busyMax = 0;
  /** Called before each batch; what it throws is what Kafka fails with. */
  onBatch: () => void | Promise<void> = () => {};
  #known: Offsets | null = null;

  constructor(partitions = 1) {
    this.partitions = partitions;
    this.records = Array.from({ length: partitions }, () => []);
    this.firsts = this.records.map(() => 0);
    this.readsOf = this.records.map(() => 0);
  }

  get ends(): number[] {
    return this.records.map(({ length }) => length);
  }

  append({ room, mid, ts, deadlineMs = ts, epoch = EPOCH, data = '1' }: FakeRecord, into = 0): KafkaMessage {
    const partition = room === null ? into : partitionOf(room, this.partitions);
    const list = this.records[partition] as KafkaMessage[];
    const stored = { offset: String(list.length), timestamp: String(ts), attributes: 0 };
    let message: KafkaMessage = { ...stored, key: null, value: Buffer.from('?'), headers: {} };
    if (room !== null) {
      const value = encodeValue(room, 'ann', mid, data);
      const append = { id: dedupeId('ann', room, mid), dataHash: dataHash(value), value, room };
      const { headers } = encodeRecord(append, partition, { epoch, node: 'node', deadlineMs });
      const bytes = Object.entries(headers ?? {}).map(([name, each]) => [name, Buffer.from(each as string | Buffer)]);
      message = { ...stored, key: Buffer.from(room), value, headers: Object.fromEntries(bytes) };
    }
    list.push(message);
    return message;
  }

  async read(partition: number, from: number, visit: Visit, _timeoutMs: number): Promise<void> {
    if (this.busy.has(partition)) throw new Error(`partition ${partition} is being read already`);
    this.busy.add(partition);
    this.busyMax = Math.max(this.busyMax, this.busy.size);
    this.reads += 1;
    this.readsOf[partition] = (this.readsOf[partition] ?? 0) + 1;
    const list = this.records[partition] as KafkaMessage[];
    try {
      for (let next = from; ; ) {
        await turn();
        await this.onBatch();
        next = Math.max(next, this.firsts[partition] ?? 0);
        const batch = list.slice(next, next + this.batchSize);
        // There it would wait for what may come.
        if (batch.length === 0) throw new Error('not read in time');
        next += batch.length;
        if (!visit(batch)) return;
      }
    } finally {
      this.busy.delete(partition);
    }
  }

  async fetch(): Promise<Offsets> {
    await turn();
    this.#known = { first: [...this.firsts], end: this.ends };
    return this.#known;
  }

  /** As old as the last `fetch`. */
  async first(partition: number): Promise<number> {
    const { first } = this.#known ?? (await this.fetch());
    return first[partition] ?? 0;
  }

  async at(partition: number, timeMs: number): Promise<number> {
    if (!Number.isInteger(timeMs)) throw new Error(`${timeMs} can't be asked for`);
    await turn();
    const list = this.records[partition] as KafkaMessage[];
    const first = this.firsts[partition] ?? 0;
    const found = list.findIndex(({ timestamp }, offset) => offset >= first && Number(timestamp) >= timeMs);
    return found === -1 ? list.length : found;
  }
}
