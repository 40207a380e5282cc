import type { Scenario } from '../load-run.ts';
import { CrowdRun } from './crowd-run.ts';
import { boundOf, TIMES } from './presence-times.ts';

const SLOT_MS = 500;

/** Some vanish without a word, their connections left standing: they must be gone within the bound, and nobody else. */
export const GHOSTS: Scenario = {
  slotMsMin: SLOT_MS,

  env: () => TIMES,

  plannedMs: ({ sessions, arrivals, seconds }) => (sessions / arrivals) * 1000 + seconds * 1000 + 15_000,

  async run(run) {
    const { options, timeline } = run;
    const crowd = await CrowdRun.start(run, 'full');
    try {
      await crowd.gather();
      const from = timeline.slotNow;
      await crowd.publish();
      await run.pause(options.seconds * 1000);
      const gone = await crowd.fleet.all('dismiss', { share: options.vanishing / 100, how: 'vanished' });
      const total = gone.reduce((sum, count) => sum + count, 0);
      run.moment(`${total} vanish`);
      run.say(`${total} have vanished`);
      const boundMs = boundOf(run.target, options);
      const tookMs = await crowd.checkPresence(`who has vanished is gone within ${boundMs / 1000} s`, boundMs);
      run.figure('until presence was true', tookMs / 1000, 's');
      await crowd.settle();
      await crowd.finish();
      const flaps = timeline.total('the living seen leaving');
      run.check('nobody who lives is seen leaving', flaps === 0, `${flaps} times`);
      await run.figuresOfUse({ from, to: timeline.slotNow });
    } finally {
      await crowd.end();
    }
  },
};
