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
    return async () => {
      const after = await this.readings.read();
      const seconds = (after.atMs - before.atMs) / 1000;
      // Less the one that the first reading took.
      const commands = after.commands - before.commands - 1;
      const scripts = after.scripts - before.scripts;
      const published = after.published - before.published;
      return {
        sessions: this.population.sessionCount,
        seconds,
        heartbeatsPerSecond: (scripts === 0 ? commands : scripts) / seconds,
        // In silence no script publishes.
        sentPerSecond: (scripts === 0 ? commands : scripts + published) / seconds,
        commandsPerSecond: commands / seconds,
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
