import { setTimeout as sleep } from 'node:timers/promises';
import type { Returns } from '../crowd/crowd.ts';
import type { LoadOptions } from '../load-options.ts';
import type { LoadRun, Scenario } from '../load-run.ts';
import type { Replica } from '../target.ts';
import type { SlotRange } from '../timeline.ts';
import { CrowdRun } from './crowd-run.ts';

const SLOT_MS = 250;
const POLL_MS = 200;
/** A crashed replica's sessions are gone after its lease and the grace, and at the latest after that in a storm. */
const PRESENCE_MS_MAX = 120_000;
/** Who has said goodbye is gone at once; so that it is seen to, half say so at the end. */
const LEAVING_SHARE = 0.5;
const EXIT_MS_MAX = 60_000;
/**
 * Of replicas that are to freeze: their clients find out sooner than by default, after 1.5 times this and 10 s, which
 * is to be within the freeze.
 */
const FROZEN_HEARTBEAT_MS = 5_000;

/** A replica is lost, and its clients come back. */
export const HERD: Scenario = {
  slotMsMin: SLOT_MS,

  env({ fault }: LoadOptions) {
    return fault === 'freeze' ? { TIDEGATE_HEARTBEAT_MS: String(FROZEN_HEARTBEAT_MS) } : {};
  },

  plannedMs({ sessions, arrivals, seconds, fault, freezeSeconds }) {
    const frozenMs = fault === 'freeze' ? freezeSeconds * 1000 : 0;
    return (sessions / arrivals) * 1000 + 2 * seconds * 1000 + frozenMs + 40_000;
  },

  async run(run) {
    const { options, target } = run;
    const victim = victimOf(run);
    const survivors = target.replicas.filter(({ name }) => name !== victim.name);
    const crowd = await CrowdRun.start(run, 'full');
    try {
      await crowd.gather();
      run.say(`for ${options.seconds} s nothing is wrong`);
      await crowd.publish();
      await run.pause(options.seconds * 1000);
      const storm = await loseAndReturn(run, crowd, victim);
      // What comes late comes meanwhile.
      await run.pause(options.seconds * 1000);
      run.say('the last publications are waited for');
      await crowd.settle();
      run.say('presence is compared');
      const presenceMs = await crowd.checkPresence('presence is true', PRESENCE_MS_MAX);
      run.figure('until presence was true, once all were back', presenceMs / 1000, 's');
      const left = await crowd.fleet.all('dismiss', { share: LEAVING_SHARE, how: 'goodbye' });
      run.say(`${left.reduce((sum, count) => sum + count, 0)} have said goodbye`);
      const withoutMs = await crowd.checkPresence('presence is true when half have left', PRESENCE_MS_MAX);
      run.figure('until presence was true, once half had left', withoutMs / 1000, 's');
      await crowd.finish();
      await figuresOfStorm(run, storm, survivors);
      const flaps = run.timeline.total('the living seen leaving');
      run.figure('presence flaps: the living seen leaving', flaps, '');
    } finally {
      await crowd.end();
    }
  },
};

/** Who is lost. */
interface Victim extends Pick<Replica, 'name' | 'exited'> {
  readonly pid: number;
}

/** @throws Error in words where there is nobody to lose */
function victimOf({ options, target }: LoadRun): Victim {
  const { pid } = options;
  if (pid !== undefined) return { name: `process ${pid}`, pid, exited: untilGone(pid) };
  const [first] = target.replicas;
  if (first === undefined || first.pid === null || target.replicas.length < 2) {
    throw new Error('herd loses one of several replicas that it starts (--replicas 2), or the one that --pid names');
  }
  return { ...first, pid: first.pid };
}

/** Of a process that is not ours nobody learns how it ended. */
async function untilGone(pid: number): Promise<number> {
  while (isRunning(pid)) await sleep(POLL_MS, undefined, { ref: false });
  return 0;
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function loseAndReturn(run: LoadRun, crowd: CrowdRun, victim: Victim): Promise<SlotRange> {
  const { options, timeline } = run;
  const { pid } = victim;
  const { fault } = options;
  const before = await crowd.online();
  run.check('all are online before', before === options.sessions, `${before} of ${options.sessions}`);
  await run.watch.read();
  // Whoever is on it loses their connection, but of a freeze that is over before they notice.
  const losing = fault === 'freeze' ? 0 : (timeline.valuesOf(`${victim.name} sessions`).at(-1) ?? 1);
  await crowd.fleet.all('mark');
  const from = timeline.slotNow;
  const faultMs = performance.now();
  run.moment({ kill: 'killed', drain: 'drain begins', freeze: 'frozen' }[fault]);
  run.say(`${victim.name}: ${fault}`);
  process.kill(pid, { kill: 'SIGKILL', drain: 'SIGTERM', freeze: 'SIGSTOP' }[fault] as NodeJS.Signals);
  if (fault === 'freeze') {
    const thaw = () => process.kill(pid, 'SIGCONT');
    process.once('exit', thaw);
    await run.pause(options.freezeSeconds * 1000);
    process.off('exit', thaw);
    thaw();
    run.moment('goes on');
    run.say(`${victim.name} goes on`);
  }
  if (fault === 'drain') await awaitExit(run, victim, faultMs);
  let returns: Returns[] = [];
  const lostOf = () => returns.reduce((sum, each) => sum + each.lost, 0);
  const areBack = await run.until(
    async () => {
      returns = await crowd.fleet.all('returns');
      if (lostOf() < losing || returns.some(({ lost, backMs }) => backMs.length < lost)) return false;
      return (await crowd.online()) === options.sessions;
    },
    options.backSeconds * 1000,
    POLL_MS,
  );
  const lost = lostOf();
  const backMs = returns.flatMap((each) => each.backMs).toSorted((a, b) => a - b);
  run.moment(areBack ? 'all are back' : 'not all are back');
  run.check('all are back', areBack, `${backMs.length} of ${lost} that lost their connection`);
  for (const share of [0.5, 0.9, 0.99, 1]) {
    const ms = backMs[Math.ceil(lost * share) - 1];
    if (ms !== undefined) run.figure(`${share * 100} % are back after`, ms / 1000, 's');
  }
  const attempts = returns.flatMap((each) => each.attempts);
  run.figure('sessions that lost their connection', lost, '');
  run.figure(
    'attempts a client, mean',
    attempts.reduce((sum, each) => sum + each, 0) / Math.max(1, attempts.length),
    '',
  );
  run.figure('attempts a client, most', Math.max(0, ...attempts), '');
  return { from, to: timeline.slotNow + 1 };
}

/** From the fault until all were back: what became of the tries to come back, and what it took. */
async function figuresOfStorm(run: LoadRun, storm: SlotRange, survivors: readonly Replica[]): Promise<void> {
  const { timeline } = run;
  run.figure('attempts a second, most', timeline.peakPerSecond('attempts', storm), '/s');
  for (const [prefix, what] of [
    ['failed: ', 'attempts failed:'],
    ['disconnect: ', 'sent away with'],
    ['closed: ', 'connections closed with'],
  ] as const) {
    const totals = Object.entries(timeline.totals(prefix, storm));
    for (const [reason, times] of totals) run.figure(`${what} ${reason}`, times, '');
  }
  for (const what of ['rooms recovered', 'rooms not recovered', 'rooms told to resync', 'gaps']) {
    run.figure(what, timeline.total(what, storm), '');
  }
  for (const { name } of survivors) {
    for (const [reason, times] of Object.entries(run.countsOf(name).refused)) {
      if (times > 0) run.figure(`${name} has refused: ${reason}`, times, '');
    }
  }
  await run.figuresOfUse(storm);
}

async function awaitExit(run: LoadRun, { exited }: Victim, sinceMs: number): Promise<void> {
  let code: number | null | undefined;
  void exited.then((value) => {
    code = value;
  });
  await run.until(async () => code !== undefined, EXIT_MS_MAX, POLL_MS);
  const seconds = (performance.now() - sinceMs) / 1000;
  run.check('the drained replica ends with 0', code === 0, `${code} after ${seconds.toFixed(1)} s`);
  run.figure('the drain took', seconds, 's');
  run.moment('drained');
}
