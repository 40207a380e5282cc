import type { Workload } from './load-plan.ts';

/** A workload and what tidegate wants to reach in it. */
export interface BenchWorkload extends Workload {
  /** Deliveries/s, as a multiple of Socket.IO's in the same run. */
  readonly ratioWanted: number;
}

export const WORKLOADS: readonly BenchWorkload[] = [
  { name: 'fanout', rooms: 1, sessionsPerRoom: 1000, publishersPerRoom: 100, windowMin: 1, ratioWanted: 20 },
  { name: 'rooms', rooms: 250, sessionsPerRoom: 4, publishersPerRoom: 4, windowMin: 16, ratioWanted: 2 },
];
