import { LoadConversation, type Steps } from './load-conversation.ts';
import type { Timeline } from './timeline.ts';

/** The load processes of a run, which do the same steps at the same time. */
export class LoadFleet<Of extends Steps> {
  readonly #processes: readonly LoadConversation[];

  private constructor(processes: readonly LoadConversation[]) {
    this.#processes = processes;
  }

  /** Resolves when all are there. */
  static async start<Of extends Steps>(
    script: string,
    plans: readonly unknown[],
    cores: readonly number[],
    timeline: Timeline,
  ): Promise<LoadFleet<Of>> {
    const starts = plans.map((plan, index) =>
      LoadConversation.start(script, plan, cores, (sample) => timeline.add(index + 1, sample)),
    );
    return new LoadFleet(await Promise.all(starts));
  }

  /** Has all do a step. @throws Error of whichever fails first */
  all<Name extends keyof Of & string>(
    name: Name,
    argument?: Parameters<Of[Name]>[0],
  ): Promise<Awaited<ReturnType<Of[Name]>>[]> {
    return Promise.all(this.#processes.map((process) => process.ask<Awaited<ReturnType<Of[Name]>>>(name, argument)));
  }

  async end(): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.end()));
  }
}

/** Shares of a whole number, as equal as can be. */
export function shareOut(total: number, shares: number): number[] {
  return Array.from({ length: shares }, (_, index) => Math.floor((total + index) / shares)).toReversed();
}
