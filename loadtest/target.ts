import { missingForRedis } from '../services/missing.ts';
import { randomName } from '../src/random-name.ts';
import { Broker, missingForBroker } from './broker.ts';
import { CONTENDERS, type Contender } from './contender.ts';
import type { GivenGateway, LoadOptions } from './load-options.ts';
import { RedisServer } from './redis-server.ts';
import { type RunningServer, startServer, WITHOUT_LIMITS } from './server-process.ts';

/** One gateway process that is loaded. */
export interface Replica {
  readonly name: string;
  /** Of its WebSocket; null: none is known. */
  readonly url: string | null;
  /** Of raw TCP. */
  readonly tcp: { readonly host: string; readonly port: number } | null;
  /** Base of its internal port's URLs. */
  readonly internal: string | null;
  /** Null: it is not ours. */
  readonly pid: number | null;
  /** See RunningServer; of what is not ours it never resolves. */
  readonly exited: Promise<number | null>;
}

/** A process beside the replicas that serves too. */
export interface Beside {
  readonly name: string;
  readonly pid: number;
}

/** What is loaded: replicas that this run has started, with what they need, or such as are there. */
export class Target {
  readonly replicas: readonly Replica[];
  readonly besides: readonly Beside[];
  /** In words. */
  readonly what: string;
  readonly #stops: readonly (() => Promise<void>)[];

  private constructor(
    replicas: readonly Replica[],
    besides: readonly Beside[],
    what: string,
    stops: readonly (() => Promise<void>)[],
  ) {
    this.replicas = replicas;
    this.besides = besides;
    this.what = what;
    this.#stops = stops;
  }

  static given({ urls, tcp, internals }: GivenGateway): Target {
    const count = Math.max(urls.length, tcp.length);
    const replicas = Array.from({ length: count }, (_, index): Replica => {
      const [host = '', port] = tcp[index]?.split(':') ?? [];
      return {
        name: `replica ${index + 1}`,
        url: urls[index]?.href ?? null,
        tcp: port === undefined ? null : { host, port: Number(port) },
        internal: internals[index]?.href ?? null,
        pid: null,
        exited: new Promise(() => {}),
      };
    });
    return new Target(replicas, [], `${count === 1 ? 'one' : count} that was there`, []);
  }

  /**
   * @param directory where their data is put; never removed here
   * @param env settings of all replicas
   * @throws Error that says what is missing, or what a server said
   */
  static async start(
    { replicas: count, engine, transport }: Pick<LoadOptions, 'replicas' | 'engine' | 'transport'>,
    cores: readonly number[],
    directory: string,
    env: Readonly<Record<string, string>>,
  ): Promise<Target> {
    const stops: (() => Promise<void>)[] = [];
    try {
      const shared =
        count > 1 ? await openShared(directory, stops) : { besides: [], env: {}, what: 'its log embedded' };
      const contender = contenderOf(engine, transport);
      const started: RunningServer[] = [];
      for (let index = 0; index < count; index++) {
        const settings = { ...WITHOUT_LIMITS.env, ...shared.env, ...env };
        const server = await startServer(contender, cores, directory, { env: settings });
        stops.unshift(() => server.stop());
        started.push(server);
      }
      const library = engine === 'uws' ? 'uWebSockets.js' : 'ws';
      const who = count === 1 ? 'one process' : `${count} replicas`;
      return new Target(started.map(replicaOf), shared.besides, `${who} on ${library}, ${shared.what}`, stops);
    } catch (error) {
      for (const stop of stops) await stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    for (const stop of this.#stops) await stop();
  }
}

interface Shared {
  readonly besides: readonly Beside[];
  readonly env: Readonly<Record<string, string>>;
  readonly what: string;
}

/** A Redis and a Kafka for replicas: those of the environment, or new ones. */
async function openShared(directory: string, stops: (() => Promise<void>)[]): Promise<Shared> {
  const { TIDEGATE_REDIS_URL: redisUrl, TIDEGATE_KAFKA_BROKERS: brokers } = process.env;
  const prefix = { TIDEGATE_PREFIX: `load-${randomName(4, 'hex')}` };
  if (redisUrl !== undefined && brokers !== undefined) {
    return { besides: [], env: prefix, what: 'on a Redis and a Kafka that were there' };
  }
  const missing = [...(await missingForRedis()), ...(await missingForBroker())];
  if (missing.length > 0) throw new Error(`several replicas need ${missing.join(', and ')}`);
  const broker = await Broker.start(directory);
  stops.unshift(() => broker.stop());
  const [redis] = (await RedisServer.start(directory, 1)) as [RedisServer];
  stops.unshift(() => redis.stop());
  const env = {
    ...prefix,
    TIDEGATE_REDIS_URL: redis.url,
    TIDEGATE_KAFKA_BROKERS: broker.address,
    TIDEGATE_KAFKA_REPLICATION: '1',
  };
  const besides = [
    { name: 'Kafka', pid: broker.pid },
    { name: 'Redis', pid: redis.pid },
  ];
  return { besides, env, what: 'on one Redis and one Kafka broker of their own' };
}

function contenderOf(engine: LoadOptions['engine'], transport: LoadOptions['transport']): Contender {
  const name = transport === 'tcp' ? 'tidegate-tcp' : `tidegate-${engine}`;
  return CONTENDERS.find((contender) => contender.name === name) as Contender;
}

function replicaOf({ pid, ports, internalPort, exited }: RunningServer, index: number): Replica {
  return {
    name: `replica ${index + 1}`,
    url: `ws://127.0.0.1:${ports.http}/ws`,
    tcp: { host: '127.0.0.1', port: ports.tcp as number },
    internal: `http://127.0.0.1:${internalPort}`,
    pid,
    exited,
  };
}
