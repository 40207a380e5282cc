import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { PresenceScripts } from '../../src/redis/presence-scripts.ts';
import type { RedisPresenceSettings } from '../../src/redis/presence-settings.ts';
import { Random } from '../faults/random.ts';
import { Journal } from './journal.ts';
import { type ClientOptions, PREFIX, PresenceClient } from './presence-client.ts';
import { FAULTS_OF_REPLICAS, type Stage } from './presence-faults.ts';
import { type Plan, type Planned, planOf } from './presence-plan.ts';
import { Stored } from './presence-stored.ts';
import { ROOMS, Traffic, USERS } from './presence-traffic.ts';
import { mismatchWithTruth } from './presence-truth-check.ts';
import { RedisPair } from './redis-pair.ts';

const CLIENTS = 3;
const TRAFFIC_MS_MAX = 25;
const POLL_MS = 25;
const STALLS_MAX = 20;
const START_MS_MAX = 10_000;

const LEASE_MS = 600;
const SETTINGS = {
  leaseMs: LEASE_MS,
  renewMs: 100,
  fenceMs: 480,
  graceMs: 300,
  graceMsMax: 600,
  healMs: 300,
  reapPauseMs: 200,
  reapChunk: 3,
  compareMs: 300,
  chunkChanges: 5,
} satisfies Partial<RedisPresenceSettings>;
/** What crashed is due by then, also if Redis was to blame, and a reaper has come by. */
const GONE_MS = SETTINGS.leaseMs + SETTINGS.graceMs + SETTINGS.reapPauseMs + 4 * SETTINGS.renewMs;

/** See `Plan`. */
const OF_KEYS = { refreshMs: 600, sweepEveryMs: 800 };
const HOURLY = { refreshMs: 3_600_000, sweepEveryMs: 3_600_000 };

export interface RunOptions {
  readonly seed: number;
  /** Milliseconds in which all must be seen as it is once nothing happens any more. */
  readonly patienceMs: number;
  readonly scripts: PresenceScripts;
  /** The first ones of those that the seed has. */
  readonly rounds: number;
}

export interface RunResult {
  readonly seed: number;
  /** What must not have been so; undefined: nothing. */
  readonly failure: string | undefined;
  readonly history: readonly string[];
  readonly faults: readonly string[];
  readonly ms: number;
}

/** Plays what a seed has chosen, on redis-servers of its own. */
export async function playPresence(options: RunOptions): Promise<RunResult> {
  const beganMs = performance.now();
  const directory = await mkdtemp(join(tmpdir(), 'tidegate-presence-'));
  const journal = new Journal();
  const pair = await RedisPair.start(directory);
  const run = new PresenceRun(pair, journal, options);
  let failure: string | undefined;
  try {
    await run.play();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    failure = error.message;
    for (const { name, figures } of run.clients) journal.note(`${name} has come to ${figures}`);
  } finally {
    await run.close();
    await pair.close();
    await rm(directory, { recursive: true });
  }
  return { seed: options.seed, failure, history: journal.lines, faults: run.faults, ms: performance.now() - beganMs };
}

class Failure extends Error {
  override readonly name = 'Failure';
}

class PresenceRun implements Stage {
  readonly pair: RedisPair;
  readonly prefix = PREFIX;
  readonly leaseMs = LEASE_MS;
  readonly goneMs = GONE_MS;
  clients: PresenceClient[] = [];
  readonly #options: RunOptions;
  readonly #journal: Journal;
  readonly #traffic: Traffic;
  readonly #pace: Random;
  readonly #plan: Plan;
  readonly #births: Random;
  readonly #settings: Partial<RedisPresenceSettings>;
  readonly #dead: PresenceClient[] = [];
  #started = 0;
  #isBusy = false;
  #redisFault = Promise.resolve();

  constructor(pair: RedisPair, journal: Journal, options: RunOptions) {
    const { seed } = options;
    this.pair = pair;
    this.#journal = journal;
    this.#options = options;
    this.#traffic = new Traffic(new Random(seed + 1_000_000), journal);
    this.#pace = new Random(seed + 2_000_000);
    this.#births = new Random(seed + 3_000_000);
    this.#plan = planOf(seed, options.rounds);
    this.#settings = { ...SETTINGS, ...(this.#plan.losesKeys ? OF_KEYS : HOURLY) };
  }

  /** Those of all rounds, as they are planned. */
  get faults(): readonly string[] {
    return this.#plan.rounds.flat().map(({ name }) => name);
  }

  async play(): Promise<void> {
    for (let i = 0; i < CLIENTS; i += 1) await this.#start();
    for (const round of this.#plan.rounds) {
      await this.#beBusy(round);
      await this.#expectTheTruth();
    }
    await this.#expectNothingOfTheDead();
  }

  take(random: Random): PresenceClient {
    const client = random.pick(this.clients.filter(({ isPaused }) => !isPaused));
    this.#journal.note(`to ${client.name}:`);
    return client;
  }

  connect(client: PresenceClient): void {
    this.#traffic.connect(client);
  }

  operate(client: PresenceClient): void {
    this.#traffic.operate(client);
  }

  async replace(client: PresenceClient): Promise<void> {
    this.#bury(client);
    await this.#start();
  }

  async close(): Promise<void> {
    await Promise.all([...this.clients, ...this.#dead].map((client) => client.dispose()));
  }

  #bury(client: PresenceClient): void {
    this.clients = this.clients.filter((each) => each !== client);
    this.#dead.push(client);
  }

  /** Sessions do what they do while faults happen, one after the other or two at a time. */
  async #beBusy(round: readonly Planned[]): Promise<void> {
    this.#isBusy = true;
    const traffic = this.#makeTraffic();
    try {
      await this.#sufferSome(round);
    } finally {
      this.#isBusy = false;
      await traffic;
    }
  }

  async #sufferSome(round: readonly Planned[]): Promise<void> {
    const under: Promise<void>[] = [];
    for (const planned of round) {
      await delay(planned.gapMs);
      if (planned.isAlone) await Promise.all(under.splice(0));
      const suffering = this.#suffer(planned);
      // It is waited for below.
      suffering.catch(() => {});
      under.push(suffering);
    }
    await Promise.all(under);
  }

  async #suffer({ name, fault, random }: Planned): Promise<void> {
    this.#journal.note(`= ${name}`);
    if (name in FAULTS_OF_REPLICAS) await fault(this, random);
    else {
      // One at a time befalls Redis.
      this.#redisFault = this.#redisFault.then(() => fault(this, random));
      await this.#redisFault;
    }
    this.#journal.note(`= ${name} is over`);
  }

  async #makeTraffic(): Promise<void> {
    while (this.#isBusy) {
      await delay(this.#pace.int(0, TRAFFIC_MS_MAX));
      const running = this.clients.filter(({ isPaused }) => !isPaused);
      if (running.length > 0) this.operate(this.#pace.pick(running));
    }
  }

  /** A replica, with rooms and users that it watches. */
  async #start(): Promise<void> {
    this.#started += 1;
    const name = `replica-${this.#started}`;
    const { pair } = this;
    const random = this.#births;
    const options = {
      name,
      skewMs: random.pick([-5_000, -1, 0, 3_000]),
      settings: this.#settings,
      scripts: this.#options.scripts,
      rooms: ROOMS.filter(() => random.next() < 0.6),
      users: USERS.filter(() => random.next() < 0.4),
      journal: this.#journal,
      losesKeys: this.#plan.losesKeys,
    } satisfies Omit<ClientOptions, 'port'>;
    const deadlineMs = performance.now() + START_MS_MAX;
    for (;;) {
      const client = await PresenceClient.begin({ ...options, port: pair.port });
      try {
        await client.open();
        this.clients.push(client);
        // Meanwhile another one may have become the primary.
        if (client.proxy.target !== pair.port) client.proxy.switchTo(pair.port);
        this.#journal.note(`${name} runs`);
        return;
      } catch (error) {
        this.#dead.push(client);
        client.crash();
        client.proxy.cut();
        this.#journal.note(`${name} can't run yet: ${(error as Error).message}`);
        if (performance.now() > deadlineMs) throw new Failure(`${name} can't begin: ${(error as Error).stack}`);
        await delay(POLL_MS);
      }
    }
  }

  /** All that lives sees all that is so, soon and from then on, and what is stored is whole. */
  async #expectTheTruth(): Promise<void> {
    this.#journal.note('= quiet');
    // What befell Redis last is noticed by then.
    await delay(2 * SETTINGS.renewMs);
    await this.#expectSoon();
    // What would spoil it by itself has had its time.
    await delay(SETTINGS.compareMs + SETTINGS.renewMs);
    await this.#expectSoon();
    this.#journal.note('= all is seen as it is');
  }

  /** When all have crashed, nothing of them is left. */
  async #expectNothingOfTheDead(): Promise<void> {
    this.#journal.note('= all crash');
    for (const client of [...this.clients]) {
      client.crash();
      client.proxy.cut();
      this.#bury(client);
    }
    await this.#start();
    await this.#expectTheTruth();
  }

  async #mismatchOfStored(leases: number): Promise<string | undefined> {
    const stored = await Stored.read(this.pair, PREFIX);
    const wrong = stored.inconsistencies(this.#plan.losesKeys);
    if (stored.leases.length !== leases) wrong.push(`there are ${stored.leases.length} leases of ${leases} replicas`);
    return wrong.length === 0 ? undefined : `what is stored: ${wrong.join('; ')}`;
  }

  async #expectSoon(): Promise<void> {
    let waitedMs = 0;
    let stalls = 0;
    let lookedMs = performance.now();
    for (;;) {
      const seen = await mismatchWithTruth(this.clients, USERS, ROOMS);
      const mismatch = seen ?? (await this.#mismatchOfStored(this.clients.length));
      const [violation] = this.#journal.violations;
      if (violation !== undefined) throw new Failure(violation);
      if (mismatch === undefined) return;
      const tookMs = performance.now() - lookedMs;
      lookedMs += tookMs;
      waitedMs += tookMs;
      // Where this process or the whole machine has stood still, leases have lapsed, and it begins again.
      if (tookMs > LEASE_MS / 2 && stalls < STALLS_MAX) {
        stalls += 1;
        waitedMs = 0;
      }
      if (waitedMs > this.#options.patienceMs) throw new Failure(mismatch);
      await delay(POLL_MS);
    }
  }
}
