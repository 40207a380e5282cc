import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CaughtUp, continueToPresent, newestToPresent, type PageBounds } from '../../../src/fanout/catch-up.ts';
import { Hub, type HubSettings, type Reading } from '../../../src/fanout/hub.ts';
import type { Subscription } from '../../../src/fanout/subscription.ts';
import { ndjsonDialect, websocketDialect } from '../../../src/protocol/json-dialect.ts';
import { FakeLoop } from './fake-loop.ts';
import { at, FakeRoomLog } from './fake-room-log.ts';
import { FakeSubscriber } from './fake-subscriber.ts';

const ROOMS = ['a', 'b', 'c'];
const FRAMINGS = [ndjsonDialect.framing, websocketDialect.framing];
/** Bytes of a publication with the shortest data. */
const ONE = 50;

/** A member of a room as its client sees it. */
interface Member {
  readonly room: string;
  readonly subscription: Subscription;
  readonly subscriber: FakeSubscriber;
  /** Everything above this offset is its due; null until the newest page says where it begins. */
  since: number | null;
  /** What it was given, by pages and by pushes. */
  readonly given: number[];
  /** The reading of its past under way. */
  reading: Reading | null;
}

const loop = new FakeLoop();

/** A node and its clients, played step by step. */
class Play {
  readonly log = new FakeRoomLog(2);
  readonly members: Member[] = [];
  readonly #hub: Hub;
  readonly #bounds: PageBounds;
  readonly #endsFirst: boolean;
  overflows = 0;

  constructor(settings: HubSettings, bounds: PageBounds, endsFirst: boolean) {
    // A tick takes long, so that the next one is waited for and much happens in between.
    this.#hub = new Hub(this.log, settings, () => {
      loop.nowMs += 50;
    });
    this.#bounds = bounds;
    this.#endsFirst = endsFirst;
  }

  get roomCount(): number {
    return this.#hub.roomCount;
  }

  handOn(count: number): void {
    this.log.handOn(count, (batch) => this.#hub.receive(batch), this.#endsFirst);
  }

  flush(): void {
    this.#hub.flush();
  }

  joinNow(room: string, kind: number): void {
    const end = this.#hub.end(room);
    this.#join(room, kind, end).subscription.goLive(end);
  }

  joinSince(room: string, kind: number, position: number): void {
    this.#beginReading(this.#join(room, kind, Math.min(position, this.#hub.end(room))));
  }

  joinNewest(room: string, kind: number): void {
    this.#beginReading(this.#join(room, kind, null));
  }

  /** Finishes the reading under way, or asks for the next page where there is one to ask for. */
  goOn(member: Member): void {
    if (member.reading !== null) this.#finishReading(member, member.reading);
    else if (member.subscription.state === 'catching-up') this.#beginReading(member);
  }

  suspend(member: Member): void {
    if (member.reading === null) member.subscription.suspend();
  }

  /** Joins again behind what was heard last, as a client does. */
  resume(member: Member): void {
    if (member.subscription.state === 'suspended' && member.reading === null) this.#beginReading(member);
  }

  leave(member: Member): void {
    member.reading?.close();
    this.#hub.unsubscribe(member.subscription);
    this.members.splice(this.members.indexOf(member), 1);
  }

  /** What a member must have been given when everything has come to rest. */
  due({ room, since, given }: Member): number[] {
    const from = since ?? (given[0] ?? Number.POSITIVE_INFINITY) - 1;
    return this.log.offsets(room).filter((offset) => offset > from);
  }

  #join(room: string, kind: number, since: number | null): Member {
    const given: number[] = [];
    const subscriber = new FakeSubscriber(FRAMINGS[kind % FRAMINGS.length] ?? ndjsonDialect.framing, (heard) => {
      if (heard.room !== room) throw new Error(`heard of ${heard.room} in ${room}`);
      if (subscription.state !== 'live') throw new Error(`pushed while ${subscription.state}`);
      given.push(heard.offset);
    });
    const subscription = this.#hub.subscribe(subscriber, room);
    const member = { room, subscription, subscriber, since, given, reading: null };
    this.members.push(member);
    return member;
  }

  #beginReading(member: Member): void {
    member.reading = this.#hub.read(member.room);
  }

  #finishReading(member: Member, reading: Reading): void {
    const { room, subscription, given } = member;
    const { limit, bytesMax } = this.#bounds;
    const request = { room, through: reading.through, limit, bytesMax };
    let caughtUp: CaughtUp;
    if (member.since === null) {
      caughtUp = newestToPresent(this.log.read(request), reading, this.#bounds);
      this.#expectNewest(room, caughtUp, reading);
      const [first] = caughtUp.publications;
      member.since = first === undefined ? caughtUp.offset : first.offset - 1;
    } else {
      const after = Math.max(member.since, subscription.offset, given.at(-1) ?? -1);
      caughtUp = continueToPresent(this.log.read({ ...request, after: at(after) }), after, reading, this.#bounds);
      if (caughtUp.publications.length > limit) throw new Error('a page beyond its limit');
    }
    if (!reading.arrived().complete) this.overflows += 1;
    for (const publication of caughtUp.publications) {
      if (publication.room !== room) throw new Error(`read ${publication.room} in ${room}`);
      given.push(publication.offset);
    }
    if (caughtUp.more) subscription.catchUp(caughtUp.offset);
    else subscription.goLive(caughtUp.offset);
    reading.close();
    member.reading = null;
  }

  /** The newest page holds the newest publications, as many as the bounds allow. */
  #expectNewest(room: string, { publications, offset, more }: CaughtUp, reading: Reading): void {
    const all = this.log.publications(room).filter((of) => of.offset <= reading.end);
    const from = all.length - publications.length;
    expect(publications.map((of) => of.offset)).toEqual(all.slice(from).map((of) => of.offset));
    expect({ offset, more }).toEqual({ offset: reading.end, more: false });
    const bytes = all.slice(Math.max(from - 1, 0)).reduce((sum, { value }) => sum + value.length, 0);
    const isFull = publications.length === this.#bounds.limit || from === 0 || bytes > this.#bounds.bytesMax;
    if (reading.arrived().complete) expect(isFull).toBe(true);
  }
}

type Step = (play: Play) => void;

const room = fc.constantFrom(...ROOMS);
const kind = fc.nat(1);

function ofMember(act: (play: Play, member: Member) => void): fc.Arbitrary<Step> {
  return fc.nat().map((n) => (play) => {
    const member = play.members[n % Math.max(play.members.length, 1)];
    if (member !== undefined) act(play, member);
  });
}

const publish = fc.tuple(room, fc.integer({ min: 1, max: 60 })).map(
  ([of, length]): Step =>
    (play) =>
      play.log.append(of, `"${'x'.repeat(length)}"`),
);
const handOn = fc.integer({ min: 1, max: 4 }).map(
  (count): Step =>
    (play) =>
      play.handOn(count),
);
const pass = fc.integer({ min: 0, max: 80 }).map(
  (ms): Step =>
    () =>
      loop.advance(ms),
);
const joinNow = fc.tuple(room, kind).map(
  ([of, as]): Step =>
    (play) =>
      play.joinNow(of, as),
);
const joinNewest = fc.tuple(room, kind).map(
  ([of, as]): Step =>
    (play) =>
      play.joinNewest(of, as),
);
const joinSince = fc.tuple(room, kind, fc.integer({ min: -1, max: 60 })).map(
  ([of, as, position]): Step =>
    (play) =>
      play.joinSince(of, as, position),
);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: publish },
  { weight: 5, arbitrary: handOn },
  { weight: 2, arbitrary: pass },
  { weight: 1, arbitrary: fc.constant<Step>((play) => play.flush()) },
  { weight: 1, arbitrary: joinNow },
  { weight: 2, arbitrary: joinSince },
  { weight: 1, arbitrary: joinNewest },
  { weight: 5, arbitrary: ofMember((play, member) => play.goOn(member)) },
  { weight: 1, arbitrary: ofMember((play, member) => play.suspend(member)) },
  { weight: 1, arbitrary: ofMember((play, member) => play.resume(member)) },
  { weight: 1, arbitrary: ofMember((play, member) => play.leave(member)) },
);

beforeEach(() => {
  loop.install();
});

afterEach(() => {
  loop.uninstall();
});

describe('hub and catching up, in whatever order things happen', () => {
  it('give each member what was published in its room behind its position: all of it, once, in order', () => {
    const seen = { overflows: 0, pages: 0, pushes: 0 };
    const settings = fc.record({
      tickMaxMs: fc.constantFrom(0, 40),
      tickBytesMax: fc.constantFrom(1, 3 * ONE, 1_000_000),
      recentBytesMax: fc.constantFrom(ONE, 4 * ONE, 1_000_000),
    });
    const bounds = fc.record({ limit: fc.constantFrom(1, 3, 300), bytesMax: fc.constantFrom(3 * ONE, 1_000_000) });
    const steps = fc.array(step, { minLength: 20, maxLength: 150, size: 'max' });
    fc.assert(
      fc.property(settings, bounds, fc.boolean(), steps, (hub, page, endsFirst, acts) => {
        const play = new Play(hub, page, endsFirst);
        for (const act of acts) {
          act(play);
          for (const one of play.members) expect(play.due(one).slice(0, one.given.length)).toEqual(one.given);
        }
        // Everything comes to rest.
        play.handOn(1_000);
        play.flush();
        for (const one of play.members) {
          play.resume(one);
          for (let i = 0; one.subscription.state !== 'live' && i < 1_000; i += 1) play.goOn(one);
        }
        play.flush();
        for (const one of play.members) {
          expect(one.given).toEqual(play.due(one));
          seen.pushes += one.subscriber.heard.length;
          seen.pages += one.given.length - one.subscriber.heard.length;
        }
        seen.overflows += play.overflows;
        for (const one of [...play.members]) play.leave(one);
        expect(play.roomCount).toBe(0);
      }),
      { numRuns: 200 },
    );
    // The plays were worth watching.
    expect(Math.min(seen.overflows, seen.pages, seen.pushes)).toBeGreaterThan(50);
  });
});
