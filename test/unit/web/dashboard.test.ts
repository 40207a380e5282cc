import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import type { Figures } from '../../../src/observability/figures.ts';
import { APPEND_SECONDS } from '../../../src/observability/metric-entry.ts';
import { bundleDashboard, sizeOf } from '../../../web/bundle.ts';
import { columnsOf } from '../../../web/dashboard/columns.ts';
import { History, SPAN_SECONDS } from '../../../web/dashboard/history.ts';
import { quantile } from '../../../web/dashboard/quantile.ts';
import { Rooms } from '../../../web/dashboard/rooms.ts';
import { type Replica, Scope } from '../../../web/dashboard/scope.ts';
import { Track } from '../../../web/dashboard/track.ts';
import { bytes, compact, count, duration, milliseconds, perSecond } from '../../../web/dashboard/units.ts';
import { someFigures } from '../observability/some-figures.ts';

const SCRIPT_GZIP_BYTES_MAX = 40_960;

test(`the dashboard's script has at most ${SCRIPT_GZIP_BYTES_MAX} bytes, minified and compressed`, async () => {
  const script = (await bundleDashboard()).find(({ name }) => name === 'dashboard.js');
  if (script === undefined) throw new Error('there is no script');
  expect(sizeOf(script).gzipBytes).toBeLessThanOrEqual(SCRIPT_GZIP_BYTES_MAX);
  // Whoever is sent the library is sent its licence.
  expect(new TextDecoder().decode(script.bytes.slice(0, 2_000))).toMatch(
    /uPlot[\s\S]*The MIT License[\s\S]*Leon Sorokin/,
  );
});

describe('a quantile', () => {
  const bounds = [1, 2, 4];

  it.each([
    [[0, 0, 0, 0], 0.5, null],
    [[4, 0, 0, 0], 0.5, 0.5],
    [[0, 4, 0, 0], 0.25, 1.25],
    [[2, 2, 0, 0], 0.5, 1],
    [[1, 1, 2, 0], 0.75, 3],
    [[0, 0, 0, 5], 0.5, 4],
    [[1, 0, 0, 1], 0.99, 4],
    [[1, 0, 1, 0], 1, 4],
  ])('of %j at %d is %d', (counts, share, expected) => {
    expect(quantile(bounds, counts, share)).toBe(expected);
  });

  it('lies in the bucket of what was observed, whatever that was', () => {
    const observed = fc.array(fc.double({ min: 0.000_1, max: 20, noNaN: true }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(observed, fc.double({ min: 0.01, max: 1, noNaN: true }), (values, share) => {
        const bucketOf = (value: number) => {
          const at = APPEND_SECONDS.findIndex((bound) => value <= bound);
          return at === -1 ? APPEND_SECONDS.length : at;
        };
        const counts = new Array<number>(APPEND_SECONDS.length + 1).fill(0);
        for (const value of values) counts[bucketOf(value)] = (counts[bucketOf(value)] ?? 0) + 1;
        const exact = [...values].sort((a, b) => a - b)[Math.ceil(share * values.length - 1e-9) - 1] ?? 0;
        const last = APPEND_SECONDS.length - 1;
        expect(bucketOf(quantile(APPEND_SECONDS, counts, share) ?? -1)).toBe(Math.min(bucketOf(exact), last));
      }),
    );
  });
});

/** Figures of a replica that has done so much so long after its start. */
function told(upMs: number, amount: number, more: Partial<Figures> = {}): Figures {
  return someFigures({ upMs, ...more }, amount);
}

describe('a track', () => {
  it('knows no pace until it was told something twice', () => {
    const track = new Track();
    track.add(told(1_000, 1));
    track.add(told(1_000, 1));
    expect(track.pace).toBeNull();
  });

  it('takes rates of the last seconds, and latencies of the last ten', () => {
    const track = new Track();
    for (let second = 0; second <= 30; second += 1) track.add(told(1_000 * second, second < 20 ? second : 2 * second));
    const { pace } = track;
    expect(pace).toMatchObject({ deliveries: 2, bytesSent: 2, cpu: 2, publishes: 2 * (APPEND_SECONDS.length + 1) });
    expect(pace?.labelled.errors.rate_limited).toBe(2);
    expect(pace?.took.publishAppend).toEqual(new Array(APPEND_SECONDS.length + 1).fill(20));
  });

  it('sees nothing go backwards', () => {
    const track = new Track();
    track.add(told(1_000, 5));
    track.add(told(2_000, 1));
    expect(track.pace).toMatchObject({ deliveries: 0, publishes: 0 });
  });
});

function replica(figures: Figures, before?: Figures, isGone = false): Replica {
  const track = new Track();
  if (before !== undefined) track.add(before);
  track.add(figures);
  return { figures, ageMs: isGone ? 9_000 : 0, isGone, pace: track.pace };
}

describe('a scope', () => {
  const slow = [...new Array<number>(10).fill(0), 1, 0, 0, 0, 0, 0, 0];
  const quick = [99, ...new Array<number>(16).fill(0)];
  const one = replica(
    told(2_000, 10, { node: 'one', buckets: { publishAppend: quick }, lag: { 1: 5, 2: 7 } }),
    told(1_000, 4, { buckets: { publishAppend: [] } }),
  );
  const two = replica(
    told(9_000, 3, { node: 'two', buckets: { publishAppend: slow }, lag: { 2: 9 } }),
    told(8_000, 1, { buckets: { publishAppend: [] } }),
  );
  const gone = replica(told(9_000, 1_000), told(8_000, 0), true);

  it('adds up what adds up, and leaves out who is gone', () => {
    const scope = new Scope([one, two, gone]);
    expect(scope.total('sessions')).toBe(13);
    expect(scope.byLabel('statusSessions')).toEqual(new Map(['online', 'away', 'dnd'].map((status) => [status, 13])));
    expect(scope.totalOf('statusSessions')).toBe(39);
    expect(scope.pace('deliveries')).toBe(8);
    expect(scope.paceByLabel('errors')?.get('forbidden')).toBe(8);
    expect(scope.publishes).toBe(100);
    expect(scope.residentBytes).toBe(13);
  });

  it('has the latencies of all together', () => {
    const scope = new Scope([one, two]);
    expect(scope.tookMs('publishAppend', APPEND_SECONDS, 0.5)).toBeLessThan(0.25);
    expect(scope.tookMs('publishAppend', APPEND_SECONDS, 1)).toBe(500);
    expect(new Scope([one]).tookMs('publishAppend', APPEND_SECONDS, 1)).toBe(0.25);
  });

  it('shows the worst of what each has by itself', () => {
    const scope = new Scope([one, two]);
    expect(scope.lag).toEqual(
      new Map([
        [1, 5],
        [2, 9],
      ]),
    );
    expect(scope.most(({ process }) => process.loopLagMs)).toBe(10);
    const near = replica(told(1_000, 1, { node: 'near', numbers: { connections: 90, connectionsMax: 100 } }));
    const far = replica(told(1_000, 1, { node: 'far', numbers: { connections: 200, connectionsMax: 1_000 } }));
    expect(new Scope([far, near]).nearest('connections', 'connectionsMax')).toEqual({
      used: 90,
      most: 100,
      node: 'near',
    });
  });

  it('of nobody knows nothing', () => {
    const scope = new Scope([gone]);
    expect([...new Set(Object.values(columnsOf(scope)))].filter((value) => value !== null && value !== 0)).toEqual([]);
    expect(scope.nearest('connections', 'connectionsMax')).toBeNull();
  });

  it('does not know the pace of who was heard once', () => {
    const scope = new Scope([replica(told(1_000, 5))]);
    expect(columnsOf(scope)).toMatchObject({ deliveries: null, errors: null, ackP99: null, sessions: 5 });
  });
});

describe('a history', () => {
  const values = (n: number | null) => ({ x: n });
  const columns = (history: History<'x'>, scope: string) => history.column(scope, 'x');

  it('keeps five minutes, of each scope in columns of one length', () => {
    const history = new History(['x']);
    for (let second = 1; second <= SPAN_SECONDS + 50; second += 1) {
      history.add(second, new Map([['all', values(second)], ...(second > 300 ? [['late', values(1)] as const] : [])]));
    }
    expect(history.times).toHaveLength(SPAN_SECONDS);
    expect(columns(history, 'all')).toEqual(history.times);
    expect(columns(history, 'late')).toHaveLength(SPAN_SECONDS);
    expect(columns(history, 'late').filter((value) => value !== null)).toHaveLength(50);
    expect(columns(history, 'unknown')).toEqual(history.times.map(() => null));
  });

  it('has gaps where nothing was told, and forgets who tells nothing any more', () => {
    const history = new History(['x']);
    history.add(
      1,
      new Map([
        ['a', values(1)],
        ['b', values(1)],
      ]),
    );
    history.add(10, new Map([['a', values(2)]]));
    expect(columns(history, 'a')).toEqual([1, null, 2]);
    expect(columns(history, 'b')).toEqual([1, null, null]);
    for (let second = 11; second < 320; second += 1) history.add(second, new Map([['a', values(2)]]));
    expect(history.scopes).toEqual(['a']);
  });

  it('begins anew where the clock was set back', () => {
    const history = new History(['x']);
    history.add(100, new Map([['a', values(1)]]));
    history.add(50, new Map([['a', values(2)]]));
    expect([history.times, columns(history, 'a')]).toEqual([[50], [2]]);
  });
});

describe('rooms', () => {
  const seen = (rooms: Figures['rooms'], id = 'a') => replica(told(1_000, 1, { id, rooms }));

  it('have the members of all replicas, and publications once, evened out', () => {
    const rooms = new Rooms();
    const tea = (members: number, perSecond: number) => [{ room: 'tea', members, perSecond }];
    rooms.add([seen(tea(3, 10)), seen(tea(4, 8), 'b')]);
    expect(rooms.top('members')).toEqual([{ room: 'tea', members: 7, perSecond: 10 }]);
    rooms.add([seen(tea(2, 20)), seen(tea(4, 0), 'b')]);
    expect(rooms.top('members')).toEqual([{ room: 'tea', members: 6, perSecond: 15 }]);
    rooms.clear();
    expect(rooms.top('members')).toEqual([]);
  });

  it('come in the order that is asked for, ten of them', () => {
    const rooms = new Rooms();
    rooms.add([seen(Array.from({ length: 24 }, (_, i) => ({ room: `r${i}`, members: i, perSecond: 100 - i })))]);
    expect(rooms.top('members').map(({ room }) => room)).toEqual(Array.from({ length: 10 }, (_, i) => `r${23 - i}`));
    expect(rooms.top('perSecond').map(({ room }) => room)).toEqual(Array.from({ length: 10 }, (_, i) => `r${i}`));
  });
});

test('values are written with their units', () => {
  expect([count(1_234_567), count(0), count(null)]).toEqual(['1,234,567', '0', '–']);
  expect([compact(3_000_000), compact(1_024)]).toEqual(['3M', '1K']);
  expect([perSecond(0.123), perSecond(12.34), perSecond(1_234.5)]).toEqual(['0.12/s', '12.3/s', '1,235/s']);
  expect([bytes(999), bytes(1_500), bytes(2_500_000_000)]).toEqual(['999 B', '1.50 kB', '2.50 GB']);
  expect([milliseconds(0.25), milliseconds(2_500), milliseconds(null)]).toEqual(['0.25 ms', '2.50 s', '–']);
  expect([1_000, 90_000, 7_200_000, 200_000_000].map(duration)).toEqual(['1 s', '1 min', '2 h', '2 d']);
});
