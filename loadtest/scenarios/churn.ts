import type { LoadOptions } from '../load-options.ts';
import type { LoadRun, Scenario } from '../load-run.ts';
import { CrowdRun } from './crowd-run.ts';
import { boundOf, TIMES } from './presence-times.ts';

const SLOT_MS = 500;
const SOAK_SLOT_MS = 1_000;
const VANISHING = 0.2;
const CUT = 0.3;
const MIB_A_MINUTE = 60_000;
/** Of a soak, the beginning, in which servers still grow into what they need. */
const WARMING = 1 / 3;

/**
 * Members come and go: half say goodbye, some vanish without a word, and some lose their connection and come back. A soak
 * is the same, more slowly and for longer, and looks at how memory goes.
 */
class ChurnScenario implements Scenario {
  readonly slotMsMin: number;
  readonly #isSoak: boolean;

  constructor(isSoak: boolean) {
    this.#isSoak = isSoak;
    this.slotMsMin = isSoak ? SOAK_SLOT_MS : SLOT_MS;
  }

  env(): Readonly<Record<string, string>> {
    return TIMES;
  }

  plannedMs({ seconds, sessions, arrivals }: LoadOptions): number {
    return (sessions / arrivals) * 1000 + seconds * 1000 + 10_000;
  }

  async run(run: LoadRun): Promise<void> {
    const { options, timeline } = run;
    const crowd = await CrowdRun.start(run, 'full');
    try {
      await crowd.gather();
      const from = timeline.slotNow;
      await crowd.publish();
      await crowd.fleet.all('churn', { lifeMs: options.lifeSeconds * 1000, vanishing: VANISHING, cut: CUT });
      await run.pause(options.seconds * 1000);
      const to = timeline.slotNow;
      await crowd.fleet.all('endChurn');
      await crowd.settle();
      await crowd.checkPresence('presence is true at the end', boundOf(run.target, options));
      await crowd.finish();
      const seconds = Math.max(1, ((to - from) * timeline.clock.slotMs) / 1000);
      run.figure('sessions that came and went a second', timeline.total('came online', { from, to }) / seconds, '/s');
      run.figure('presence flaps: the living seen leaving', timeline.total('the living seen leaving'), '');
      if (this.#isSoak) this.#figuresOfGrowth(run, from, to);
      await run.figuresOfUse({ from, to });
    } finally {
      await crowd.end();
    }
  }

  #figuresOfGrowth(run: LoadRun, from: number, to: number): void {
    const { timeline, target } = run;
    const begun = from + Math.floor((to - from) * WARMING);
    for (const { name } of target.replicas) {
      const values = timeline.valuesOf(`${name} memory, MiB`, { from: begun, to });
      const [stepMs, slope] = [((to - begun) * timeline.clock.slotMs) / Math.max(1, values.length), slopeOf(values)];
      run.figure(`${name} memory grows by`, (slope * MIB_A_MINUTE) / stepMs, 'MiB a minute');
    }
  }
}

/** Of the straight line nearest to these values (least squares), a step; 0 of fewer than two. */
export function slopeOf(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const [middle, mean] = [(values.length - 1) / 2, values.reduce((sum, value) => sum + value, 0) / values.length];
  const spread = values.reduce((sum, _, step) => sum + (step - middle) ** 2, 0);
  return values.reduce((sum, value, step) => sum + (step - middle) * (value - mean), 0) / spread;
}

export const CHURN: Scenario = new ChurnScenario(false);
export const SOAK: Scenario = new ChurnScenario(true);
