import { execFile } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { accepts } from '../src/listen.ts';
import { type Daemon, isRunning, sizeOf, startDaemon, stopDaemon, untilReady } from './daemon.ts';
import { freePorts, HOST } from './ports.ts';

/** 16 bytes in base64url: always the same, so that data directories can be used again. */
const CLUSTER_ID = 'dGlkZWdhdGUtc2VydmljZQ';
const READY_MS_MAX = 60_000;
const STOP_MS_MAX = 20_000;
const READY = 'Kafka Server started';
const LOGGING = ['-Dorg.slf4j.simpleLogger.showDateTime=true'];
/** For a fast start and little memory: what is hot is never compiled in full. */
const JVM_TO_START_FAST = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', ...LOGGING];
/** For speed, once it is warm: every compiler, and the collector and pauses that Kafka's own start script asks for. */
const JVM_TO_RUN_FAST = ['-server', '-Xms1g', '-Xmx1g', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20', ...LOGGING];

export interface KafkaPorts {
  readonly client: number;
  readonly controller: number;
}

export interface KafkaSettings {
  readonly directory: string;
  /** Of `fetchKafkaJars`. */
  readonly jars: string;
  /** One pair a broker; the brokers' ids count from 1. */
  readonly ports: readonly KafkaPorts[];
  /** What brokers tell clients to come to, where that is another port. */
  readonly advertised?: readonly number[];
  /** Broker settings that are put in the place of ours, or beside them. */
  readonly properties?: Readonly<Record<string, string>>;
  /** For `StorageTool format`, as `--add-scram` and what it takes. */
  readonly formatOptions?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Whether brokers are to be fast for good, as measurements want it, rather than to start fast. */
  readonly isForSpeed?: boolean;
}

/** A Kafka in KRaft mode, each of whose nodes is broker and controller. */
export class Kafka {
  readonly #settings: KafkaSettings;
  readonly #daemons = new Map<number, Daemon>();
  readonly #onBegun: () => void;

  /**
   * @param daemons that run already, by their ids
   * @param onBegun called each time that `daemons` has another one, before that one serves
   */
  constructor(
    settings: KafkaSettings,
    daemons: Iterable<readonly [number, Daemon]> = [],
    onBegun: () => void = () => {},
  ) {
    this.#settings = settings;
    this.#onBegun = onBegun;
    for (const [id, daemon] of daemons) this.#daemons.set(id, daemon);
  }

  static async freePorts(brokers: number): Promise<KafkaPorts[]> {
    const ports = await freePorts(2 * brokers);
    return Array.from({ length: brokers }, (_, index) => {
      return { client: ports[2 * index] as number, controller: ports[2 * index + 1] as number };
    });
  }

  /** As clients want it: `host:port,…`. */
  get brokers(): string {
    return this.#settings.ports.map(({ client }) => `${HOST}:${client}`).join(',');
  }

  get ids(): number[] {
    return this.#settings.ports.map((_, index) => index + 1);
  }

  get daemons(): ReadonlyMap<number, Daemon> {
    return this.#daemons;
  }

  logFile(id: number): string {
    return join(this.#settings.directory, `kafka-${id}.log`);
  }

  /** Starts the brokers that don't run, and resolves when they serve. @throws Error if one does not in time */
  async start(ids: readonly number[] = this.ids): Promise<void> {
    await Promise.all(ids.map((id) => this.#start(id)));
  }

  async stop(ids: readonly number[] = this.ids): Promise<void> {
    await Promise.all(
      ids.map(async (id) => {
        const daemon = this.#daemons.get(id);
        if (daemon !== undefined) await stopDaemon(daemon, STOP_MS_MAX);
      }),
    );
  }

  /** Kills a broker at once, stops it in the middle of whatever it does, or lets it go on. */
  signal(id: number, signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    const daemon = this.#daemons.get(id);
    if (daemon === undefined || !isRunning(daemon)) throw new Error(`broker ${id} does not run`);
    process.kill(daemon.pid, signal);
  }

  async #start(id: number): Promise<void> {
    const running = this.#daemons.get(id);
    if (running !== undefined && isRunning(running)) return;
    const { jars, env, isForSpeed = false, formatOptions = [] } = this.#settings;
    const data = this.#data(id);
    mkdirSync(data, { recursive: true });
    const file = join(this.#settings.directory, `kafka-${id}.properties`);
    writeFileSync(file, this.#properties(id));
    const classPath = ['-cp', join(jars, '*')];
    if (!existsSync(join(data, 'meta.properties'))) {
      const format = ['kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', file, ...formatOptions];
      await promisify(execFile)('java', [...JVM_TO_START_FAST, ...classPath, ...format]);
    }
    const logFile = this.logFile(id);
    const from = sizeOf(logFile);
    const jvm = isForSpeed ? JVM_TO_RUN_FAST : JVM_TO_START_FAST;
    const daemon = await startDaemon('java', [...jvm, ...classPath, 'kafka.Kafka', file], logFile, env);
    this.#daemons.set(id, daemon);
    this.#onBegun();
    const { client } = this.#settings.ports[id - 1] as KafkaPorts;
    await untilReady(`Kafka's broker ${id}`, daemon, logFile, READY_MS_MAX, async () => {
      return textFrom(logFile, from).includes(READY) && (await accepts(client, HOST));
    });
  }

  #data(id: number): string {
    return join(this.#settings.directory, `kafka-${id}`);
  }

  #properties(id: number): string {
    const { ports } = this.#settings;
    const { client, controller } = ports[id - 1] as KafkaPorts;
    const count = String(ports.length);
    const advertised = this.#settings.advertised?.[id - 1] ?? client;
    const properties = {
      'process.roles': 'broker,controller',
      'node.id': String(id),
      'controller.quorum.voters': ports.map((each, index) => `${index + 1}@${HOST}:${each.controller}`).join(','),
      listeners: `PLAINTEXT://${HOST}:${client},CONTROLLER://${HOST}:${controller}`,
      'advertised.listeners': `PLAINTEXT://${HOST}:${advertised}`,
      'controller.listener.names': 'CONTROLLER',
      'log.dirs': this.#data(id),
      // Topics are made by who knows how they must be.
      'auto.create.topics.enable': 'false',
      'offsets.topic.num.partitions': '4',
      'offsets.topic.replication.factor': count,
      'transaction.state.log.replication.factor': count,
      'transaction.state.log.min.isr': '1',
      'min.insync.replicas': ports.length === 1 ? '1' : '2',
      'default.replication.factor': count,
      'group.initial.rebalance.delay.ms': '0',
      // After a kill its old registration has to expire before a broker may come back.
      'broker.session.timeout.ms': '2000',
      'broker.heartbeat.interval.ms': '400',
      'log.cleaner.dedupe.buffer.size': '16777216',
      ...this.#settings.properties,
    };
    return `${Object.entries(properties)
      .map(([name, value]) => `${name}=${value}`)
      .join('\n')}\n`;
  }
}

function textFrom(file: string, from: number): string {
  const bytes = Buffer.alloc(sizeOf(file) - from);
  const descriptor = openSync(file, 'r');
  try {
    readSync(descriptor, bytes, 0, bytes.length, from);
  } finally {
    closeSync(descriptor);
  }
  return bytes.toString();
}
