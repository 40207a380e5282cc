import type { PresenceMode } from '../../src/client/client.ts';
import type { SlotClock } from '../recorder.ts';
import type { CrowdShape, PresenceVerdict, Returns } from './crowd.ts';
import type { Faults } from './fault-count.ts';

/** What a load process of clients by the SDK is told, in plain JSON. */
export interface CrowdPlan {
  /** Number of this load process among those of the run. */
  readonly process: number;
  readonly clock: SlotClock;
  readonly shape: CrowdShape;
  /** Of the replicas' WebSockets. */
  readonly urls: readonly string[];
  /** Loopback addresses that its clients come from, in turn; none: the system's choice. */
  readonly addresses: readonly string[];
  readonly presence: PresenceMode;
}

/** How members come and go. Each stays for a random time, exponentially distributed, and somebody new comes for it. */
export interface ChurnTask {
  readonly lifeMs: number;
  /** Shares of those whose time is over that go without a word, and that only lose their connection; the others say goodbye. */
  readonly vanishing: number;
  readonly cut: number;
}

/** What it can be asked for, and what it answers. */
export interface CrowdSteps extends Readonly<Record<string, (argument: never) => unknown>> {
  readonly gather: (task: { readonly perSecond: number }) => Promise<void>;
  readonly publish: (task: { readonly perSecond: number }) => void;
  /** Ends publishing. */
  readonly settle: (task: { readonly quietMs: number }) => Promise<void>;
  readonly mark: () => void;
  readonly returns: () => Returns;
  readonly online: () => number;
  /** Which of the replicas new connections may come to. */
  readonly enter: (task: { readonly areReady: readonly boolean[] }) => void;
  readonly churn: (task: ChurnTask) => void;
  readonly endChurn: () => Promise<void>;
  /** Has a share of the members go for good. */
  readonly dismiss: (task: { readonly share: number; readonly how: 'goodbye' | 'vanished' }) => Promise<number>;
  readonly presence: () => Promise<PresenceVerdict>;
  readonly finish: () => Promise<Faults>;
  readonly close: () => Promise<void>;
}
