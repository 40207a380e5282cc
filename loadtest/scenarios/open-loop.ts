import type { LoadOptions } from '../load-options.ts';
import type { LoadRun, Scenario } from '../load-run.ts';
import { StreamRun } from './stream-run.ts';

const SLOT_MS = 1_000;
const PUBLISHERS_PER_ROOM_MAX = 32;

/** Publications at a fixed rate, whatever has become of those before: few large rooms, or many small ones. */
class OpenLoopScenario implements Scenario {
  readonly slotMsMin = SLOT_MS;

  env(): Readonly<Record<string, string>> {
    return {};
  }

  plannedMs({ seconds }: LoadOptions): number {
    return seconds * 1000 + 5_000;
  }

  async run(run: LoadRun): Promise<void> {
    const { options, timeline } = run;
    const streams = await StreamRun.start(run, PUBLISHERS_PER_ROOM_MAX, 'off');
    try {
      await streams.gather();
      const from = timeline.slotNow;
      await streams.fleet.all('publish', { perSecond: options.rate / options.processes });
      await run.pause(options.seconds * 1000);
      const to = timeline.slotNow;
      await streams.finish();
      await streams.end();
      const seconds = Math.max(1, ((to - from) * timeline.clock.slotMs) / 1000);
      run.figure('publications a second', timeline.total('publications', { from, to }) / seconds, '/s');
      run.figure('deliveries a second', timeline.total('deliveries', { from, to }) / seconds, '/s');
      await run.figuresOfUse({ from, to });
    } finally {
      await streams.end();
    }
  }
}

export const OPEN_LOOP: Scenario = new OpenLoopScenario();
