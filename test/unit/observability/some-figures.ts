import { METRICS } from '../../../src/observability/catalogue.ts';
import { BUCKETS, type Figures, LABELLED, NUMBERS } from '../../../src/observability/figures.ts';

/** Figures in which everything is there, all numbers `amount`. */
export function someFigures(more: Partial<Figures> = {}, amount = 1): Figures {
  const labels = (key: (typeof LABELLED)[number]) => Object.values(METRICS[key].labels)[0] as readonly string[];
  return {
    id: 'abcdefgh-_012345',
    node: 'n1',
    version: '0.1.0',
    upMs: 1_000,
    hasRedis: true,
    hasKafka: true,
    partitions: 16,
    numbers: Object.fromEntries(NUMBERS.map((key) => [key, amount])),
    labelled: Object.fromEntries(
      LABELLED.map((key) => [key, Object.fromEntries(labels(key).map((label) => [label, amount]))]),
    ),
    buckets: Object.fromEntries(
      BUCKETS.map((key) => [key, new Array<number>(METRICS[key].buckets.length + 1).fill(amount)]),
    ),
    lag: { 3: amount },
    process: { cpuSeconds: amount, residentBytes: amount, loopLagMs: amount, loopBusy: 1 },
    rooms: [{ room: 'tea', members: amount, perSecond: amount }],
    ...more,
  };
}
