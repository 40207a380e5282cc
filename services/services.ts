import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { accepts } from '../src/listen.ts';
import { type Daemon, isRunning, stopDaemon } from './daemon.ts';
import {
  dockerAnswers,
  isContainerRunning,
  kafkaImage,
  redisImage,
  removeContainer,
  startContainer,
} from './docker.ts';
import { Kafka, type KafkaPorts } from './kafka.ts';
import { fetchKafkaJars, kafkaJars } from './kafka-jars.ts';
import { missingForKafka, missingForRedis } from './missing.ts';
import { freePorts, HOST } from './ports.ts';
import { answersPing, Redis } from './redis.ts';

type How = { readonly process: Daemon } | { readonly container: string };

interface State {
  readonly redis?: { readonly port: number; readonly how: How };
  readonly kafka?: {
    readonly ports: readonly KafkaPorts[];
    /** By the broker's id. */
    readonly how: Readonly<Record<string, How>>;
  };
}

export interface ServiceStatus {
  readonly name: string;
  readonly address: string;
  readonly running: boolean;
  readonly how: string;
}

/** What a gateway takes as its settings. */
export interface Addresses {
  readonly redisUrl: string;
  readonly kafkaBrokers: string;
}

/** Something can't be done, for a reason that whoever asked can do something about. */
export class ServicesError extends Error {
  override readonly name = 'ServicesError';
}

/** A Redis and a Kafka on loopback, which go on when the command that started them has ended. */
export class Services {
  readonly #cache: string;
  readonly #directory: string;
  readonly #say: (line: string) => void;
  readonly #name: string;

  /**
   * @param cache where Kafka's jars are kept
   * @param directory where state, data and logs are
   * @param name how those of containers begin
   */
  constructor(cache: string, directory: string, say: (line: string) => void, name = 'tidegate') {
    this.#cache = cache;
    this.#directory = directory;
    this.#say = say;
    this.#name = name;
  }

  /**
   * Starts what does not run, natively where that can be, or by Docker. Idempotent.
   *
   * @param brokers how many of Kafka; undefined: as many as there were, or one
   * @throws ServicesError that says what is missing, or that other brokers run
   */
  async start(brokers?: number): Promise<Addresses> {
    mkdirSync(this.#directory, { recursive: true });
    const { kafka } = this.#read();
    if (brokers !== undefined && kafka !== undefined && kafka.ports.length !== brokers) {
      if (await this.#runsAny(Object.values(kafka.how))) {
        throw new ServicesError(`Kafka runs with ${kafka.ports.length} brokers: npm run services -- stop, then start`);
      }
    }
    const count = brokers ?? kafka?.ports.length ?? 1;
    const [redisMissing, kafkaMissing] = await Promise.all([missingForRedis(), missingForKafka(this.#cache)]);
    const missing = [...redisMissing, ...kafkaMissing];
    const hasDocker = missing.length > 0 && (await dockerAnswers());
    if (kafkaMissing.length > 0 && hasDocker && count > 1) {
      throw new ServicesError(`by Docker there is one broker; for ${count} there has to be:\n${list(kafkaMissing)}`);
    }
    if (missing.length > 0 && !hasDocker) {
      throw new ServicesError(`no Docker engine answers, and this is missing:\n${list(missing)}`);
    }
    const redisUrl = await this.#startRedis(redisMissing.length > 0);
    const kafkaBrokers = await this.#startKafka(count, kafkaMissing.length > 0);
    return { redisUrl, kafkaBrokers };
  }

  async status(): Promise<ServiceStatus[]> {
    const { redis, kafka } = this.#read();
    const all: ServiceStatus[] = [];
    if (redis !== undefined) all.push(await this.#statusOf('redis', redis.port, redis.how));
    for (const [id, how] of Object.entries(kafka?.how ?? {})) {
      const ports = kafka?.ports[Number(id) - 1] as KafkaPorts;
      all.push(await this.#statusOf(`kafka ${id}`, ports.client, how));
    }
    return all;
  }

  /** Ends all that runs. Data and logs stay, and so do the ports. Idempotent. */
  async stop(graceMs = 20_000): Promise<void> {
    const { redis, kafka } = this.#read();
    const running = [...(redis === undefined ? [] : [redis.how]), ...Object.values(kafka?.how ?? {})];
    await Promise.all(
      running.map((how) => ('process' in how ? stopDaemon(how.process, graceMs) : removeContainer(how.container))),
    );
  }

  async #startRedis(byDocker: boolean): Promise<string> {
    const { redis } = this.#read();
    if (redis !== undefined && (await runs(redis.how))) return `redis://${HOST}:${redis.port}`;
    const port = await this.#portOf(redis?.port);
    this.#say(`starting Redis on ${HOST}:${port}`);
    if (byDocker) {
      const image = redisImage(`${this.#name}-redis`, port, () => answersPing(port));
      await startContainer(image);
      this.#write({ redis: { port, how: { container: image.name } } });
    } else {
      await Redis.start(this.#directory, port, [], (daemon) => {
        this.#write({ redis: { port, how: { process: daemon } } });
      });
    }
    return `redis://${HOST}:${port}`;
  }

  async #startKafka(count: number, byDocker: boolean): Promise<string> {
    const { kafka } = this.#read();
    const known = kafka?.ports.length === count ? kafka : undefined;
    const ports = known?.ports ?? (await Kafka.freePorts(count));
    const brokers = ports.map(({ client }) => `${HOST}:${client}`).join(',');
    const how = known?.how ?? {};
    const areRunning = await Promise.all(ports.map((_, index) => runs(how[index + 1])));
    if (areRunning.every((isRunning) => isRunning)) return brokers;
    this.#say(`starting Kafka on ${brokers}`);
    if (byDocker) {
      const { client } = ports[0] as KafkaPorts;
      const image = kafkaImage(`${this.#name}-kafka`, client, () => accepts(client, HOST));
      await startContainer(image);
      this.#write({ kafka: { ports, how: { 1: { container: image.name } } } });
      return brokers;
    }
    if (!existsSync(kafkaJars(this.#cache))) this.#say('fetching Kafka, once');
    const jars = await fetchKafkaJars(this.#cache);
    const directory = join(this.#directory, `kafka-of-${count}`);
    mkdirSync(directory, { recursive: true });
    const processes = Object.entries(how).flatMap(([id, each]): [number, Daemon][] =>
      'process' in each ? [[Number(id), each.process]] : [],
    );
    const nodes = new Kafka({ directory, jars, ports }, processes, () => {
      const begun = [...nodes.daemons].map(([id, daemon]): [number, How] => [id, { process: daemon }]);
      this.#write({ kafka: { ports, how: Object.fromEntries(begun) } });
    });
    await nodes.start();
    return brokers;
  }

  /** The port that it had, if that is free still. */
  async #portOf(port: number | undefined): Promise<number> {
    if (port !== undefined && !(await accepts(port, HOST))) return port;
    const [free] = await freePorts(1);
    return free as number;
  }

  async #statusOf(name: string, port: number, how: How): Promise<ServiceStatus> {
    const words = 'process' in how ? `pid ${how.process.pid}` : `container ${how.container}`;
    return { name, address: `${HOST}:${port}`, running: await runs(how), how: words };
  }

  async #runsAny(all: readonly How[]): Promise<boolean> {
    return (await Promise.all(all.map(runs))).some((isRunning) => isRunning);
  }

  get #stateFile(): string {
    return join(this.#directory, 'state.json');
  }

  #read(): State {
    return existsSync(this.#stateFile) ? (JSON.parse(readFileSync(this.#stateFile, 'utf8')) as State) : {};
  }

  #write(changed: State): void {
    const partial = `${this.#stateFile}.new`;
    writeFileSync(partial, JSON.stringify({ ...this.#read(), ...changed }, null, 2));
    renameSync(partial, this.#stateFile);
  }
}

async function runs(how: How | undefined): Promise<boolean> {
  if (how === undefined) return false;
  return 'process' in how ? isRunning(how.process) : isContainerRunning(how.container);
}

function list(missing: readonly string[]): string {
  return missing.map((each) => `  ${each}`).join('\n');
}
