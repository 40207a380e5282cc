import fc from 'fast-check';
import { test } from 'vitest';
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
