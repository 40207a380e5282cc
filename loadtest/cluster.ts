import { KAFKA_LOG_DEFAULTS } from '../src/kafka/kafka-settings.ts';
import { randomName } from '../src/random-name.ts';
import type { BareKafkaPlan } from './bare-kafka-plan.ts';
import type { Bench } from './bench-run.ts';
import { Broker } from './broker.ts';
import type { Contender } from './contender.ts';
import type { LoadTarget, UsageTarget } from './load-plan.ts';
import { runLoad } from './load-process.ts';
import type { OpenLoopResult } from './open-loop-plan.ts';
import { type RunningServer, startServer, WITHOUT_LIMITS, withServers } from './server-process.ts';

/** By which replicas the clients come: sessions take turns on both, or all come by the first. */
export type Entrance = 'both' | 'first';

/**
 * A broker and what the bench runs on it. Of a machine with two cores none can be set apart for any of broker, replicas
 * and client: all of them may use every core, and the kernel puts whoever wakes on one that is idle.
 */
export class Cluster {
  readonly #bench: Bench;
  readonly #broker: Broker;

  private constructor(bench: Bench, broker: Broker) {
    this.#bench = bench;
    this.#broker = broker;
  }

  static async open(bench: Bench): Promise<Cluster> {
    return new Cluster(bench, await Broker.start(bench.directory));
  }

  /**
   * Lets one load process loose on two new replicas with topics of their own. In the usage `serverCpu` is the second
   * replica's, and beside it are the first one and the broker.
   */
  load<Plan extends LoadTarget, Result extends { readonly kind: 'done' }>(
    contender: Contender,
    script: string,
    entrance: Entrance,
    plan: Omit<Plan, keyof LoadTarget>,
    timeoutMs: number,
  ): Promise<Result> {
    const env = {
      ...WITHOUT_LIMITS.env,
      TIDEGATE_KAFKA_BROKERS: this.#broker.address,
      TIDEGATE_KAFKA_REPLICATION: '1',
      TIDEGATE_PREFIX: newName(),
    };
    const start = () => startServer(contender, this.#bench.cores, this.#bench.directory, { env });
    return withServers([start, start], (replicas) => {
      const [first, second] = replicas as [RunningServer, RunningServer];
      const target: LoadTarget = {
        wire: contender.wire,
        ports: entrance === 'both' ? [first.port, second.port] : [first.port],
        internalPorts: [first.internalPort, second.internalPort],
        ...this.#usageOf(second.pid, [first.pid, this.#broker.pid]),
      };
      return runLoad<Result>(script, { ...plan, ...target }, timeoutMs);
    });
  }

  /** The same with bare kafkajs, on a topic like tidegate's. In the usage `serverCpu` is the broker's. */
  loadBare(plan: Pick<BareKafkaPlan, 'paces' | 'keys'>, timeoutMs: number): Promise<OpenLoopResult> {
    const { partitions, fetchWaitMs } = KAFKA_LOG_DEFAULTS;
    const whole: BareKafkaPlan = {
      ...plan,
      ...{ partitions, fetchWaitMs },
      broker: this.#broker.address,
      topic: newName(),
      ...this.#usageOf(this.#broker.pid, []),
    };
    return runLoad<OpenLoopResult>('./bare-kafka-load.ts', whole, timeoutMs);
  }

  close(): Promise<void> {
    return this.#broker.stop();
  }

  #usageOf(serverPid: number, besidePids: readonly number[]): UsageTarget {
    const { cores } = this.#bench;
    return { serverPid, besidePids, serverCores: cores, clientCores: cores };
  }
}

function newName(): string {
  return `bench-${randomName(4, 'hex')}`;
}
