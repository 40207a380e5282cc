import { mkdirSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { HOST } from '../services/ports.ts';
import { Services } from '../services/services.ts';
import { readConfig } from '../src/config.ts';
import { ClusterError } from './cluster-error.ts';
import { gatewayProgram } from './gateway.ts';
import { findHaproxy, HAPROXY, haproxyProgram, isLedClients } from './haproxy.ts';
import { endInWords, KeptProcess } from './kept-process.ts';
import {
  event,
  type Level,
  type LineReader,
  readGatewayLine,
  readHaproxyLine,
  readKafkaLine,
  readRedisLine,
} from './log-events.ts';
import { LogFollower } from './log-follower.ts';
import type { LogView } from './log-view.ts';
import { choosePlaces, type Places } from './places.ts';
import { RunningList } from './running-list.ts';

const CACHE = fileURLToPath(new URL('../.cache', import.meta.url));
/** Beyond what a replica may take to drain. */
const DRAIN_SLACK_MS = 15_000;
const BALANCER_GRACE_MS = 2_000;
/** Until a replica is ready, and HAProxy leads clients to it. */
const LED_MS_MAX = 60_000;
const POLL_MS = 50;
/** Nobody here has thousands of sessions to hand over, and somebody waits. */
const DRAIN_MS = '10000';
const BEHIND_BALANCER = { TIDEGATE_TRUSTED_PROXIES: HOST, TIDEGATE_PROXY_PROTOCOL: 'required' };
/** Between two looks whether Redis and Kafka run. */
const SERVICES_POLL_MS = 2_000;

export interface ClusterOptions {
  readonly replicas: number;
  /** Of the balancer; 0: any. */
  readonly httpPort: number;
  readonly tcpPort: number;
  /** Of Kafka: 1 or 3. */
  readonly brokers: number;
  /** State, data and logs. */
  readonly directory: string;
}

/** Redis, Kafka, replicas and a balancer before them, each a process on this machine. */
export class Cluster {
  readonly #options: ClusterOptions;
  readonly #view: LogView;
  readonly #follower: LogFollower;
  readonly #list: RunningList;
  readonly #services: Services;
  #places: Places | null = null;
  #gateways: readonly KeptProcess[] = [];
  #balancer: KeptProcess | null = null;
  /** Milliseconds that a replica may take to end. */
  #drainMsMax = 0;
  readonly #stopping = new AbortController();
  #starting: Promise<void> | null = null;
  #rolling: Promise<void> | null = null;
  #watching: Promise<void> | null = null;

  constructor(options: ClusterOptions, view: LogView) {
    this.#options = options;
    this.#view = view;
    this.#follower = new LogFollower(({ source, event, alike }) => view.show(source, event, alike));
    mkdirSync(this.#logs, { recursive: true });
    this.#list = new RunningList(join(options.directory, 'running.json'));
    this.#services = new Services(
      CACHE,
      join(options.directory, 'services'),
      (line) => this.#say(line),
      'tidegate-cluster',
    );
  }

  /** Resolves when all is up. @throws whatever keeps it from that; `stop` ends what is there by then */
  start(): Promise<void> {
    this.#starting = this.#start();
    return this.#starting;
  }

  /** Where to go. */
  describe(): string[] {
    const places = this.#places as Places;
    const metrics = places.gateways.map(({ internal }) => `http://localhost:${internal}/metrics`);
    const ways =
      this.#balancer === null
        ? places.gateways.map(
            ({ http, tcp }, index) => `gateway-${index + 1}   http://localhost:${http}/   nc localhost ${tcp}`,
          )
        : [
            `page        http://localhost:${places.http}/`,
            `netcat      nc localhost ${places.tcp}`,
            `balancer    http://localhost:${places.stats}/`,
          ];
    const lines = [
      ...ways,
      ...metrics.map((url, index) => `${index === 0 ? 'metrics' : ''}`.padEnd(12) + url),
      `logs        ${relative('', this.#logs)}`,
      'npm run cluster -- roll restarts the replicas one by one; Ctrl-C stops it all',
    ];
    return ['', ...lines.map((line) => `  ${line}`), ''];
  }

  /** A line of each, and whether all are ready. */
  async status(): Promise<{ readonly lines: readonly string[]; readonly isWhole: boolean }> {
    const all: { readonly name: string; readonly isReady: boolean; readonly where: string }[] = [];
    const add = async (kept: KeptProcess, ports: object) => {
      const where = Object.entries(ports).map(([kind, port]) => `${kind} ${port}`);
      all.push({ name: kept.name, isReady: await kept.isReady(), where: [`pid ${kept.pid}`, ...where].join('  ') });
    };
    const places = this.#places;
    if (places === null) return { lines: ['the cluster is being started'], isWhole: false };
    for (const [index, place] of places.gateways.entries()) {
      const gateway = this.#gateways[index];
      if (gateway !== undefined) await add(gateway, place);
    }
    const { http, tcp, stats } = places;
    if (this.#balancer !== null) await add(this.#balancer, { http, tcp, stats });
    for (const { name, running, address, how } of await this.#services.status()) {
      all.push({ name, isReady: running, where: `${how}  ${address}` });
    }
    const lines = all.map(({ name, isReady, where }) => `${name.padEnd(9)}  ${isReady ? 'ready' : 'away '}  ${where}`);
    return { lines, isWhole: this.#watching !== null && all.every(({ isReady }) => isReady) };
  }

  /**
   * Restarts the replicas one by one, each when the others are ready and the one before is led clients again; those that
   * are away come first. What it comes to is told line by line.
   *
   * @throws Error if that goes on already, one does not come back (the others are left as they are), or had to be killed
   */
  async roll(say: (line: string) => void): Promise<void> {
    if (this.#rolling !== null) throw new ClusterError('the replicas are being restarted already');
    if (this.#watching === null) throw new ClusterError('the cluster is not up yet');
    this.#rolling = this.#roll((line) => {
      say(line);
      this.#say(line);
    });
    try {
      await this.#rolling;
    } finally {
      this.#rolling = null;
    }
  }

  /** Ends everything, in an order in which nothing misses what it needs. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#gateways.map((gateway) => gateway.stop(this.#drainMsMax)));
    // What was under way notices, and starts nothing more.
    await Promise.allSettled([this.#starting, this.#rolling, this.#watching]);
    await this.#balancer?.stop(BALANCER_GRACE_MS);
    // What Redis and Kafka say as they end is much, and nobody's concern.
    this.#follower.close();
    await this.#services.stop();
    this.#say('all is stopped');
  }

  /** Ends everything at once. */
  async kill(): Promise<void> {
    this.#stopping.abort();
    this.#list.killAll();
    await this.#services.stop(0);
  }

  /** What runs of one that was killed before it could end it. */
  async leftovers(): Promise<readonly string[]> {
    const services = await this.#services.status();
    return [...this.#list.names, ...services.filter(({ running }) => running).map(({ name }) => name)];
  }

  async endLeftovers(): Promise<void> {
    const names = await this.leftovers();
    if (names.length > 0) this.#say(`ending what an earlier run has left: ${names.join(', ')}`);
    await this.#list.endAll();
    await this.#services.stop();
  }

  async #start(): Promise<void> {
    await this.endLeftovers();
    rmSync(this.#logs, { recursive: true });
    mkdirSync(this.#logs);
    const { replicas, httpPort, tcpPort, brokers } = this.#options;
    const haproxy = await findHaproxy();
    const places = await choosePlaces(replicas, httpPort, tcpPort);
    this.#places = places;
    if (haproxy === null) this.#warn(`there is no balancer, as this is missing: ${HAPROXY}`);
    const shared = sharedSettings(brokers, haproxy !== null);
    // What is wrong with the caller's own is told before anything is started.
    this.#drainMsMax = readConfig({ ...process.env, ...shared }).drainMs + DRAIN_SLACK_MS;
    const { redisUrl, kafkaBrokers } = await this.#services.start(brokers);
    this.#goesOn();
    this.#followServices();
    const settings = { ...shared, TIDEGATE_REDIS_URL: redisUrl, TIDEGATE_KAFKA_BROKERS: kafkaBrokers };
    this.#gateways = places.gateways.map((place, index) => {
      const name = `gateway-${index + 1}`;
      return this.#kept(gatewayProgram(name, place, settings, this.#follow(name, readGatewayLine)));
    });
    this.#say(`starting ${replicas} replicas`);
    await Promise.all(this.#gateways.map((gateway) => gateway.start()));
    this.#goesOn();
    if (haproxy !== null) {
      this.#balancer = this.#kept(haproxyProgram(haproxy, places, this.#follow('haproxy', readHaproxyLine)));
      await this.#balancer.start();
      this.#goesOn();
    }
    this.#watching = this.#watchServices();
    this.#follower.tell();
  }

  /** Starts Redis and Kafka again when they end by themselves, as all else. */
  async #watchServices(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      // Called off when all is stopped.
      await delay(SERVICES_POLL_MS, undefined, { signal }).catch(() => {});
      const away = (await this.#services.status()).filter(({ running }) => !running);
      if (signal.aborted || away.length === 0) continue;
      this.#warn(`${away.map(({ name }) => name).join(' and ')} has ended; it is started again`);
      await this.#services.start(this.#options.brokers).catch((error: Error) => this.#warn(error.message));
    }
  }

  async #roll(tell: (line: string) => void): Promise<void> {
    const killed: string[] = [];
    const isAway = ({ pid }: KeptProcess) => pid === null;
    for (const gateway of this.#gateways.toSorted((a, b) => Number(isAway(b)) - Number(isAway(a)))) {
      this.#goesOn();
      const others = isAway(gateway) ? [] : this.#gateways.filter((other) => other !== gateway);
      for (const other of others) await this.#untilLed(other);
      tell(`${gateway.name} is told to drain`);
      const end = await gateway.stop(this.#drainMsMax);
      this.#goesOn();
      if (end !== null && end.code !== 0) killed.push(gateway.name);
      tell(`${gateway.name} ${end === null ? 'was away' : endInWords(end)}; starting it`);
      await gateway.start();
      await this.#untilLed(gateway);
      tell(`${gateway.name} is ready`);
    }
    tell(`all ${this.#gateways.length} replicas were restarted`);
    if (killed.length > 0) throw new ClusterError(`not by themselves: ${killed.join(', ')}`);
  }

  /** Until it is ready, and HAProxy has noticed. @throws ClusterError if that takes too long */
  async #untilLed(gateway: KeptProcess): Promise<void> {
    const stats = this.#balancer === null ? null : (this.#places as Places).stats;
    const deadlineMs = performance.now() + LED_MS_MAX;
    while (!(await gateway.isReady()) || (stats !== null && !(await isLedClients(gateway.name, stats)))) {
      this.#goesOn();
      if (performance.now() > deadlineMs) throw new ClusterError(`${gateway.name} is not ready`);
      await delay(POLL_MS);
    }
  }

  #goesOn(): void {
    if (this.#stopping.signal.aborted) throw new ClusterError('the cluster is being stopped');
  }

  #kept(program: ConstructorParameters<typeof KeptProcess>[0]): KeptProcess {
    return new KeptProcess(program, this.#list, {
      info: (text) => this.#say(text),
      warn: (text) => this.#warn(text),
    });
  }

  get #logs(): string {
    return join(this.#options.directory, 'logs');
  }

  #followServices(): void {
    const { directory, brokers } = this.#options;
    const services = join(directory, 'services');
    this.#follower.follow('redis', join(services, 'redis.log'), readRedisLine);
    for (let id = 1; id <= brokers; id++) {
      const file = join(services, `kafka-of-${brokers}`, `kafka-${id}.log`);
      this.#follower.follow(brokers === 1 ? 'kafka' : `kafka-${id}`, file, readKafkaLine);
    }
  }

  #follow(name: string, read: LineReader): string {
    const file = join(this.#logs, `${name}.log`);
    this.#follower.follow(name, file, read);
    return file;
  }

  #say(text: string): void {
    this.#show('info', text);
  }

  #warn(text: string): void {
    this.#show('warn', text);
  }

  #show(level: Level, text: string): void {
    // What led to it comes first.
    this.#follower.tell();
    this.#view.show('cluster', event(level, text));
  }
}

/** Of all replicas, but for where Redis and Kafka are. What the caller has set besides goes for them too. */
function sharedSettings(brokers: number, isBalanced: boolean): Record<string, string> {
  return {
    TIDEGATE_HOST: HOST,
    TIDEGATE_INTERNAL_HOST: HOST,
    TIDEGATE_KAFKA_REPLICATION: `${brokers}`,
    TIDEGATE_DRAIN_MS: process.env.TIDEGATE_DRAIN_MS || DRAIN_MS,
    ...(isBalanced && BEHIND_BALANCER),
  };
}
