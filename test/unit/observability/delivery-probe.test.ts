import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Hub } from '../../../src/fanout/hub.ts';
import { partitionOf } from '../../../src/fanout/partition.ts';
import type { Appended, AppendRequest, RoomLog } from '../../../src/fanout/room-log.ts';
import { TimerWheel } from '../../../src/limits/timer-wheel.ts';
import { DeliveryProbe, probeRooms } from '../../../src/observability/delivery-probe.ts';
import { Tally } from '../../../src/observability/tally.ts';
import { CommandError } from '../../../src/protocol/errors.ts';
import { isRoom, isUser } from '../../../src/protocol/names.ts';
import { encodeValue, type Publication } from '../../../src/protocol/publication.ts';

const PARTITIONS = 4;
const INTERVAL_MS = 1_000;
const TIMEOUT_MS = 300;

/** What becomes of a record: it is handed on, refused, acknowledged and lost, or nothing is heard of it. */
type Fate = 'delivered' | 'refused' | 'acknowledged' | 'silence' | 'broken';

class ScriptedLog implements RoomLog {
  readonly epoch = 'e';
  readonly partitions = PARTITIONS;
  readonly fates: Fate[] = new Array<Fate>(PARTITIONS).fill('delivered');
  readonly requests: AppendRequest[] = [];
  readonly #ends = new Array<number>(PARTITIONS).fill(-1);
  #onBatch: (publications: readonly Publication[]) => void = () => {};

  /** Partitions of the records since this was asked last. */
  tried(): number[] {
    return this.requests.splice(0).map(({ room }) => partitionOf(room, PARTITIONS));
  }

  async append(request: AppendRequest): Promise<Appended> {
    this.requests.push(request);
    const partition = partitionOf(request.room, PARTITIONS);
    const fate = this.fates[partition];
    if (fate === 'refused') throw new CommandError('unavailable', 'the disk is full');
    if (fate === 'broken') throw new TypeError('secret words');
    if (fate === 'silence') return new Promise(() => {});
    if (fate === 'delivered') this.handOn(request);
    return { position: { epoch: 'e', offset: this.#ends[partition] ?? 0 }, duplicate: false };
  }

  handOn({ room, from, mid, data }: AppendRequest): void {
    const partition = partitionOf(room, PARTITIONS);
    const offset = (this.#ends[partition] ?? -1) + 1;
    this.#ends[partition] = offset;
    this.#onBatch([{ room, partition, epoch: 'e', offset, ts: Date.now(), value: encodeValue(room, from, mid, data) }]);
  }

  tail(onBatch: (publications: readonly Publication[]) => void): void {
    this.#onBatch = onBatch;
  }

  async read(): Promise<never> {
    throw new Error('nothing is read');
  }

  ends(): readonly number[] {
    return this.#ends;
  }

  async untilCurrent(): Promise<void> {}

  async close(): Promise<void> {}
}

let log: ScriptedLog;
let hub: Hub;
let wheel: TimerWheel;
let tally: Tally;
let probe: DeliveryProbe;

beforeEach(async () => {
  vi.useFakeTimers();
  log = new ScriptedLog();
  tally = new Tally();
  hub = new Hub(log, { tickMaxMs: 0, tickBytesMax: 100_000, recentBytesMax: 1_000 }, () => {}, tally);
  log.tail((publications) => hub.receive(publications));
  wheel = new TimerWheel({ tickMs: 25, stepMsMax: 100 });
  probe = new DeliveryProbe(log, hub, wheel, tally, { intervalMs: INTERVAL_MS, timeoutMs: TIMEOUT_MS });
  probe.start();
  // So that a turn's records have come through when it is looked at.
  await vi.advanceTimersByTimeAsync(10);
});

afterEach(() => {
  probe.stop();
  wheel.close();
  vi.useRealTimers();
});

const turns = (count: number) => vi.advanceTimersByTimeAsync(count * INTERVAL_MS);

describe('the rooms of the probe', () => {
  it.each([1, 2, 16, 61])('lie in each of %d partitions once', (partitions) => {
    const rooms = probeRooms(partitions);
    expect(rooms.map((room) => partitionOf(room, partitions))).toEqual([...Array(partitions).keys()]);
    expect(rooms.every(isRoom)).toBe(true);
    expect(rooms.every((room) => /^@probe\/\d+$/.test(room))).toBe(true);
  });
});

describe('the probe', () => {
  it('knows nothing before the first turn, and that is no failure', () => {
    expect(probe.report()).toEqual({
      delivering: true,
      partitions: PARTITIONS,
      lastDeliveredMs: null,
      oldestProofMs: null,
      failing: [],
      lastLatencyMs: null,
    });
  });

  it('proves one partition after the other, one at each turn', async () => {
    await turns(PARTITIONS + 1);
    expect(log.requests.every(({ from }) => isUser(from) && from === '@probe')).toBe(true);
    expect(new Set(log.requests.map(({ mid }) => mid)).size).toBe(PARTITIONS + 1);
    expect(log.tried()).toEqual([0, 1, 2, 3, 0]);
    const { lastDeliveredMs, oldestProofMs, lastLatencyMs, ...rest } = probe.report();
    expect(rest).toEqual({ delivering: true, partitions: PARTITIONS, failing: [] });
    expect(lastDeliveredMs).toBeLessThan(15);
    // Partition 1 was proved at the second turn.
    expect(oldestProofMs).toBeGreaterThanOrEqual(3 * INTERVAL_MS);
    expect(oldestProofMs).toBeLessThan(3 * INTERVAL_MS + 15);
    expect(lastLatencyMs).toBeLessThan(50);
    expect(tally.probe.counts.reduce((sum, count) => sum + count)).toBe(PARTITIONS + 1);
    expect(hub.roomCount).toBe(0);
  });

  it('tries a partition that refuses at every turn, and the others as before', async () => {
    log.fates[1] = 'refused';
    await turns(2);
    expect(probe.report()).toMatchObject({
      delivering: false,
      failing: [{ partition: 1, reason: 'unavailable: the disk is full' }],
    });
    log.tried();
    await turns(3);
    expect(log.tried()).toEqual([2, 1, 3, 1, 0, 1]);
    expect(probe.report().failing).toMatchObject([{ partition: 1 }]);
    expect(probe.report().failing[0]?.sinceMs).toBeGreaterThanOrEqual(3 * INTERVAL_MS);
    expect(tally.probeFailures).toBe(4);
    // Partition 1's own turn, which is not followed by another try.
    await turns(1);
    expect(log.tried()).toEqual([1]);
    log.fates[1] = 'delivered';
    await turns(1);
    expect(log.tried()).toEqual([2, 1]);
    expect(probe.report()).toMatchObject({ delivering: true, failing: [] });
    await turns(1);
    expect(log.tried()).toEqual([3]);
  });

  it.each(['acknowledged', 'silence'] as const)('fails when the record ends in %s', async (fate) => {
    log.fates[0] = fate;
    await turns(1);
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS - 50);
    expect(probe.report()).toMatchObject({ delivering: true, lastDeliveredMs: null });
    await vi.advanceTimersByTimeAsync(150);
    expect(probe.report()).toMatchObject({
      delivering: false,
      lastDeliveredMs: null,
      failing: [{ partition: 0, reason: 'not delivered within 300 ms' }],
    });
    expect(hub.roomCount).toBe(0);
  });

  it('does not take what others say in its room for its own record', async () => {
    log.fates[0] = 'acknowledged';
    await turns(1);
    const [own] = log.requests;
    if (own === undefined) throw new Error('nothing was appended');
    log.handOn({ ...own, mid: 'other' });
    await vi.advanceTimersByTimeAsync(100);
    expect(probe.report().lastDeliveredMs).toBeNull();
    log.handOn(own);
    await vi.advanceTimersByTimeAsync(10);
    expect(probe.report()).toMatchObject({ delivering: true });
    expect(probe.report().lastDeliveredMs).not.toBeNull();
  });

  it('does not count a record that comes too late', async () => {
    log.fates[0] = 'acknowledged';
    await turns(1);
    const [own] = log.requests;
    if (own === undefined) throw new Error('nothing was appended');
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS + 100);
    log.handOn(own);
    await vi.advanceTimersByTimeAsync(10);
    expect(probe.report()).toMatchObject({ delivering: false, lastDeliveredMs: null });
  });

  it('has one record under way at a time, and takes turns where the failing ones are too many for one', async () => {
    log.fates.fill('silence');
    let most = 0;
    let open = 0;
    const append = log.append.bind(log);
    log.append = (request) => {
      open += 1;
      most = Math.max(most, open);
      setTimeout(() => {
        open -= 1;
      }, TIMEOUT_MS - 50);
      return append(request);
    };
    await turns(12);
    expect(most).toBe(1);
    expect(probe.report().failing.map(({ partition }) => partition)).toEqual([0, 1, 2, 3]);
    log.tried();
    log.fates.fill('delivered');
    await turns(2);
    expect(new Set(log.tried())).toEqual(new Set([0, 1, 2, 3]));
    expect(probe.report().delivering).toBe(true);
  });

  it('does not quote what is no error of a command', async () => {
    log.fates[0] = 'broken';
    await turns(1);
    expect(probe.report().failing).toMatchObject([{ partition: 0, reason: 'the append failed by our fault' }]);
  });

  it('ends with stop, and judges nothing after it', async () => {
    log.fates[0] = 'silence';
    await turns(1);
    probe.stop();
    await turns(3);
    expect(log.tried()).toEqual([0]);
    expect(probe.report()).toMatchObject({ delivering: true, failing: [] });
    expect(tally.probeFailures).toBe(0);
  });

  it('does not judge by time in which the process stood still', async () => {
    log.fates[0] = 'acknowledged';
    await turns(1);
    // The clock jumps, and no timer has run meanwhile, as for a process that was stopped.
    const clock = performance.now.bind(performance);
    vi.spyOn(performance, 'now').mockImplementation(() => clock() + 60_000);
    await vi.advanceTimersByTimeAsync(100);
    expect(probe.report().delivering).toBe(true);
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS);
    expect(probe.report().delivering).toBe(false);
    vi.restoreAllMocks();
  });
});
