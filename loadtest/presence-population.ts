import type { JoinFigures, PresencePlan, SchemeName } from './presence-plan.ts';
import { openReplica } from './presence-replicas.ts';
import { roomName, type SchemeReplica, type SimulatedSession, simulate } from './presence-scheme.ts';
import { type RedisReadings, redisCpu } from './redis-readings.ts';

/** Sessions that connect within one of the gateway's batches in a storm. */
const BATCH = 250;

/** Some replicas of one scheme on one Redis, and their sessions. */
export class PresencePopulation {
  readonly rooms: readonly string[];
  readonly replicas: readonly SchemeReplica[];
  readonly #readings: RedisReadings;
  readonly #sessions: readonly SimulatedSession[];

  private constructor(
    replicas: readonly SchemeReplica[],
    readings: RedisReadings,
    sessions: readonly SimulatedSession[],
    rooms: readonly string[],
  ) {
    this.replicas = replicas;
    this.#readings = readings;
    this.#sessions = sessions;
    this.rooms = rooms;
  }

  /** Each replica watches a room; nobody is there yet. */
  static async open(
    scheme: SchemeName,
    url: string,
    readings: RedisReadings,
    sessionCount: number,
    { size, pace }: PresencePlan,
    fail: (error: Error) => void,
  ): Promise<PresencePopulation> {
    const rooms = Array.from({ length: sessionCount / size.sessionsPerRoom }, (_, index) => roomName(index));
    const sessions = Array.from({ length: sessionCount }, (_, index) =>
      simulate(index, rooms[Math.floor(index / size.sessionsPerRoom)] as string),
    );
    const replicas = await Promise.all(
      Array.from({ length: size.replicas }, () => openReplica(scheme, url, pace, fail)),
    );
    await Promise.all(replicas.map((replica, index) => replica.watch(rooms[index] as string)));
    return new PresencePopulation(replicas, readings, sessions, rooms);
  }

  get sessionCount(): number {
    return this.#sessions.length;
  }

  /** All come in random order, as fast as the scheme takes them: to each replica a batch at a time. */
  async join(): Promise<JoinFigures> {
    const shares = this.replicas.map((_, turn) =>
      shuffled(this.#sessions.filter((_session, index) => index % this.replicas.length === turn)),
    );
    const cpuBefore = process.cpuUsage();
    const before = await this.#readings.read();
    await Promise.all(
      this.replicas.map((replica, turn) => joinBatches(shares[turn] ?? [], (some) => replica.join(some))),
    );
    const after = await this.#readings.read();
    const { user, system } = process.cpuUsage(cpuBefore);
    const seconds = (after.atMs - before.atMs) / 1000;
    return {
      sessions: this.sessionCount,
      seconds,
      redisUs: ((after.cpuSeconds - before.cpuSeconds) * 1e6) / this.sessionCount,
      redisCpu: redisCpu(before, after),
      loadCpu: (user + system) / 1e6 / seconds,
    };
  }

  /** Sessions beside its own, spread over its rooms. */
  others(first: number, count: number): SimulatedSession[] {
    return Array.from({ length: count }, (_, index) =>
      simulate(this.sessionCount + first + index, this.rooms[index % this.rooms.length] as string),
    );
  }

  /** @throws Error unless exactly its own sessions' users and these others are in its rooms. */
  async check(others: readonly SimulatedSession[]): Promise<void> {
    const expected = new Map(this.rooms.map((room) => [room, [] as string[]]));
    for (const { room, user } of [...this.#sessions, ...others]) expected.get(room)?.push(user);
    for (const [index, room] of this.rooms.entries()) {
      const replica = this.replicas[index % this.replicas.length] as SchemeReplica;
      const seen = await replica.readRoom(room);
      const wanted = (expected.get(room) ?? []).sort();
      if (seen.join() !== wanted.join()) throw new Error(`${room} has ${seen.length} users, not ${wanted.length}`);
    }
  }

  close(): void {
    for (const replica of this.replicas) replica.crash();
  }
}

/** A batch at a time. */
export async function joinBatches(
  sessions: readonly SimulatedSession[],
  join: (some: readonly SimulatedSession[]) => Promise<unknown>,
): Promise<void> {
  for (let at = 0; at < sessions.length; at += BATCH) await join(sessions.slice(at, at + BATCH));
}

export function shuffled<T>(values: readonly T[]): T[] {
  const mixed = [...values];
  for (let last = mixed.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1));
    [mixed[last], mixed[other]] = [mixed[other] as T, mixed[last] as T];
  }
  return mixed;
}
