import { Random } from '../faults/random.ts';
import { FAULTS_OF_KEYS, FAULTS_OF_REDIS, FAULTS_OF_REPLICAS, type Fault } from './presence-faults.ts';

/** Of a seed. */
export const ROUNDS = 4;
const FAULTS_A_ROUND = 3;
const GAP_MS_MAX = 200;

/** A fault of a round. */
export interface Planned {
  readonly name: string;
  readonly fault: Fault;
  readonly random: Random;
  /** Milliseconds since the one before has begun, or ended if it is alone. */
  readonly gapMs: number;
  /** It waits until those before it are over. */
  readonly isAlone: boolean;
}

/** What a seed has chosen, whatever the time that it takes. */
export interface Plan {
  /**
   * Keys are lost that no server tells of: what is stored is said and swept all the time. Elsewhere that would heal what
   * must not break, and happens once an hour.
   */
  readonly losesKeys: boolean;
  /** Behind each all must be seen as it is. */
  readonly rounds: readonly (readonly Planned[])[];
}

export function planOf(seed: number, rounds: number): Plan {
  const random = new Random(seed);
  const losesKeys = seed % 2 === 0;
  const kinds = { ...FAULTS_OF_REPLICAS, ...FAULTS_OF_REDIS, ...(losesKeys ? FAULTS_OF_KEYS : {}) };
  const round = () => Array.from({ length: FAULTS_A_ROUND }, () => planned(random, kinds));
  return { losesKeys, rounds: Array.from({ length: rounds }, round) };
}

function planned(random: Random, kinds: Readonly<Record<string, Fault>>): Planned {
  const [name, fault] = random.pick(Object.entries(kinds));
  const own = new Random(random.int(0, 2 ** 31));
  return { name, fault, random: own, gapMs: random.int(0, GAP_MS_MAX), isAlone: random.next() < 0.5 };
}
