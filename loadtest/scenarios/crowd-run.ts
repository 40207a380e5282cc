import { setTimeout as sleep } from 'node:timers/promises';
import type { PresenceMode } from '../../src/client/client.ts';
import { randomName } from '../../src/random-name.ts';
import type { CrowdShape, PresenceVerdict } from '../crowd/crowd.ts';
import type { CrowdPlan, CrowdSteps } from '../crowd/crowd-plan.ts';
import { LoadFleet, shareOut } from '../load-fleet.ts';
import type { LoadOptions } from '../load-options.ts';
import type { LoadRun } from '../load-run.ts';
import { addressesOf } from '../source-addresses.ts';

const QUIET_MS = 500;
const PRESENCE_POLL_MS = 500;
const SHOWN_MAX = 3;

export type CrowdFleet = LoadFleet<CrowdSteps>;

/** Each load process has whole rooms. */
function shapesOf({ sessions, roomSize, processes }: LoadOptions): CrowdShape[] {
  const rooms = Math.ceil(sessions / roomSize);
  const prefix = `load-${randomName(4, 'hex')}`;
  let firstRoom = 0;
  let firstMember = 0;
  return shareOut(rooms, processes).map((count) => {
    const members = Math.min(count * roomSize, sessions - firstMember);
    const shape = { prefix, members, roomSize, firstMember: firstMember + firstRoom * APART, firstRoom };
    firstRoom += count;
    firstMember += members;
    return shape;
  });
}

/** Members that come later in one load process must not take the names of another's. */
const APART = 1_000_000;

/** Clients by the SDK, in rooms of the gateway, and what all runs with them check. */
export class CrowdRun {
  readonly fleet: CrowdFleet;
  readonly #run: LoadRun;

  private constructor(fleet: CrowdFleet, run: LoadRun) {
    this.fleet = fleet;
    this.#run = run;
  }

  static async start(run: LoadRun, presence: PresenceMode): Promise<CrowdRun> {
    const { options, target, timeline, cores } = run;
    const urls = target.replicas.flatMap(({ url }) => url ?? []);
    if (urls.length === 0) throw new Error(`${options.scenario} has clients that speak WebSocket: it needs --url`);
    const addresses = addressesOf(options);
    const plans = shapesOf(options).map((shape, process): CrowdPlan => {
      return { process, clock: timeline.clock, shape, urls, addresses, presence };
    });
    const fleet: CrowdFleet = await LoadFleet.start('./crowd/crowd-load.ts', plans, cores, timeline);
    run.watch.begin((areReady) => void fleet.all('enter', { areReady }).catch(() => {}));
    return new CrowdRun(fleet, run);
  }

  /** Has all come, at the rate of arrivals. */
  async gather(): Promise<void> {
    const { options } = this.#run;
    this.#run.say(`${options.sessions} sessions come, ${options.arrivals} a second`);
    const startMs = performance.now();
    await this.fleet.all('gather', { perSecond: options.arrivals / options.processes });
    this.#run.figure('sessions that came a second', (options.sessions * 1000) / (performance.now() - startMs), '/s');
    this.#run.moment('all are here');
  }

  async publish(perSecond = this.#run.options.rate): Promise<void> {
    await this.fleet.all('publish', { perSecond: perSecond / this.#run.options.processes });
  }

  /** Nobody publishes any more, and all has its outcome. */
  async settle(): Promise<void> {
    await this.fleet.all('settle', { quietMs: QUIET_MS });
  }

  async online(): Promise<number> {
    return (await this.fleet.all('online')).reduce((sum, count) => sum + count, 0);
  }

  /**
   * Presence must be true in all rooms, as every replica that has members of one tells it, within this time. Resolves
   * with how long that took.
   */
  async checkPresence(what: string, withinMs: number): Promise<number> {
    const startMs = performance.now();
    let verdicts: PresenceVerdict[] = [];
    const isTrueNow = async (): Promise<boolean> => {
      verdicts = await this.fleet.all('presence');
      return verdicts.every(({ wrong }) => wrong === 0);
    };
    // Also where the run is to end early: what was true a moment later would be told as false.
    let isTrue = await isTrueNow();
    while (!isTrue && performance.now() - startMs < withinMs) {
      await sleep(PRESENCE_POLL_MS);
      isTrue = await isTrueNow();
    }
    const tookMs = performance.now() - startMs;
    const rooms = verdicts.reduce((sum, verdict) => sum + verdict.rooms, 0);
    const wrong = verdicts.reduce((sum, verdict) => sum + verdict.wrong, 0);
    const words = verdicts.find((verdict) => verdict.words !== null)?.words;
    const found = isTrue
      ? `in all ${rooms} rooms, after ${(tookMs / 1000).toFixed(1)} s`
      : `not in ${wrong} of ${rooms} rooms after ${(tookMs / 1000).toFixed(1)} s: ${words}`;
    this.#run.check(what, isTrue, found);
    return tookMs;
  }

  /** What must be so of all that was published and delivered; ends the load processes' part. */
  async finish(): Promise<void> {
    const { timeline, options } = this.#run;
    const faults = await this.fleet.all('finish');
    const sum = (kind: 'lost' | 'doubled' | 'reordered') => faults.reduce((total, each) => total + each[kind], 0);
    const [lost, doubled, reordered] = [sum('lost'), sum('doubled'), sum('reordered')];
    const words = faults.flatMap((each) => each.words).slice(0, SHOWN_MAX);
    const published = timeline.total('publications');
    const duplicates = timeline.total('acknowledged as duplicates');
    const acknowledged = timeline.total('acknowledged at once') + duplicates;
    const givenUp = timeline.total('unanswered at the goodbye');
    const failed = Object.entries(timeline.totals('publish failed: '));
    const deliveries = timeline.total('deliveries');
    this.#run.check(
      'all that was acknowledged is seen by each reader, once and in order',
      lost + doubled + reordered === 0 && deliveries > 0,
      [`${deliveries} deliveries; ${lost} lost, ${doubled} doubled, ${reordered} reordered`, ...words].join('. '),
    );
    this.#run.check(
      'everything published is acknowledged',
      failed.length === 0 && acknowledged + givenUp === published && acknowledged > 0,
      [
        `${acknowledged} of ${published}`,
        ...(givenUp > 0 ? [`${givenUp} not answered when their publishers said goodbye`] : []),
        ...failed.map(([code, times]) => `${times} ${code}`),
      ].join(', '),
    );
    const away = timeline.total('sent away for good');
    this.#run.check('nobody is sent away for good', away === 0, `${away}`);
    this.#run.figure('publications', published, '');
    this.#run.figure('acknowledged by a repetition', duplicates, '');
    this.#run.figure('deliveries', deliveries, '');
    this.#run.figure('deliveries a second, most', timeline.peakPerSecond('deliveries'), '/s');
    this.#run.figure('sessions', options.sessions, '');
  }

  async end(): Promise<void> {
    await this.fleet.end();
  }
}
