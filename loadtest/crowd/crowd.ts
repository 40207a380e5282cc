import { setTimeout as sleep } from 'node:timers/promises';
import type { RoomPresence } from '../../src/client/client.ts';
import type { UserState } from '../../src/protocol/presence-state.ts';
import { PublishSchedule } from '../publish-schedule.ts';
import type { Recorder } from '../recorder.ts';
import { type CrowdRoom, type CrowdWays, Member } from './member.ts';
import { SharedPast } from './shared-past.ts';

export interface CrowdShape {
  /** What the names of rooms and members begin with: another one for each run against the same gateway. */
  readonly prefix: string;
  readonly members: number;
  readonly roomSize: number;
  /** Numbers of the first member and room, so that those of all load processes differ. */
  readonly firstMember: number;
  readonly firstRoom: number;
}

/** What a gateway says of who is in the crowd's rooms. */
export interface PresenceVerdict {
  readonly rooms: number;
  /** Rooms of which it is not true, as some replica says it. */
  readonly wrong: number;
  /** One of them, in words. */
  readonly words: string | null;
}

/** Those who had lost their connections since a moment. */
export interface Returns {
  readonly lost: number;
  /** Of those, by when each was back, in ms since that moment; in order. */
  readonly backMs: readonly number[];
  /** Tries to connect of each that lost its connection, since that moment. */
  readonly attempts: readonly number[];
}

const ROOMS_ASKED_AT_ONCE = 32;
const SETTLE_POLL_MS = 20;

/** The members of a load process, in rooms that they share with nobody else's. */
export class Crowd {
  readonly #shape: CrowdShape;
  readonly #ways: CrowdWays;
  readonly #recorder: Recorder;
  readonly #rooms: CrowdRoom[];
  readonly #members: Member[] = [];
  /** When they went, for good, by their names; ms. */
  readonly #gone = new Map<string, { readonly how: 'goodbye' | 'vanished'; readonly atMs: number }>();
  readonly #schedule: PublishSchedule;
  #nextMember: number;
  #turn = 0;
  #openPublishes = 0;
  #markMs = 0;
  #attemptsAtMark = new Map<Member, number>();

  constructor(shape: CrowdShape, ways: Omit<CrowdWays, 'hearLeft'>, fail: (error: Error) => void) {
    this.#shape = shape;
    this.#ways = { ...ways, hearLeft: (user) => this.#hearLeft(user) };
    this.#recorder = ways.recorder;
    this.#nextMember = shape.firstMember;
    const rooms = Math.ceil(shape.members / shape.roomSize);
    this.#rooms = Array.from({ length: rooms }, (_, index) => {
      const name = `${shape.prefix}-${String(shape.firstRoom + index).padStart(5, '0')}`;
      return { name, past: new SharedPast(name, ways.faults), due: new Map() };
    });
    this.#schedule = new PublishSchedule({ publishAt: (dueUs) => this.#publish(dueUs) }, 'woken', fail);
  }

  get members(): readonly Member[] {
    return this.#members;
  }

  /** All come, no more than so many a second. Resolves when all are in their rooms. */
  async gather(perSecond: number): Promise<void> {
    const startMs = performance.now();
    const arrivals: Promise<void>[] = [];
    for (let index = 0; index < this.#shape.members; index++) {
      const dueMs = startMs + (index * 1000) / perSecond;
      if (dueMs > performance.now()) await sleep(dueMs - performance.now());
      arrivals.push(this.admit(this.#rooms[Math.floor(index / this.#shape.roomSize)] as CrowdRoom).arrival);
    }
    await Promise.all(arrivals);
  }

  /** Has somebody new come to a room. */
  admit(room: CrowdRoom): { readonly member: Member; readonly arrival: Promise<void> } {
    const member = new Member(this.#nextMember++, this.#shape.prefix, room, this.#ways);
    this.#members.push(member);
    return { member, arrival: member.come() };
  }

  /** Has somebody go for good, in this way. */
  async dismiss(member: Member, how: 'goodbye' | 'vanished'): Promise<void> {
    this.#members.splice(this.#members.indexOf(member), 1);
    this.#attemptsAtMark.delete(member);
    this.#gone.set(member.user, { how, atMs: performance.now() });
    this.#recorder.count(how === 'goodbye' ? 'goodbyes' : 'vanished');
    if (how === 'goodbye') await member.leave();
    else member.vanish();
  }

  /** Has members publish in turn, at this rate, whatever becomes of what they publish. */
  publish(perSecond: number): void {
    this.#schedule.setRate(perSecond);
  }

  /** Nobody publishes any more. Resolves when all that was published has its outcome, and whoever is here has seen it. */
  async settle(quietMs: number): Promise<void> {
    this.#schedule.stop();
    while (this.#openPublishes > 0) await sleep(SETTLE_POLL_MS);
    await sleep(quietMs);
  }

  /** From now on it is noted who loses a connection, and how often they try to come back. */
  mark(): void {
    this.#markMs = performance.now();
    this.#attemptsAtMark = new Map(this.#members.map((member) => [member, member.line.attempts]));
  }

  returns(): Returns {
    const lost = this.#members.filter((member) => member.hasLostSince(this.#markMs));
    const backAtMs = lost.flatMap((member) => (member.isOnline ? (member.backAtMs ?? []) : []));
    return {
      lost: lost.length,
      backMs: backAtMs.map((atMs) => atMs - this.#markMs).toSorted((a, b) => a - b),
      attempts: lost.map((member) => member.line.attempts - (this.#attemptsAtMark.get(member) ?? 0)),
    };
  }

  get online(): number {
    return this.#members.filter(({ isOnline }) => isOnline).length;
  }

  /** Has a member at each replica ask who is in its room, in all rooms. */
  async askPresence(): Promise<PresenceVerdict> {
    const wrong: string[] = [];
    let next = 0;
    const askSome = async (): Promise<void> => {
      for (let room = this.#rooms[next++]; room !== undefined; room = this.#rooms[next++]) {
        const words = await this.#askRoom(room);
        if (words !== null) wrong.push(words);
      }
    };
    await Promise.all(Array.from({ length: ROOMS_ASKED_AT_ONCE }, askSome));
    return { rooms: this.#rooms.length, wrong: wrong.length, words: wrong[0] ?? null };
  }

  /** Compares what was acknowledged with what was seen, for good. */
  finish(): void {
    for (const { past } of this.#rooms) past.finish();
  }

  async close(): Promise<void> {
    this.#schedule.stop();
    await Promise.all(this.#members.map((member) => member.leave()));
  }

  #publish(dueUs: number): boolean {
    const member = this.#members[this.#turn++ % Math.max(1, this.#members.length)];
    if (member === undefined) return false;
    this.#openPublishes += 1;
    void member.publish(dueUs).finally(() => {
      this.#openPublishes -= 1;
    });
    return true;
  }

  /** Null, or what is wrong. */
  async #askRoom(room: CrowdRoom): Promise<string | null> {
    const members = this.#members.filter((member) => member.room === room);
    const expected = members.map(({ user }) => user).toSorted();
    const byNode = new Map(members.map((member) => [member.client.session?.node, member]));
    for (const [node, member] of byNode) {
      const { users, isPartial } = await readAll((after) => member.client.room(room.name).presence(after));
      const names = users.map(({ user }) => user);
      const isTrue = !isPartial && names.join() === expected.join() && users.every(({ devices }) => devices === 1);
      if (isTrue) continue;
      const partial = isPartial ? ', partial' : '';
      return `${room.name} at ${node}: ${names.join(' ')}${partial}, where ${expected.join(' ')} are`;
    }
    return null;
  }

  #hearLeft(user: string): void {
    const gone = this.#gone.get(user);
    if (gone === undefined) this.#recorder.count('the living seen leaving');
    else this.#recorder.latency(`${gone.how} seen`, (performance.now() - gone.atMs) * 1000);
  }
}

/** All pages. */
async function readAll(
  read: (after: string | undefined) => Promise<RoomPresence>,
): Promise<{ readonly users: readonly UserState[]; readonly isPartial: boolean }> {
  const users: UserState[] = [];
  let isPartial = false;
  for (let hasMore = true; hasMore; ) {
    const page = await read(users.at(-1)?.user);
    users.push(...page.users);
    isPartial ||= page.partial;
    hasMore = page.more;
  }
  return { users, isPartial };
}
