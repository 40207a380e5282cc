import { randomName } from '../../src/random-name.ts';
import type { Presence } from '../clients/tidegate.ts';
import { LoadFleet, shareOut } from '../load-fleet.ts';
import type { LoadOptions } from '../load-options.ts';
import type { LoadRun } from '../load-run.ts';
import type { PopulationShape } from '../population.ts';
import { PUBLISHERS_MAX } from '../publication-data.ts';
import { addressesOf } from '../source-addresses.ts';
import type { StreamPlan, StreamSteps } from '../streams/stream-plan.ts';

const PRESENCE_ROOMS_MAX = 50;

/** Raw sessions in rooms of the gateway, of which every byte is verified, and what all runs with them check. */
export class StreamRun {
  readonly fleet: LoadFleet<StreamSteps>;
  readonly #run: LoadRun;

  private constructor(fleet: LoadFleet<StreamSteps>, run: LoadRun) {
    this.fleet = fleet;
    this.#run = run;
  }

  /** @param publishersPerRoom at most; of large rooms not everybody needs to */
  static async start(run: LoadRun, publishersPerRoom: number, presence: Presence): Promise<StreamRun> {
    const { options, timeline, cores } = run;
    const addresses = addressesOf(options);
    const { host, ports } = doorsOf(run);
    const wire = options.transport === 'tcp' ? 'tidegate-tcp' : 'tidegate-ws';
    const plans = shapesOf(options, publishersPerRoom).map((shape): StreamPlan => {
      return { clock: timeline.clock, wire, host, ports, addresses, shape, presence };
    });
    const fleet: LoadFleet<StreamSteps> = await LoadFleet.start('./streams/stream-load.ts', plans, cores, timeline);
    run.watch.begin(() => {});
    return new StreamRun(fleet, run);
  }

  async gather(): Promise<void> {
    const { options } = this.#run;
    this.#run.say(`${options.sessions} sessions come`);
    const startMs = performance.now();
    await this.fleet.all('gather');
    this.#run.figure('sessions that came a second', (options.sessions * 1000) / (performance.now() - startMs), '/s');
    this.#run.moment('all are here');
  }

  /** What must be so of all that was published and delivered, which the load processes verify. */
  async finish(): Promise<void> {
    const what = 'all that was acknowledged is delivered to each session, once, in order, and unaltered';
    try {
      const figures = await this.fleet.all('finish');
      const sum = (kind: 'deliveries' | 'publications') => figures.reduce((total, each) => total + each[kind], 0);
      this.#run.check(what, true, `${sum('deliveries')} deliveries of ${sum('publications')} publications`);
      this.#run.figure('publications', sum('publications'), '');
      this.#run.figure('deliveries', sum('deliveries'), '');
    } catch (error) {
      this.#run.check(what, false, (error as Error).message);
    }
    this.#run.figure('sessions', this.#run.options.sessions, '');
  }

  async checkPresence(): Promise<void> {
    const what = 'presence is true';
    try {
      const rooms = await this.fleet.all('checkPresence', { rooms: PRESENCE_ROOMS_MAX });
      const total = rooms.reduce((sum, count) => sum + count, 0);
      this.#run.check(what, true, `in ${total} rooms`);
    } catch (error) {
      this.#run.check(what, false, (error as Error).message);
    }
  }

  async end(): Promise<void> {
    await this.fleet.all('end').catch(() => {});
    await this.fleet.end();
  }
}

/** Each load process has whole rooms; where there are fewer rooms than processes, each has one of its own. */
function shapesOf({ sessions, roomSize, processes }: LoadOptions, publishersMax: number): PopulationShape[] {
  const rooms = Math.max(processes, Math.floor(sessions / roomSize));
  const sessionsPerRoom = Math.floor(sessions / rooms);
  const publishersPerRoom = Math.min(sessionsPerRoom, publishersMax);
  if (Math.ceil(rooms / processes) * publishersPerRoom > PUBLISHERS_MAX) {
    throw new Error(`${rooms} rooms with ${publishersPerRoom} publishers each are too many for a load process`);
  }
  const roomPrefix = `load-${randomName(4, 'hex')}`;
  let firstRoom = 0;
  return shareOut(rooms, processes).map((count) => {
    const shape = {
      rooms: count,
      sessionsPerRoom,
      publishersPerRoom,
      firstRoom,
      roomPrefix,
      firstSession: firstRoom * sessionsPerRoom,
    };
    firstRoom += count;
    return shape;
  });
}

/** Where raw sessions come in. @throws Error in words where they can't */
function doorsOf({ target, options }: LoadRun): { readonly host: string; readonly ports: readonly number[] } {
  const doors = target.replicas.map(({ url, tcp }) => {
    if (options.transport === 'tcp') return tcp;
    if (url === null) return null;
    const { protocol, hostname, port } = new URL(url);
    if (protocol !== 'ws:') throw new Error(`${options.scenario} speaks no TLS: --url is ws://`);
    return { host: hostname, port: Number(port || 80) };
  });
  const known = doors.filter((door) => door !== null);
  const [first] = known;
  if (first === undefined)
    throw new Error(`${options.scenario} over ${options.transport} needs --${doorOption(options)}`);
  if (known.some(({ host }) => host !== first.host))
    throw new Error(`${options.scenario} has all replicas on one host`);
  return { host: first.host, ports: known.map(({ port }) => port) };
}

function doorOption({ transport }: LoadOptions): string {
  return transport === 'tcp' ? 'tcp' : 'url';
}
