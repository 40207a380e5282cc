import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type DedupeRecord, DedupeWindow, dataHash, decide, dedupeId } from '../../src/fanout/dedupe.ts';

const WINDOW_MS = 180;
const SLACK_MS = 60;

describe('decide', () => {
  const record = { id: 'a', dataHash: 1, ts: 1_000, offset: 7 };
  const entry = { firstOffset: 3, dataHash: 1, newestTs: 1_000 - WINDOW_MS };

  test('delivers what is seen for the first time', () => {
    expect(decide(record, undefined, WINDOW_MS)).toEqual({ kind: 'deliver' });
  });

  test('holds a record against an earlier one exactly W before it, and not further back', () => {
    expect(decide(record, entry, WINDOW_MS)).toEqual({ kind: 'duplicate', firstOffset: 3, firstHash: entry.dataHash });
    expect(decide({ ...record, ts: 1_001 }, entry, WINDOW_MS)).toEqual({ kind: 'deliver' });
  });

  test('holds a record against an earlier one with a later time', () => {
    expect(decide(record, { ...entry, newestTs: 1_050 }, WINDOW_MS).kind).toBe('duplicate');
  });

  test('tells other data', () => {
    expect(decide({ ...record, dataHash: 2 }, entry, WINDOW_MS)).toMatchObject({
      kind: 'duplicate',
      firstHash: entry.dataHash,
    });
  });

  test('counts a record up to and at its deadline', () => {
    expect(decide({ ...record, deadline: 1_000 }, undefined, WINDOW_MS)).toEqual({ kind: 'deliver' });
    expect(decide({ ...record, deadline: 999 }, undefined, WINDOW_MS)).toEqual({ kind: 'late' });
    expect(decide({ ...record, deadline: 999 }, entry, WINDOW_MS)).toEqual({ kind: 'late' });
  });
});

/**
 * Logs with few ids, so that there are many repetitions, whose time steps back by up to the slack behind the
 * newest, and some of whose records are late.
 */
const logs = fc
  .array(
    fc.record({
      id: fc.constantFrom('a', 'b', 'c', 'd'),
      dataHash: fc.constantFrom(1, 2),
      step: fc.oneof(
        { weight: 8, arbitrary: fc.integer({ min: 0, max: 70 }) },
        { weight: 1, arbitrary: fc.integer({ min: 0, max: 500 }) },
      ),
      back: fc.oneof(
        { weight: 3, arbitrary: fc.constant(0) },
        { weight: 1, arbitrary: fc.integer({ min: 0, max: SLACK_MS }) },
      ),
      late: fc.oneof({ weight: 8, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
    }),
    { maxLength: 60 },
  )
  .map((steps) => {
    let newest = 1_000;
    return steps.map(({ id, dataHash, step, back, late }, offset): DedupeRecord => {
      newest += step;
      const ts = newest - back;
      return { id, dataHash, ts, offset, deadline: late ? ts - 1 : ts + 45 };
    });
  });

/** The rule as it is written, over the whole log. */
function oracle(log: readonly DedupeRecord[], record: DedupeRecord): 'deliver' | 'late' | 'duplicate' {
  const isValid = (each: DedupeRecord) => each.deadline === undefined || each.ts <= each.deadline;
  if (!isValid(record)) return 'late';
  const earlier = log.filter((each) => each.offset < record.offset && each.id === record.id && isValid(each));
  return earlier.some((each) => each.ts >= record.ts - WINDOW_MS) ? 'duplicate' : 'deliver';
}

/** The first delivered record of the chain of duplicates that leads up to this one. */
function firstOf(log: readonly DedupeRecord[], record: DedupeRecord): DedupeRecord | undefined {
  return log.findLast(
    (each) => each.offset < record.offset && each.id === record.id && oracle(log, each) === 'deliver',
  );
}

describe('DedupeWindow', () => {
  const settings = { windowMs: WINDOW_MS, slackMs: SLACK_MS };

  test('decides by the rule as it is written', () => {
    fc.assert(
      fc.property(logs, (log) => {
        const window = new DedupeWindow(settings);
        for (const record of log) {
          const decision = window.apply(record);
          expect(decision.kind).toBe(oracle(log, record));
          if (decision.kind !== 'duplicate') continue;
          const first = firstOf(log, record);
          expect(decision.firstOffset).toBe(first?.offset);
          expect(decision.firstHash).toBe(first?.dataHash);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('decides the same from any starting offset, once it was warmed', () => {
    fc.assert(
      fc.property(logs, fc.nat(), (log, seed) => {
        if (log.length === 0) return;
        const served = seed % log.length;
        const warmFrom = (log[served]?.ts ?? 0) - WINDOW_MS - SLACK_MS;
        const start = log.findIndex(({ ts }) => ts >= warmFrom);
        const window = new DedupeWindow(settings);
        for (const record of log.slice(start)) {
          const { kind } = window.apply(record);
          if (record.offset >= served) expect(kind).toBe(oracle(log, record));
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('remembers no more than the span behind the newest time, and a little', () => {
    const window = new DedupeWindow(settings);
    const perMs = 3;
    for (let offset = 0; offset < 10_000; offset++) {
      window.apply({ id: `id${offset}`, dataHash: 0, ts: Math.floor(offset / perMs), offset });
    }
    expect(window.size).toBeGreaterThanOrEqual((WINDOW_MS + SLACK_MS) * perMs);
    expect(window.size).toBeLessThan((WINDOW_MS + SLACK_MS) * perMs * 1.1);
    window.advance(100_000);
    expect(window.size).toBe(0);
  });

  test('grows and shrinks with what it remembers, and mistakes no id for another', () => {
    const window = new DedupeWindow({ windowMs: 1_000, slackMs: 0 });
    const idOf = (number: number) => dedupeId('user', 'room', String(number));
    let offset = 0;
    for (const [ts, ids] of [
      [1_000, 20_000],
      [1_500, 30_000],
      [3_000, 100],
    ] as const) {
      for (let number = 0; number < ids; number++) {
        const isNew = window.find(idOf(number), ts) === undefined;
        const { kind } = window.apply({ id: idOf(number), dataHash: number, ts, offset });
        expect(kind === 'deliver').toBe(isNew);
        expect(isNew).toBe(ts === 1_500 ? number >= 20_000 : true);
        expect(window.find(idOf(number), ts)?.dataHash).toBe(number);
        offset++;
      }
      expect(window.find(idOf(ids), ts)).toBeUndefined();
      expect(window.size).toBe(ids);
    }
  });

  test('finds what makes a record of a given time a duplicate', () => {
    const window = new DedupeWindow(settings);
    window.apply({ id: 'a', dataHash: 5, ts: 1_000, offset: 9 });
    expect(window.find('a', 1_000 + WINDOW_MS)).toMatchObject({ firstOffset: 9, dataHash: 5 });
    expect(window.find('a', 1_001 + WINDOW_MS)).toBeUndefined();
    expect(window.find('b', 1_000)).toBeUndefined();
  });
});

describe('the hashes', () => {
  test('dedupeId is 16 bytes, and no two of user, room and mid run together', () => {
    const ids = [
      dedupeId('user', 'room', 'mid'),
      dedupeId('use', 'rroom', 'mid'),
      dedupeId('user', 'roomm', 'id'),
      dedupeId('user', 'room', 'mid2'),
    ];
    expect(ids.map((id) => Buffer.from(id, 'latin1').length)).toEqual([16, 16, 16, 16]);
    expect(new Set(ids).size).toBe(4);
    // From another implementation of SHA-256: it must be the same on every replica.
    expect(Buffer.from(ids[0] ?? '', 'latin1').toString('hex')).toBe('b90a7d2ae40abc401a38371a40fde5ab');
  });

  test('dataHash is a signed 32-bit integer of the bytes', () => {
    expect(dataHash(Buffer.from('123456789'))).toBe(0xcbf43926 | 0);
    expect(dataHash(Buffer.from('{"a":1}'))).not.toBe(dataHash(Buffer.from('{"a": 1}')));
  });
});
