import type { Quantiles } from './latency-histogram.ts';
import type { UsageTarget } from './load-plan.ts';
import type { Pace } from './open-loop-plan.ts';

/** Bare kafkajs: what its load process is told. What comes back is an OpenLoopResult. */
export interface BareKafkaPlan extends UsageTarget {
  readonly broker: string;
  /** It is made with so many partitions. */
  readonly topic: string;
  readonly partitions: number;
  /** Records go to the partitions of so many keys in turn. */
  readonly keys: number;
  readonly fetchWaitMs: number;
  readonly paces: readonly Pace[];
}

/** What the thread that consumes is asked, and what it answers or says. */
export type ReaderQuestion = 'clear' | 'report';

export type ReaderMessage =
  | { readonly kind: 'ready' }
  /** Latencies and `deliveries` are since the last `clear`, and `received` is of the whole run. */
  | ({ readonly kind: 'report'; readonly deliveries: number; readonly received: number } & Quantiles)
  | { readonly kind: 'failed'; readonly reason: string };
