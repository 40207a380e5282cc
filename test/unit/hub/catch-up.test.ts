import { expect, test } from 'vitest';
import { newestToPresent } from '../../../src/fanout/catch-up.ts';
import type { Publication } from '../../../src/protocol/publication.ts';

const EPOCH = 'e';

function publication(offset: number): Publication {
  return { room: 'r', partition: 0, epoch: EPOCH, offset, ts: 0, value: Buffer.from('x') };
}

function gap(from: number, to: number) {
  return { from: { epoch: EPOCH, offset: from }, to: { epoch: EPOCH, offset: to } };
}

test('the newest are told with the gap that lies among them, and without one before what is kept of them', () => {
  const arrived = { publications: [publication(20)], complete: true };
  const reading = { through: 15, end: 20, isBroken: false, arrived: () => arrived, close() {} };
  const page = { publications: [1, 2, 3].map(publication), source: 'log', more: true } as const;
  const bounds = { limit: 2, bytesMax: 1_000 };
  const offsets = (limit: number, missing: ReturnType<typeof gap>) => {
    const caughtUp = newestToPresent({ ...page, gap: missing }, reading, { ...bounds, limit });
    return { offsets: caughtUp.publications.map(({ offset }) => offset), gap: caughtUp.gap };
  };
  expect(offsets(2, gap(10, 15))).toEqual({ offsets: [3, 20], gap: gap(10, 15) });
  expect(offsets(2, gap(-1, 0))).toEqual({ offsets: [3, 20], gap: undefined });
  expect(offsets(9, gap(-1, 0))).toEqual({ offsets: [1, 2, 3, 20], gap: gap(-1, 0) });
});
