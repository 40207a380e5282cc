import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Hub, type HubSettings } from '../../../src/fanout/hub.ts';
import { ndjsonDialect, websocketDialect } from '../../../src/protocol/json-dialect.ts';
import { encodeValue, type Publication } from '../../../src/protocol/publication.ts';
import { TextDialect } from '../../../src/protocol/text-dialect.ts';
import { FakeLoop } from './fake-loop.ts';
import { FakeSubscriber } from './fake-subscriber.ts';

const SETTINGS: HubSettings = { tickMaxMs: 1_000, tickBytesMax: 100_000, recentBytesMax: 1_000 };

let loop: FakeLoop;
/** Milliseconds that each tick takes. */
let tickMs = 0;
let ticks = 0;
const ends = [-1];

function newHub(settings: Partial<HubSettings> = {}): Hub {
  return new Hub({ epoch: 'e', partitions: 1, ends: () => ends }, { ...SETTINGS, ...settings }, () => {
    ticks += 1;
    loop.nowMs += tickMs;
  });
}

function publication(room: string, offset: number): Publication {
  return { room, partition: 0, epoch: 'e', offset, ts: 1, value: encodeValue(room, 'ann', 'm', String(offset)) };
}

beforeEach(() => {
  tickMs = 0;
  ticks = 0;
  ends[0] = -1;
  loop = new FakeLoop();
  loop.install();
});

afterEach(() => {
  loop.uninstall();
});

/** Makes the node busy: the next tick comes so long after the last one. */
function makeBusy(hub: Hub, ms: number): void {
  tickMs = ms;
  const subscription = hub.subscribe(new FakeSubscriber(ndjsonDialect.framing), 'warm-up');
  subscription.goLive(-1);
  hub.receive([publication('warm-up', 0)]);
  loop.advance(0);
  hub.unsubscribe(subscription);
  tickMs = 0;
  ticks = 0;
}

describe('a tick', () => {
  it('ends with the turn on an idle node', () => {
    const hub = newHub();
    const subscriber = new FakeSubscriber(ndjsonDialect.framing);
    hub.subscribe(subscriber, 'a').goLive(-1);
    hub.receive([publication('a', 1)]);
    expect(subscriber.heard).toEqual([]);
    loop.advance(0);
    expect(subscriber.heard).toEqual([{ room: 'a', offset: 1 }]);
    hub.receive([publication('a', 2)]);
    loop.advance(0);
    expect(subscriber.heard).toHaveLength(2);
    expect(ticks).toBe(2);
    expect(loop.timerCount).toBe(0);
  });

  it('waits as long as the last one took on a busy node, and gathers what comes', () => {
    const hub = newHub();
    makeBusy(hub, 50);
    const subscriber = new FakeSubscriber(ndjsonDialect.framing);
    hub.subscribe(subscriber, 'a').goLive(-1);
    for (const offset of [1, 2, 3]) hub.receive([publication('a', offset)]);
    loop.advance(49);
    expect(subscriber.chunks).toEqual([]);
    loop.advance(1);
    expect(subscriber.chunks).toHaveLength(1);
    expect(subscriber.heard.map(({ offset }) => offset)).toEqual([1, 2, 3]);
    expect(ticks).toBe(1);
    expect(loop.timerCount).toBe(0);
  });

  it('lasts no longer than its bound, however long the last one took', () => {
    const hub = newHub({ tickMaxMs: 5 });
    makeBusy(hub, 900);
    const subscriber = new FakeSubscriber(ndjsonDialect.framing);
    hub.subscribe(subscriber, 'a').goLive(-1);
    hub.receive([publication('a', 1)]);
    expect(subscriber.chunks).toHaveLength(0);
    loop.advance(5);
    expect(subscriber.chunks).toHaveLength(1);
  });

  it('ends in the same turn of the loop where less than a millisecond is left', () => {
    const hub = newHub();
    makeBusy(hub, 50);
    loop.nowMs += 49.5;
    const subscriber = new FakeSubscriber(ndjsonDialect.framing);
    hub.subscribe(subscriber, 'a').goLive(-1);
    hub.receive([publication('a', 1)]);
    expect(subscriber.chunks).toHaveLength(0);
    loop.advance(0);
    expect(subscriber.chunks).toHaveLength(1);
  });

  it('is ended by the bytes of one room', () => {
    const hub = newHub({ tickBytesMax: 3 * publication('a', 1).value.length });
    makeBusy(hub, 900);
    tickMs = 900;
    const subscriber = new FakeSubscriber(ndjsonDialect.framing);
    for (const room of ['a', 'b']) hub.subscribe(subscriber, room).goLive(-1);
    hub.receive([publication('a', 1), publication('b', 2), publication('a', 3), publication('b', 4)]);
    expect(ticks).toBe(0);
    hub.receive([publication('a', 5), publication('a', 6)]);
    expect(ticks).toBe(1);
    const heard = subscriber.heard.map(({ room, offset }) => `${room}${offset}`);
    expect(heard.sort()).toEqual(['a1', 'a3', 'a5', 'b2', 'b4']);
    loop.advance(900);
    expect(subscriber.heard.at(-1)).toEqual({ room: 'a', offset: 6 });
  });

  it('is ended by a flush, which does nothing where nothing waits', () => {
    const hub = newHub();
    makeBusy(hub, 900);
    const subscriber = new FakeSubscriber(ndjsonDialect.framing);
    hub.subscribe(subscriber, 'a').goLive(-1);
    hub.receive([publication('a', 1)]);
    hub.flush();
    expect(subscriber.heard).toHaveLength(1);
    hub.flush();
    expect(ticks).toBe(1);
    expect(loop.timerCount).toBe(0);
  });

  it('does not come for a room in which nobody is live', () => {
    const hub = newHub();
    hub.subscribe(new FakeSubscriber(ndjsonDialect.framing), 'a');
    hub.receive([publication('a', 1), publication('b', 2)]);
    loop.advance(1_000);
    expect(ticks).toBe(0);
  });
});

describe('what is pushed', () => {
  it('is one buffer for all subscribers of a framing', () => {
    const hub = newHub();
    makeBusy(hub, 50);
    const framings = [ndjsonDialect.framing, websocketDialect.framing, new TextDialect().framing];
    const all = framings.map((framing) => Array.from({ length: 3 }, () => new FakeSubscriber(framing)));
    for (const subscriber of all.flat()) hub.subscribe(subscriber, 'a').goLive(-1);
    hub.receive([publication('a', 1), publication('a', 2)]);
    loop.advance(50);
    for (const alike of all) {
      const [first] = alike[0]?.chunks ?? [];
      for (const { chunks, heard } of alike) {
        expect(chunks).toHaveLength(1);
        expect(chunks[0]).toBe(first);
        expect(heard.map(({ offset }) => offset)).toEqual([1, 2]);
      }
    }
    expect(new Set(all.flat().map(({ chunks }) => chunks[0])).size).toBe(framings.length);
  });

  it('was encoded once for framings that share their messages', () => {
    const encoded: number[] = [];
    const message = (of: Publication) => {
      encoded.push(of.offset);
      return ndjsonDialect.framing.message(of);
    };
    const hub = newHub();
    for (const { framing } of [ndjsonDialect, websocketDialect, ndjsonDialect]) {
      hub.subscribe(new FakeSubscriber({ ...framing, message }), 'a').goLive(-1);
    }
    hub.receive([publication('a', 1)]);
    hub.flush();
    expect(encoded).toEqual([1]);
  });

  it('leaves out what a subscriber that went live within the tick has had', () => {
    const hub = newHub();
    makeBusy(hub, 50);
    const early = new FakeSubscriber(websocketDialect.framing);
    const late = new FakeSubscriber(websocketDialect.framing);
    const latest = new FakeSubscriber(websocketDialect.framing);
    hub.subscribe(early, 'a').goLive(0);
    hub.receive([publication('a', 1)]);
    hub.subscribe(late, 'a').goLive(1);
    hub.receive([publication('a', 2)]);
    hub.subscribe(latest, 'a').goLive(2);
    loop.advance(50);
    expect(early.heard.map(({ offset }) => offset)).toEqual([1, 2]);
    expect(late.heard.map(({ offset }) => offset)).toEqual([2]);
    expect(latest.chunks).toEqual([]);
  });

  it('goes on for the others when one leaves while it is pushed', () => {
    const hub = newHub();
    const heard: string[] = [];
    for (const name of ['x', 'y', 'z']) {
      const subscriber = new FakeSubscriber(ndjsonDialect.framing, () => {
        heard.push(name);
        hub.unsubscribe(subscription);
      });
      const subscription = hub.subscribe(subscriber, 'a');
      subscription.goLive(-1);
    }
    hub.receive([publication('a', 1)]);
    hub.flush();
    expect(heard).toEqual(['x', 'y', 'z']);
    expect(hub.roomCount).toBe(0);
    hub.receive([publication('a', 2)]);
    hub.flush();
    expect(heard).toHaveLength(3);
  });
});

describe('rooms', () => {
  it('are kept while somebody hears or reads them, in whatever state', () => {
    const hub = newHub();
    const subscription = hub.subscribe(new FakeSubscriber(ndjsonDialect.framing), 'a');
    const reading = hub.read('b');
    expect(hub.roomCount).toBe(2);
    subscription.goLive(0);
    subscription.catchUp(0);
    subscription.suspend();
    expect(subscription).toMatchObject({ state: 'suspended', offset: 0 });
    expect(hub.roomCount).toBe(2);
    reading.close();
    reading.close();
    hub.unsubscribe(subscription);
    expect(hub.roomCount).toBe(0);
  });
});

describe('a reading', () => {
  it('hears what arrives behind its beginning, and does not hide what was let go', () => {
    const hub = newHub({ recentBytesMax: 2 * publication('a', 1).value.length });
    ends[0] = 0;
    const early = hub.read('a');
    expect(early).toMatchObject({ through: 0, end: 0 });
    hub.receive([publication('a', 1), publication('b', 2)]);
    ends[0] = 2;
    const late = hub.read('a');
    const offsets = ({ arrived }: typeof early) => arrived().publications.map(({ offset }) => offset);
    expect([offsets(early), early.arrived().complete]).toEqual([[1], true]);
    expect([offsets(late), late.arrived().complete]).toEqual([[], true]);
    hub.receive([publication('a', 3), publication('a', 4)]);
    ends[0] = 4;
    expect([offsets(early), early.arrived().complete]).toEqual([[3, 4], false]);
    expect([offsets(late), late.arrived().complete]).toEqual([[3, 4], true]);
    hub.receive([publication('a', 5)]);
    expect(late.arrived().complete).toBe(false);
    expect(early.end).toBe(4);
    const latest = hub.read('a');
    early.close();
    late.close();
    hub.receive([publication('a', 6)]);
    expect([offsets(latest), latest.arrived().complete]).toEqual([[5, 6], true]);
    latest.close();
    ends[0] = 6;
    const again = hub.read('a');
    expect([offsets(again), again.arrived().complete]).toEqual([[], true]);
  });
});

describe('a tail that breaks', () => {
  it('tells who is live in its partition that their place is lost, behind what they were given', () => {
    const hub = newHub();
    const live = new FakeSubscriber(ndjsonDialect.framing);
    const other = new FakeSubscriber(ndjsonDialect.framing);
    const subscription = hub.subscribe(live, 'a');
    subscription.goLive(-1);
    const catchingUp = hub.subscribe(other, 'a');
    catchingUp.catchUp(3);
    const before = hub.read('a');
    hub.receive([publication('a', 4)]);
    ends[0] = 9;
    hub.break(0);
    expect(live.heard).toEqual([{ room: 'a', offset: 4 }]);
    expect(live.resyncs).toEqual([{ room: 'a', position: { epoch: 'e', offset: 9 }, gap: undefined }]);
    expect(other.resyncs).toEqual([]);
    expect([subscription.state, catchingUp.state]).toEqual(['suspended', 'catching-up']);
    hub.receive([publication('a', 10)]);
    loop.advance(0);
    expect(live.heard).toHaveLength(1);
    // What was read before is of no use to anybody.
    expect(before.isBroken).toBe(true);
    expect(hub.read('a').isBroken).toBe(false);
  });

  it('is nothing to the rooms of other partitions', () => {
    const hub = newHub();
    const live = new FakeSubscriber(ndjsonDialect.framing);
    hub.subscribe(live, 'a').goLive(-1);
    hub.break(1);
    expect(live.resyncs).toEqual([]);
  });
});
