import type { LoadRun, Scenario } from '../load-run.ts';
import { StreamRun } from './stream-run.ts';

const SLOT_MS = 500;
const POLL_MS = 500;
/** Until the server has ended all that have stopped: the kernel's buffers have to fill first. */
const END_MS_MAX = 60_000;
const REASON = 'slow_consumer';
/** What may wait for a session. */
const MIB_A_READER_MAX = 1;
/** V8 collects when it likes to. */
const MIB_OF_GARBAGE_MAX = 128;

/** Some sessions stop reading while as much as possible is published: they end, and the others notice nothing. */
export const SLOW_READERS: Scenario = {
  slotMsMin: SLOT_MS,

  env: () => ({}),

  plannedMs: ({ seconds }) => 2 * seconds * 1000 + 15_000,

  async run(run) {
    const { options, timeline, target } = run;
    // Half of those who go on reading.
    const publishers = Math.ceil((options.sessions / options.processes / 2) * (1 - options.stopping / 100));
    const streams = await StreamRun.start(run, publishers, 'off');
    try {
      await streams.gather();
      const from = timeline.slotNow;
      const window = Math.ceil(options.window / options.processes);
      await streams.fleet.all('publishOpen', { window });
      await run.pause(options.seconds * 1000);
      await run.watch.read();
      const stoppedAt = timeline.slotNow + 1;
      const mostBefore = target.replicas.map(({ name }) => memoryMost(run, name, 0, stoppedAt));
      const endedBefore = endedOf(run);
      const stopped = await streams.fleet.all('stopReading', { share: options.stopping / 100 });
      const total = stopped.reduce((sum, count) => sum + count, 0);
      run.moment(`${total} stop reading`);
      const readers = options.sessions - total;
      const startMs = performance.now();
      const haveEnded = await run.until(async () => endedOf(run) - endedBefore >= total, END_MS_MAX, POLL_MS);
      if (haveEnded) run.figure('until all of those were ended', (performance.now() - startMs) / 1000, 's');
      const endedAt = timeline.slotNow;
      await run.pause(options.seconds * 1000);
      const to = timeline.slotNow;
      await streams.finish();
      await streams.end();
      run.check(
        'whoever stopped reading is ended as a slow consumer, and nobody else',
        endedOf(run) - endedBefore === total,
        `${endedOf(run) - endedBefore} of ${total}`,
      );
      for (const [place, { name }] of target.replicas.entries()) {
        const grown = memoryMost(run, name, stoppedAt) - (mostBefore[place] ?? 0);
        const bound = (MIB_A_READER_MAX * total) / target.replicas.length + MIB_OF_GARBAGE_MAX;
        const found = `${grown.toFixed(1)} MiB, ${bound.toFixed(0)} are allowed`;
        run.check(`${name} grows by no more than ${MIB_A_READER_MAX} MiB for each, and garbage`, grown <= bound, found);
      }
      const perSecond = (range: { from: number; to: number }, sessions: number) => {
        const seconds = Math.max(1, ((range.to - range.from) * timeline.clock.slotMs) / 1000);
        return timeline.total('deliveries', range) / seconds / sessions;
      };
      // Compared a session, since there are fewer afterwards.
      run.figure('deliveries a second and session, before', perSecond({ from, to: stoppedAt }, options.sessions), '/s');
      run.figure('the same, while some do not read', perSecond({ from: stoppedAt, to: endedAt }, readers), '/s');
      run.figure('the same, afterwards', perSecond({ from: endedAt, to }, readers), '/s');
      await run.figuresOfUse({ from, to });
    } finally {
      await streams.end();
    }
  },
};

function memoryMost({ timeline }: LoadRun, name: string, from: number, to?: number): number {
  return Math.max(0, ...timeline.valuesOf(`${name} memory, MiB`, to === undefined ? { from } : { from, to }));
}

/** Sessions that all replicas have ended as slow consumers, as they tell. */
function endedOf(run: LoadRun): number {
  return run.target.replicas.reduce((sum, { name }) => sum + (run.countsOf(name).disconnects[REASON] ?? 0), 0);
}
