import { setTimeout as sleep } from 'node:timers/promises';
import { partitionOf } from '../src/fanout/partition.ts';
import type { Publication } from '../src/protocol/publication.ts';
import type { HistorySize } from './history-plan.ts';
import type { HistoryReplica } from './history-replica.ts';
import { DATA_BYTES, writeData } from './publication-data.ts';

const PUBLISHERS = 100;
/** Appends without an answer. */
const OPEN_MAX = 500;
/** For what was appended to come to Redis. */
const WRITTEN_MS_MAX = 20_000;
const POLL_MS = 50;

/** The room that is read. */
export interface FilledRoom {
  readonly name: string;
  readonly partition: number;
  /** All of it, oldest first. */
  readonly publications: readonly Publication[];
}

/** Fills a room and others of its partition, and resolves when all of that is in Redis. @throws Error if it isn't in time */
export async function fillRoom(replica: HistoryReplica, size: HistorySize): Promise<FilledRoom> {
  const { log } = replica;
  const [name, ...beside] = roomsOfOnePartition(log.partitions, 1 + size.roomsBeside) as [string, ...string[]];
  const publications: Publication[] = [];
  log.tail((batch) => {
    for (const publication of batch) if (publication.room === name) publications.push(publication);
  });
  const appends = roomsInTurn(name, beside, size);
  for (let from = 0; from < appends.length; from += OPEN_MAX) {
    const batch = appends.slice(from, from + OPEN_MAX);
    await Promise.all(batch.map((room, index) => log.append(publish(room, from + index))));
  }
  if (publications.length !== size.records) {
    throw new Error(`${size.records} publications sent, ${publications.length} came`);
  }
  const deadlineMs = performance.now() + WRITTEN_MS_MAX;
  while (!replica.isWritten) {
    if (performance.now() > deadlineMs) throw new Error(`history is not in Redis after ${WRITTEN_MS_MAX} ms`);
    await sleep(POLL_MS);
  }
  return { name, partition: partitionOf(name, log.partitions), publications };
}

function roomsOfOnePartition(partitions: number, count: number): string[] {
  const rooms: string[] = [];
  for (let index = 0; rooms.length < count; index++) {
    const room = `room-${String(index).padStart(5, '0')}`;
    if (partitionOf(room, partitions) === 0) rooms.push(room);
  }
  return rooms;
}

/** The room of each record. */
function roomsInTurn(name: string, beside: readonly string[], { records, recordsBetween }: HistorySize): string[] {
  return Array.from({ length: records }, (_, index) => {
    const next = beside[Math.floor(index / recordsBetween) % beside.length];
    return next !== undefined && (index + 1) % recordsBetween === 0 ? [name, next] : [name];
  }).flat();
}

function publish(room: string, sequence: number) {
  const publisher = sequence % PUBLISHERS;
  const data = Buffer.alloc(DATA_BYTES);
  writeData(data, 0, publisher, sequence, 0);
  return { room, from: `user-${String(publisher).padStart(6, '0')}`, mid: String(sequence), data: data.toString() };
}
