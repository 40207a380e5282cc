import { describe, expect, it } from 'vitest';
import { encodeHdr, summarizeHdr } from '../../../loadtest/hdr.ts';
import { LatencyHistogram } from '../../../loadtest/latency-histogram.ts';
import { Recorder, type Sample, slotMsFor } from '../../../loadtest/recorder.ts';
import { slopeOf } from '../../../loadtest/scenarios/churn.ts';
import { Timeline } from '../../../loadtest/timeline.ts';

function histogramOf(...ms: readonly number[]): LatencyHistogram {
  const histogram = new LatencyHistogram();
  for (const each of ms) histogram.record(each * 1_000);
  return histogram;
}

/** Equal but for what a bucket's width is of a value. */
const near = (value: number) => expect.closeTo(value, -Math.log10(value / 64));

const sample = (slot: number, of: Partial<Sample>): Sample => {
  return { kind: 'sample', slot, counts: {}, latencies: {}, cpu: 0, loopBusy: 0, memoryBytes: 0, ...of };
};

describe('latencies of a run', () => {
  it('are summed up over processes and slots', () => {
    const all = Array.from({ length: 1_000 }, (_, index) => index + 1);
    const parts = [histogramOf(...all.slice(0, 300)), histogramOf(...all.slice(300))];
    const { count, curve, ...summary } = summarizeHdr(parts.map(encodeHdr));
    expect(count).toBe(1_000);
    expect(summary).toMatchObject({ p50Ms: near(500), p90Ms: near(900), p99Ms: near(990), maxMs: near(1_000) });
    expect(curve[0]).toEqual([0, near(1)]);
    expect(curve.at(-1)).toEqual([1, near(1_000)]);
    // Of a thousand the slowest is one: there is no 99.99th percentile.
    expect(curve.slice(0, -1).every(([share]) => share <= 0.999)).toBe(true);
    expect(summarizeHdr([summary.hdr])).toEqual({ count, curve, ...summary });
  });

  it('are none where nothing was recorded', () => {
    expect(summarizeHdr([])).toMatchObject({ count: 0, p99Ms: 0, meanMs: 0, curve: [] });
  });
});

describe('a timeline', () => {
  it('puts what processes tell side by side, slot by slot', () => {
    const timeline = new Timeline({ originMs: Date.now(), slotMs: 500 });
    timeline.add(1, sample(1, { counts: { attempts: 3, 'failed: ECONNREFUSED': 2 }, cpu: 0.25 }));
    timeline.add(2, sample(3, { counts: { attempts: 4 }, latencies: { connect: encodeHdr(histogramOf(5)) } }));
    timeline.add(1, sample(3, { counts: { attempts: 1 }, latencies: { connect: encodeHdr(histogramOf(50)) } }));
    timeline.gauge('replica 1 CPU', 0.5, 2);
    const { seconds, counts, gauges, latencies } = timeline.series();
    expect(seconds).toEqual([0, 0.5, 1, 1.5]);
    expect(counts.attempts).toEqual([0, 3, 0, 5]);
    expect(gauges['replica 1 CPU']).toEqual([null, null, 0.5, null]);
    expect(latencies.connect?.p99Ms).toEqual([null, null, null, near(50)]);
    expect(timeline.total('attempts', { from: 2 })).toBe(5);
    expect(timeline.totals('failed: ', { to: 3 })).toEqual({ ECONNREFUSED: 2 });
    expect(timeline.peakPerSecond('attempts')).toBe(10);
    expect(timeline.valuesOf('load 1 CPU')).toEqual([0.25, 0]);
    expect(timeline.summaries().connect?.count).toBe(2);
  });

  it('has longer slots where it is longer', () => {
    expect(slotMsFor(30_000, 250)).toBe(250);
    expect(slotMsFor(3_600_000, 250)).toBe(6_000);
    expect(slotMsFor(3_600_001, 250)).toBe(6_250);
  });
});

describe('a recorder', () => {
  it('tells of a slot when another one has begun, and of the last one at the end', () => {
    const told: Sample[] = [];
    const clock = { originMs: Date.now(), slotMs: 60_000 };
    const recorder = new Recorder(
      clock,
      (each) => told.push(each),
      () => recorder.sum('deliveries', 10),
    );
    recorder.count('attempts');
    recorder.count('attempts', 2);
    recorder.latency('connect', 5_000);
    recorder.latencies('deliver', new LatencyHistogram());
    expect(told).toEqual([]);
    recorder.end();
    expect(told).toMatchObject([{ slot: 0, counts: { attempts: 3, deliveries: 10 } }]);
    expect(Object.keys(told[0]?.latencies ?? {})).toEqual(['connect']);
  });
});

describe('a slope', () => {
  it('is that of the nearest line', () => {
    expect(slopeOf([3, 5, 7, 9])).toBe(2);
    expect(slopeOf([3, 5, 3, 5])).toBeCloseTo(0.4);
    expect(slopeOf([8])).toBe(0);
  });
});
