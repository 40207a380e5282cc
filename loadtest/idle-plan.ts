import type { Presence } from './clients/tidegate.ts';
import type { LoadTarget } from './load-plan.ts';
import type { KernelReading, MemoryReading } from './memory-reading.ts';

/** What the bench tells a load process of idle sessions, and what comes back. All of it is plain JSON. */

export interface IdlePlan extends LoadTarget {
  readonly presence: Presence;
  /** See servers/gc-on-signal.ts. */
  readonly memoryFile: string;
  readonly rooms: number;
  readonly sessionsPerRoom: number;
  /** For how long nobody must be told of presence before the sessions are idle, and how long to wait beyond that. */
  readonly quietMs: number;
  readonly settleMs: number;
}

export interface IdleResult {
  readonly kind: 'done';
  /** Without sessions, but after some came and went. */
  readonly before: MemoryReading;
  readonly after: MemoryReading;
  readonly kernelBefore: KernelReading;
  readonly kernelAfter: KernelReading;
  /** From the first connect to the last join. */
  readonly connectMs: number;
  /** Rooms of which the server was asked who is there. */
  readonly roomsChecked: number;
}
