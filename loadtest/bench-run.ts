import type { Contender } from './contender.ts';
import { type LoadTarget, OTHER_LOAD_MAX } from './load-plan.ts';
import { runLoad } from './load-process.ts';
import type { BenchOptions } from './options.ts';
import { Progress } from './progress.ts';
import { type RunningServer, type ServerExtras, startServer, withServers } from './server-process.ts';

/** Turns that are taken again because other processes disturbed them. */
const REPETITIONS_MAX = 8;

/** What takes turns: a server, or a way in which it is used. */
export interface Entrant {
  readonly name: string;
}

/** What one entrant did, a result a round; undefined where it failed, as in all rounds after that one. */
export interface Turns<E extends Entrant, R> {
  readonly entrant: E;
  readonly rounds: readonly (R | undefined)[];
}

/** One run of the bench: the cores and the place it works in, and what went wrong. */
export class Bench {
  readonly options: BenchOptions;
  /** All that the bench may use. */
  readonly cores: readonly number[];
  readonly serverCore: number;
  readonly clientCore: number;
  /** Where data is kept, all of it gone after the run. */
  readonly directory: string;
  readonly #progress: Progress;
  /** Bounds the time that a busy machine costs. */
  #repetitionsLeft = REPETITIONS_MAX;
  failures = 0;

  /** @throws Error unless there are two cores. */
  constructor(options: BenchOptions, cores: readonly number[], directory: string, plannedMs: number) {
    const [serverCore, clientCore] = cores;
    if (serverCore === undefined || clientCore === undefined) throw new Error('the bench needs two cores');
    this.options = options;
    this.cores = cores;
    this.serverCore = serverCore;
    this.clientCore = clientCore;
    this.directory = directory;
    this.#progress = new Progress(plannedMs);
  }

  say(what: string): void {
    this.#progress.say(what);
  }

  /** Undefined if `task` failed, which is said and counted then. */
  async attempt<R>(what: string, task: () => Promise<R>): Promise<R | undefined> {
    this.say(what);
    try {
      return await task();
    } catch (error) {
      this.failures++;
      this.say(`FAILED: ${what}: ${(error as Error).message}`);
      return undefined;
    }
  }

  /**
   * Has every entrant take its turn in every round. Each round begins with another one, so that none always follows
   * the same one. A turn that other processes disturbed, as `disturbance` tells (share of a core), is taken once more,
   * and the quieter of the two counts. Who fails is left out from then on.
   */
  async takeTurns<E extends Entrant, R>(
    name: string,
    entrants: readonly E[],
    rounds: number,
    take: (entrant: E) => Promise<R>,
    disturbance: (result: R) => number,
  ): Promise<Turns<E, R>[]> {
    const turns = entrants.map((entrant) => ({ entrant, rounds: [] as (R | undefined)[], hasFailed: false }));
    for (let round = 0; round < rounds; round++) {
      const first = round % Math.max(1, turns.length);
      for (const turn of [...turns.slice(first), ...turns.slice(0, first)]) {
        if (turn.hasFailed) continue;
        const what = `${name}: round ${round + 1}/${rounds}, ${turn.entrant.name}`;
        const result = await this.#takeTurn(what, () => take(turn.entrant), disturbance);
        turn.rounds[round] = result;
        turn.hasFailed = result === undefined;
      }
    }
    return turns;
  }

  /** Starts a contender's server, lets one load process loose on it, and stops the server. */
  async load<Plan extends LoadTarget, Result extends { readonly kind: 'done' }>(
    contender: Contender,
    script: string,
    plan: Omit<Plan, keyof LoadTarget>,
    timeoutMs: number,
    extras: ServerExtras,
  ): Promise<Result> {
    const start = () => startServer(contender, [this.serverCore], this.directory, extras);
    return withServers([start], ([server]) => {
      const { port, internalPort, pid } = server as RunningServer;
      const target: LoadTarget = {
        wire: contender.wire,
        ports: [port],
        internalPorts: [internalPort],
        serverPid: pid,
        besidePids: [],
        serverCores: [this.serverCore],
        clientCores: [this.clientCore],
      };
      return runLoad<Result>(script, { ...plan, ...target }, timeoutMs);
    });
  }

  async #takeTurn<R>(what: string, take: () => Promise<R>, disturbance: (r: R) => number): Promise<R | undefined> {
    const first = await this.attempt(what, take);
    if (first === undefined || disturbance(first) <= OTHER_LOAD_MAX || this.#repetitionsLeft === 0) return first;
    this.#repetitionsLeft--;
    const second = await this.attempt(`${what}, again: other load`, take);
    if (second === undefined) return undefined;
    return disturbance(first) <= disturbance(second) ? first : second;
  }
}

/** Those rounds that went well. */
export function resultsOf<R>({ rounds }: Pick<Turns<Entrant, R>, 'rounds'>): R[] {
  return rounds.filter((result) => result !== undefined);
}
