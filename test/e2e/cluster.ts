import { createHash } from 'node:crypto';
import { Balancer } from './balancer.ts';
import { type GatewayProcess, type Ports, Replica } from './replica.ts';

/** Enough to have rooms in several, and few enough that so many logs are a light load for one broker. */
const PARTITIONS = '4';
const FREE_PORTS = { TIDEGATE_HTTP_PORT: '0', TIDEGATE_TCP_PORT: '0', TIDEGATE_INTERNAL_PORT: '0' };

export interface ClusterOptions {
  readonly count: number;
  readonly brokers: string;
  readonly redisUrl: string;
  /** Where one process would keep its log: a cluster on the same directory has the same log. */
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
  readonly prefix: readonly string[];
}

/** Replicas of one log behind a balancer, which tests take for one gateway. */
export class Cluster implements GatewayProcess {
  readonly #replicas: readonly Replica[];
  readonly #balancer: Balancer;

  private constructor(replicas: readonly Replica[], balancer: Balancer) {
    this.#replicas = replicas;
    this.#balancer = balancer;
  }

  static async start({ count, brokers, redisUrl, directory, env, prefix }: ClusterOptions): Promise<Cluster> {
    const replicaEnv = {
      TIDEGATE_KAFKA_BROKERS: brokers,
      TIDEGATE_KAFKA_REPLICATION: '1',
      TIDEGATE_REDIS_URL: redisUrl,
      TIDEGATE_PREFIX: `test-${createHash('sha256').update(directory).digest('hex').slice(0, 16)}`,
      TIDEGATE_PARTITIONS: PARTITIONS,
      // Clients that are left open must not hold up the end of a test.
      TIDEGATE_DRAIN_MS: '500',
      ...env,
      ...FREE_PORTS,
    };
    const starts = Array.from({ length: count }, () => Replica.start(replicaEnv, prefix));
    const settled = await Promise.allSettled(starts);
    const replicas = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    if (replicas.length < count) await Promise.all(replicas.map((replica) => replica.stop('SIGKILL')));
    await Promise.all(starts);
    const portOf = (name: keyof typeof FREE_PORTS) => Number(env[name] ?? 0);
    const ports = {
      http: portOf('TIDEGATE_HTTP_PORT'),
      tcp: portOf('TIDEGATE_TCP_PORT'),
      internal: portOf('TIDEGATE_INTERNAL_PORT'),
    };
    const balancer = await Balancer.open(
      replicas.map((replica) => replica.ports),
      ports,
    );
    return new Cluster(replicas, balancer);
  }

  /** Of which there are several: what is about one process is no matter of a cluster. */
  get pid(): never {
    throw new Error('a cluster has no pid');
  }

  get ports(): Ports {
    return this.#balancer.ports;
  }

  get logs(): readonly Record<string, unknown>[] {
    return this.#replicas.flatMap(({ logs }) => logs);
  }

  get exited(): boolean {
    return this.#replicas.every(({ exited }) => exited);
  }

  /** Ends all of them. Resolves with the first code that is not 0, if there is one. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.#balancer.close();
    const codes = await Promise.all(this.#replicas.map((replica) => replica.stop(signal)));
    return codes.find((code) => code !== 0) ?? 0;
  }
}
