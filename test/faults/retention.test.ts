import { describe, expect, test } from 'vitest';
import type { EmbeddedLog } from '../../src/fanout/embedded-log.ts';
import { midsOf } from '../contract/room-log-fixture.ts';
import { midsIn, openLog, publish, RecordedLines, read, temporaryDirectory } from './embedded-fixture.ts';

const START = 1_700_000_000_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

describe('by age', () => {
  test('deletes what is older, and tells a room’s readers exactly what they miss', async () => {
    const clock = { now: START };
    const log = await openLog(await temporaryDirectory(), { now: () => clock.now, retentionMs: HOUR_MS });
    await fill(log, ['a', 'b', 'a', 'a', 'quiet']); // offsets 0–4
    clock.now += 30 * MINUTE_MS;
    await fill(log, ['b', 'a', 'quiet']); // offsets 5–7
    clock.now += 31 * MINUTE_MS;
    expect(await log.retain()).toMatchObject({ recordsDeleted: 5, failure: undefined });

    expect(await gapBehind(log, 'a', -1)).toEqual([['m6'], -1, 3]);
    expect(await gapBehind(log, 'a', 2)).toEqual([['m6'], 2, 3]);
    expect(await gapBehind(log, 'a', 3)).toEqual([['m6'], 'no gap']);
    expect(await gapBehind(log, 'b', 0)).toEqual([['m5'], 0, 1]);
    expect(await gapBehind(log, 'b', 1)).toEqual([['m5'], 'no gap']);
    expect(await gapBehind(log, 'quiet', 4)).toEqual([['m7'], 'no gap']);
    expect(await gapBehind(log, 'never used', -1)).toEqual([[], 'no gap']);

    const { epoch } = log;
    const at = (offset: number) => ({ epoch, offset });
    const within = await read(log, { room: 'a', after: { epoch, offset: -1 }, through: 2 });
    expect(within).toEqual({ publications: [], source: 'log', more: false, gap: { from: at(-1), to: at(2) } });
    const foreign = await read(log, { room: 'a', after: { epoch: 'another', offset: 6 } });
    expect(foreign.gap).toEqual({ from: null, to: { epoch, offset: 3 } });
    // Backward, what retention deleted is the end of history.
    const backward = await read(log, { room: 'a', before: { epoch, offset: 6 } });
    expect(backward).toEqual({ publications: [], source: 'log', more: false });
  });

  test('never restarts offsets, though every record is deleted and the log opened anew', async () => {
    const directory = await temporaryDirectory();
    const clock = { now: START };
    const settings = { now: () => clock.now, retentionMs: HOUR_MS, partitions: 2 };
    const log = await openLog(directory, settings);
    await fill(log, ['a', 'b', 'c', 'd', 'e', 'f']);
    const ends = [...log.ends()];
    clock.now += 2 * HOUR_MS;
    expect((await log.retain()).recordsDeleted).toBe(6);
    await log.close();

    clock.now = START;
    const again = await openLog(directory, settings);
    expect(again.ends()).toEqual(ends);
    expect(await gapBehind(again, 'a', -1)).toEqual([[], -1, expect.any(Number)]);
    const { position } = await again.append(publish('a', 'next'));
    expect(ends.map((end) => end + 1)).toContain(position.offset);
    // Nor does time: what was judged old would be needed again.
    const page = await read(again, { room: 'a' });
    expect(page.publications[0]?.ts).toBe(START + 2 * HOUR_MS);
  });

  test('keeps what the dedupe window needs, however short the retention', async () => {
    const clock = { now: START };
    const directory = await temporaryDirectory();
    const settings = { now: () => clock.now, retentionMs: 1, retentionBytes: 1 };
    const log = await openLog(directory, settings);
    const first = await log.append(publish('r', 'm'));
    clock.now += 180_000;
    expect((await log.retain()).recordsDeleted).toBe(0);
    expect(await log.append(publish('r', 'm'))).toEqual({ position: first.position, duplicate: true });
    await log.close();
    const again = await openLog(directory, settings);
    expect(await again.append(publish('r', 'm'))).toEqual({ position: first.position, duplicate: true });
    clock.now += 61_000;
    expect((await again.retain()).recordsDeleted).toBe(1);
    expect((await again.append(publish('r', 'm'))).duplicate).toBe(false);
  });

  test('goes on in small steps, between which appends are acknowledged', async () => {
    const clock = { now: START };
    const lines = new RecordedLines();
    const log = await openLog(await temporaryDirectory(), { now: () => clock.now, retentionMs: HOUR_MS }, lines);
    await fill(
      log,
      Array.from({ length: 3_900 }, (_, index) => `r${index % 30}`),
    );
    clock.now += 2 * HOUR_MS;
    const events: string[] = [];
    const pass = log.retain().then((outcome) => {
      events.push('pass');
      return outcome;
    });
    await log.append(publish('new', 'm')).then(() => events.push('append'));
    expect((await pass).recordsDeleted).toBe(3_900);
    expect(events).toEqual(['append', 'pass']);
    expect(await midsIn(log, 'new')).toEqual(['m']);
    expect(lines.messages('info')).toEqual(['old records deleted']);
  });
});

test('by size, deletes the oldest of all partitions until the rest fits', async () => {
  const clock = { now: START };
  const retentionBytes = 1_000_000;
  const log = await openLog(await temporaryDirectory(), { now: () => clock.now, retentionBytes, partitions: 2 });
  const data = JSON.stringify('x'.repeat(2_000));
  for (let minute = 0; minute < 20; minute++) {
    const calls = Array.from({ length: 50 }, (_, index) =>
      log.append(publish(`r${index % 5}`, `${minute}-${index}`, data)),
    );
    await Promise.all(calls);
    clock.now += MINUTE_MS;
  }
  const { recordsDeleted } = await log.retain();
  // 1,000 records of about 2.1 kB, some of whose pages aren't full.
  expect(recordsDeleted).toBeGreaterThanOrEqual(500);
  expect(recordsDeleted).toBeLessThanOrEqual(800);
  const kept = (await Promise.all([0, 1, 2, 3, 4].map((room) => midsIn(log, `r${room}`)))).flat();
  expect(kept).toHaveLength(1_000 - recordsDeleted);
  expect(kept).toContain('19-49');
  const oldest = Math.min(...kept.map((mid) => Number.parseInt(mid, 10)));
  expect(oldest).toBeGreaterThanOrEqual(9);
  expect((await log.retain()).recordsDeleted).toBe(0);
});

describe('a room that is not remembered', () => {
  test('has a gap that may be greater than what is missing, up to its first record', async () => {
    const clock = { now: START };
    const settings = { now: () => clock.now, retentionMs: HOUR_MS, roomsRememberedMax: 1 };
    const log = await openLog(await temporaryDirectory(), settings);
    await fill(log, ['a']); // 0
    clock.now += 10 * MINUTE_MS;
    await fill(log, ['b', 'c']); // 1, 2
    clock.now += 51 * MINUTE_MS;
    expect(await log.retain()).toMatchObject({ recordsDeleted: 1, roomsForgotten: 0 });
    await fill(log, ['a', 'd']); // 3, 4
    clock.now += 10 * MINUTE_MS;
    expect(await log.retain()).toMatchObject({ recordsDeleted: 2, roomsForgotten: 2 });

    // Forgotten are a (through 0) and b (through 1); remembered is c (through 2).
    expect(await gapBehind(log, 'c', 1)).toEqual([[], 1, 2]);
    expect(await gapBehind(log, 'c', 2)).toEqual([[], 'no gap']);
    expect(await gapBehind(log, 'b', 0)).toEqual([[], 0, 1]);
    expect(await gapBehind(log, 'a', -1)).toEqual([['m3'], -1, 1]);
    expect(await gapBehind(log, 'a', 1)).toEqual([['m3'], 'no gap']);
    expect(await gapBehind(log, 'd', -1)).toEqual([['m4'], -1, 1]);
    expect(await gapBehind(log, 'never used', -1)).toEqual([[], -1, 1]);
  });

  test('was last deleted from too long ago', async () => {
    const clock = { now: START };
    const settings = { now: () => clock.now, retentionMs: HOUR_MS, roomMemoryMs: 24 * HOUR_MS };
    const log = await openLog(await temporaryDirectory(), settings);
    await fill(log, ['a', 'b', 'b']);
    clock.now += 2 * HOUR_MS;
    expect(await log.retain()).toMatchObject({ recordsDeleted: 3, roomsForgotten: 0 });
    await fill(log, ['b']);
    expect(await gapBehind(log, 'a', 0)).toEqual([[], 'no gap']);
    clock.now += 24 * HOUR_MS + 1;
    expect(await log.retain()).toMatchObject({ recordsDeleted: 1, roomsForgotten: 1 });
    expect(await gapBehind(log, 'b', 2)).toEqual([[], 2, 3]);
    expect(await gapBehind(log, 'a', -1)).toEqual([[], -1, 0]);
    expect(await gapBehind(log, 'a', 0)).toEqual([[], 'no gap']);
  });
});

let mid = 0;

/** Appends one record to each room in turn, with mids that tell the offset where there is one partition. */
async function fill(log: EmbeddedLog, rooms: readonly string[]): Promise<void> {
  const first = (log.ends()[0] ?? -1) + 1;
  await Promise.all(
    rooms.map((room, index) => log.append(publish(room, log.partitions === 1 ? `m${first + index}` : `n${mid++}`))),
  );
}

/** What a reader behind `offset` gets: mids, and either `no gap` or the gap's ends. */
async function gapBehind(log: EmbeddedLog, room: string, offset: number): Promise<unknown[]> {
  const page = await read(log, { room, after: { epoch: log.epoch, offset } });
  return [midsOf(page), ...(page.gap === undefined ? ['no gap'] : [page.gap.from?.offset, page.gap.to.offset])];
}
