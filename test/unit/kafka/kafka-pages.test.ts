import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { SharedHistory } from '../../../src/fanout/shared-history.ts';
import { FakeReplica } from './fake-replica.ts';
import { EPOCH, FakeTopic } from './fake-topic.ts';
import { Play, scenario } from './pages-play.ts';

test('pages give all that counts, once and in order, or say where it is missing', async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async (played) => {
      const play = new Play(played);
      await play.open();
      await play.read();
    }),
    // It takes 2 s; where it fails, what it has found is told before the test runs out of time.
    { numRuns: 300, interruptAfterTimeLimit: 20_000 },
  );
});

test('what Kafka has deleted is given where it is kept elsewhere, and what is missing ends before that', async () => {
  const topic = new FakeTopic();
  for (let offset = 0; offset < 40; offset++) topic.append({ room: 'r', mid: `m${offset}`, ts: 1_000 + 100 * offset });
  const kept: SharedHistory = {
    async readForward(_place, from, through) {
      const begin = Math.max(from, 12);
      const publications = replica.truth.filter(({ offset }) => offset >= begin && offset <= through);
      return { from: begin, through, publications };
    },
    async readBackward(_place, through) {
      const publications = replica.truth.filter(({ offset }) => offset >= 12 && offset <= through);
      return { from: 12, through, publications };
    },
  };
  const settings = { windowMs: 100, slackMs: 20, recentRecordsMax: 10 };
  const replica: FakeReplica = await FakeReplica.open(topic, settings, 'whole', kept);
  topic.firsts[0] = 20;
  const request = { room: 'r', through: 39, limit: 300, bytesMax: 1_000_000 };
  const after = { epoch: EPOCH, offset: 3 };
  const forward = await replica.pages.read({ ...request, after });
  expect(forward.publications).toEqual(replica.truth.slice(12));
  expect([forward.more, forward.gap]).toEqual([false, { from: after, to: { epoch: EPOCH, offset: 11 } }]);
  const backward = await replica.pages.read({ ...request, before: { epoch: EPOCH, offset: 35 } });
  expect(backward).toEqual({ publications: replica.truth.slice(12, 35), source: 'history', more: false });
  const foreign = await replica.pages.read({ ...request, before: { epoch: 'another', offset: 3 } });
  expect(foreign.publications).toEqual(replica.truth.slice(12));
  expect(foreign.gap).toEqual({ from: null, to: { epoch: EPOCH, offset: 11 } });
});
