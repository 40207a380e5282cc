/**
 * The load process of history: replicas on one Kafka and one Redis, of which each has its pages of long ago from another
 * place. Started with a HistoryPlan as its argument; sends a HistoryResult.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { Page } from '../src/fanout/room-log.ts';
import type { Publication } from '../src/protocol/publication.ts';
import { type FilledRoom, fillRoom } from './history-fill.ts';
import type { HistoryPlan, HistoryResult, HistorySize, PageFigures } from './history-plan.ts';
import { HistoryReplica } from './history-replica.ts';
import { LatencyHistogram, quantilesOf } from './latency-histogram.ts';
import { runAsLoad } from './load-main.ts';
import { UsageMeter } from './usage-meter.ts';

/** Between the places where one page begins and the next one, modulo the spread: prime to it, so that all are used. */
const STRIDE = 37;

async function perform(plan: HistoryPlan): Promise<HistoryResult> {
  const { size, pace } = plan;
  const memory = await HistoryReplica.open('memory', plan);
  const room = await fillRoom(memory, size);
  const replicas = [memory, await HistoryReplica.open('redis', plan), await HistoryReplica.open('scan', plan)];
  for (const replica of replicas) await checkBytes(replica, room, size);

  const meter = new UsageMeter(plan);
  meter.start();
  const figures: PageFigures[] = [];
  for (const limit of size.limits) {
    for (const readers of size.readers) {
      for (const replica of replicas) {
        const readFor = (ms: number) => readPages(replica, room, size, limit, readers, ms);
        await readFor(pace.warmUpMs);
        figures.push(await readFor(pace.measureMs[replica.source]));
      }
    }
  }
  const usage = meter.stop();
  await Promise.all(replicas.map((replica) => replica.close()));
  return { kind: 'done', figures, usage };
}

/** Readers that each ask for a page when they have one, until the time is over. */
async function readPages(
  replica: HistoryReplica,
  room: FilledRoom,
  size: HistorySize,
  limit: number,
  readers: number,
  ms: number,
): Promise<PageFigures> {
  const histogram = new LatencyHistogram();
  const made = replica.made();
  const startedMs = performance.now();
  let begun = 0;
  const read = async (): Promise<void> => {
    while (performance.now() - startedMs < ms) {
      const first = firstOf(room, size, begun++);
      const askedMs = performance.now();
      const page = await readPage(replica, room, first, limit);
      histogram.record((performance.now() - askedMs) * 1000);
      checkOffsets(page, room, first, limit);
      // As in life, where each is asked for by a message: else the loop would not come to anything else.
      await turn();
    }
  };
  await Promise.all(Array.from({ length: readers }, read));
  const seconds = (performance.now() - startedMs) / 1000;
  const pages = histogram.count;
  replica.checkMade(made, pages);
  return { source: replica.source, limit, readers, pages, pagesPerSecond: pages / seconds, ...quantilesOf(histogram) };
}

function readPage(replica: HistoryReplica, room: FilledRoom, first: number, limit: number): Promise<Page> {
  const { epoch, offset } = room.publications[first - 1] as Publication;
  return replica.read(room.name, room.partition, { epoch, offset }, limit);
}

/** Where among the room's publications a page begins. */
function firstOf({ publications }: FilledRoom, { ago, agoSpread }: HistorySize, number: number): number {
  return publications.length - ago - ((number * STRIDE) % agoSpread);
}

/** @throws Error unless the page is what was published, by its offsets */
function checkOffsets({ publications, gap }: Page, room: FilledRoom, first: number, limit: number): void {
  const isRight = publications.every(({ offset }, index) => offset === room.publications[first + index]?.offset);
  if (publications.length === limit && gap === undefined && isRight) return;
  throw new Error(`${room.name}: a page of ${publications.length} of ${limit} publications is not what was published`);
}

/** Pages of every length, byte by byte. */
async function checkBytes(replica: HistoryReplica, room: FilledRoom, size: HistorySize): Promise<void> {
  const first = firstOf(room, size, 0);
  for (const limit of size.limits) {
    const page = await readPage(replica, room, first, limit);
    checkOffsets(page, room, first, limit);
    const isRight = page.publications.every(({ value, ts }, index) => {
      const published = room.publications[first + index];
      return published !== undefined && published.ts === ts && published.value.equals(value);
    });
    if (!isRight) throw new Error(`${room.name}: a publication from ${replica.source} was altered`);
  }
}

runAsLoad(perform);
