import type { Scenario } from '../load-run.ts';
import { StreamRun } from './stream-run.ts';

const SLOT_MS = 1_000;
const KIB_A_MIB = 1_024;

/** Sessions are there, with presence, and say nothing but that they live; at the end all must still be there. */
export const IDLE: Scenario = {
  slotMsMin: SLOT_MS,

  env: () => ({}),

  plannedMs: ({ seconds, sessions }) => seconds * 1000 + sessions + 5_000,

  async run(run) {
    const { options, timeline, target } = run;
    const streams = await StreamRun.start(run, 1, 'full');
    try {
      await run.watch.read();
      const before = target.replicas.map(({ name }) => timeline.valuesOf(`${name} memory, MiB`).at(-1));
      await streams.gather();
      const from = timeline.slotNow;
      await run.pause(options.seconds * 1000);
      const to = timeline.slotNow;
      await run.watch.read();
      for (const [place, { name }] of target.replicas.entries()) {
        const after = timeline.valuesOf(`${name} memory, MiB`).at(-1);
        const grown = (after ?? Number.NaN) - (before[place] ?? Number.NaN);
        const sessions = options.sessions / target.replicas.length;
        // Garbage included: npm run bench -- idle reads memory when that is collected.
        if (Number.isFinite(grown)) run.figure(`${name} memory a session`, (grown * KIB_A_MIB) / sessions, 'KiB');
      }
      run.say('everybody is asked for');
      await streams.fleet.all('publishOnce');
      await streams.finish();
      await streams.checkPresence();
      await streams.end();
      await run.figuresOfUse({ from, to });
    } finally {
      await streams.end();
    }
  },
};
