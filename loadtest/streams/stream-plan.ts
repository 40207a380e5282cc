import type { Presence } from '../clients/tidegate.ts';
import type { WireName } from '../load-plan.ts';
import type { PopulationShape } from '../population.ts';
import type { SlotClock } from '../recorder.ts';

/** What a load process of raw sessions is told, in plain JSON. */
export interface StreamPlan {
  readonly clock: SlotClock;
  readonly wire: Extract<WireName, 'tidegate-ws' | 'tidegate-tcp'>;
  readonly host: string;
  /** Sessions take turns on them. */
  readonly ports: readonly number[];
  /** Loopback addresses that its sessions come from, in turn; none: the system's choice. */
  readonly addresses: readonly string[];
  readonly shape: PopulationShape;
  readonly presence: Presence;
}

/** What it can be asked for, and what it answers. */
export interface StreamSteps extends Readonly<Record<string, (argument: never) => unknown>> {
  readonly gather: () => Promise<void>;
  /** An open loop at this rate from now on. */
  readonly publish: (task: { readonly perSecond: number }) => void;
  /** A closed loop, with so many publications open at once, from now on. */
  readonly publishOpen: (task: { readonly window: number }) => void;
  /** Every publisher publishes once. */
  readonly publishOnce: () => void;
  /** Has a share of the sessions stop reading, of those who do not publish; how many they are. */
  readonly stopReading: (task: { readonly share: number }) => number;
  /** Nobody publishes any more. Fails unless every session has received everything. */
  readonly finish: () => Promise<StreamFigures>;
  /** Fails unless exactly its sessions are in its rooms, of which so many are asked. */
  readonly checkPresence: (task: { readonly rooms: number }) => Promise<number>;
  /** Tells the last of its samples. */
  readonly end: () => Promise<void>;
}

export interface StreamFigures {
  /** All of them verified. */
  readonly deliveries: number;
  readonly publications: number;
}
