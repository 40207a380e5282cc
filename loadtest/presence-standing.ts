import type { IdleFigures, MemoryFigures, PresencePlan, SchemeName } from './presence-plan.ts';
import { PresencePopulation } from './presence-population.ts';
import { type RedisReading, RedisReadings, redisCpu } from './redis-readings.ts';

/** One scheme with its sessions on a Redis of its own, and what that tells of itself. */
export class PresenceStanding {
  readonly readings: RedisReadings;
  readonly population: PresencePopulation;

  private constructor(readings: RedisReadings, population: PresencePopulation) {
    this.readings = readings;
    this.population = population;
  }

  static async open(
    scheme: SchemeName,
    url: string,
    sessions: number,
    plan: PresencePlan,
    fail: (error: Error) => void,
  ): Promise<PresenceStanding> {
    const readings = await RedisReadings.open(url);
    return new PresenceStanding(readings, await PresencePopulation.open(scheme, url, readings, sessions, plan, fail));
  }

  /** Looks on from now, and returns what ends that. */
  async watchIdle(): Promise<() => Promise<IdleFigures>> {
    const before = await this.readings.read();
    const sentBefore = this.population.sent;
    return async () => {
      const sent = this.population.sent - sentBefore;
      const after = await this.readings.read();
      const seconds = (after.atMs - before.atMs) / 1000;
      return {
        sessions: this.population.sessionCount,
        seconds,
        commandsPerSecond: sent / seconds,
        // Less the one that the first reading took.
        commandsInsidePerSecond: (after.commands - before.commands - 1) / seconds,
        redisCpu: redisCpu(before, after),
      };
    };
  }

  async memorySince({ usedBytes, overheadBytes }: RedisReading): Promise<MemoryFigures> {
    const after = await this.readings.read();
    const { sessionCount } = this.population;
    return {
      bytes: (after.usedBytes - usedBytes) / sessionCount,
      overheadBytes: (after.overheadBytes - overheadBytes) / sessionCount,
    };
  }

  close(): void {
    this.population.close();
    this.readings.close();
  }
}
