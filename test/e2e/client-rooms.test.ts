import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Message } from '../../src/client/client.ts';
import type { Position } from '../../src/protocol/position.ts';
import { UNLIMITED } from './gateway-process.ts';
import { scrape } from './metrics-page.ts';
import { dataOf, failure, heard, numbers, PATIENCE, publishAll, SdkStage } from './sdk-stage.ts';
import { testOfOneProcess } from './test-of-one-process.ts';

let stage: SdkStage;

beforeAll(async () => {
  stage = await SdkStage.open(UNLIMITED);
});

afterAll(() => stage?.close());

describe('a room', { timeout: 60_000 }, () => {
  test('hands on what is said in it, to everyone', async () => {
    const [ann, bob] = [await stage.connected({ user: stage.fresh('ann') }), await stage.connected()];
    const name = stage.fresh('room');
    const messages = [ann, bob].map((client) => heard(client.room(name), 'message'));
    await Promise.all([ann, bob].map((client) => client.room(name).join()));
    const publishing = ann.room(name).publish({ text: 'tea?', list: [1, null, 'ü'] });
    const published = await publishing;
    expect(published).toMatchObject({ room: name, mid: publishing.mid, duplicate: false });
    await expect.poll(() => messages.map(({ length }) => length), PATIENCE).toEqual([1, 1]);
    const { epoch, offset, mid } = published;
    const data = { text: 'tea?', list: [1, null, 'ü'] };
    const message = { room: name, epoch, offset, mid, data, from: ann.session?.user, ts: expect.any(Number) };
    expect(messages).toEqual([[message], [message]]);
    expect(bob.room(name).position).toEqual({ epoch, offset });
  });

  test('gives its last messages to who joins with history, as events', async () => {
    const writer = await stage.connected();
    const name = stage.fresh('room');
    await publishAll(writer.room(name), numbers(1, 10));
    const reader = await stage.connected();
    const room = reader.room(name);
    const [messages, states] = [heard(room, 'message'), heard(room, 'state')];
    await room.join({ history: 3 });
    expect(dataOf(messages)).toEqual([8, 9, 10]);
    expect(states).toEqual(['joining', 'live']);
    // Who is in the room already joins no further.
    await room.join({ history: 10 });
    expect(dataOf(messages)).toEqual([8, 9, 10]);
  });

  test('goes on where an earlier run of the program was, over many pages', async () => {
    const name = stage.fresh('room');
    const earlier = await stage.connected();
    const handled = heard(earlier.room(name), 'message');
    await earlier.room(name).join();
    await publishAll(earlier.room(name), numbers(1, 5));
    await expect.poll(() => handled.length, PATIENCE).toBe(5);
    const kept = JSON.stringify(earlier.room(name).position);
    await earlier.close();
    const writer = await stage.connected();
    await publishAll(writer.room(name), numbers(6, 1_000));
    const later = stage.client();
    const room = later.room(name);
    const [messages, gaps] = [heard(room, 'message'), heard(room, 'gap')];
    const joined = room.join({ since: JSON.parse(kept) as Position });
    await later.connect();
    await joined;
    expect(dataOf(messages)).toEqual(numbers(6, 1_000));
    expect(gaps).toEqual([]);
    // Nothing is to be caught up with that was not lost: a first session is online at once.
    expect(later.state.name).toBe('online');
  });

  test('tells of what cannot be had, once, and goes on behind it', async () => {
    const client = await stage.connected();
    const room = client.room(stage.fresh('room'));
    await publishAll(room, ['a', 'b']);
    const [messages, gaps] = [heard(room, 'message'), heard(room, 'gap')];
    // As if it were of a log that was lost.
    await room.join({ since: { epoch: 'another', offset: 7 } });
    expect(gaps).toEqual([{ from: null, to: { epoch: expect.any(String), offset: -1 } }]);
    expect(dataOf(messages)).toEqual(['a', 'b']);
  });

  test('has a history in both directions, joined or not', async () => {
    const client = await stage.connected();
    const room = client.room(stage.fresh('room'));
    await publishAll(room, numbers(1, 25));
    expect(room.state).toBe('idle');
    const newest = await room.history({ limit: 10 });
    expect([dataOf(newest.messages), newest.more]).toEqual([numbers(16, 25), true]);
    const place = ({ epoch, offset }: Message) => ({ epoch, offset });
    const backward = await room.history({ before: place(newest.messages[0] as Message), limit: 10 });
    expect([dataOf(backward.messages), backward.more]).toEqual([numbers(6, 15), true]);
    const first = await room.history({ before: place(backward.messages[0] as Message), limit: 10 });
    expect([dataOf(first.messages), first.more]).toEqual([numbers(1, 5), false]);
    const forward = await room.history({ after: place(first.messages[4] as Message), limit: 10 });
    expect([dataOf(forward.messages), forward.more]).toEqual([numbers(6, 15), true]);
    const last = await room.history({ after: forward.position, limit: 300 });
    expect([dataOf(last.messages), last.more, last.gap]).toEqual([numbers(16, 25), false, undefined]);
    expect(await failure(room.history({ limit: 301 }))).toMatchObject({ code: 'bad_request' });
  });

  test('is the same object by its name, and is listed while it is joined', async () => {
    const client = stage.client();
    const name = stage.fresh('room');
    const room = client.room(name);
    expect(client.room(name)).toBe(room);
    expect([...client.rooms.keys()]).toEqual([]);
    const joined = room.join();
    expect([...client.rooms.values()]).toEqual([room]);
    await client.connect();
    await joined;
    await room.leave();
    expect([...client.rooms.keys()]).toEqual([]);
  });

  test('that was left is silent, and can be joined again at once', async () => {
    const [client, writer] = [await stage.connected(), await stage.connected()];
    const room = client.room(stage.fresh('room'));
    const [messages, lefts] = [heard(room, 'message'), heard(room, 'left')];
    const iterating = (async () => {
      const read: unknown[] = [];
      for await (const { data } of room) read.push(data);
      return read;
    })();
    await room.join();
    await writer.room(room.name).publish('one');
    await expect.poll(() => dataOf(messages), PATIENCE).toEqual(['one']);
    await room.leave();
    expect([room.state, await iterating]).toEqual(['idle', ['one']]);
    await writer.room(room.name).publish('not heard');
    const joining = failure(room.join());
    await room.leave();
    expect(await joining).toMatchObject({ code: 'left' });
    await room.join();
    await writer.room(room.name).publish('two');
    await expect.poll(() => dataOf(messages), PATIENCE).toEqual(['one', 'two']);
    expect(lefts).toEqual([]);
  });

  test('is joined again in the turn in which it was left, from now on', async () => {
    const [client, writer] = [await stage.connected(), await stage.connected()];
    const room = client.room(stage.fresh('room'));
    const messages = heard(room, 'message');
    await room.join();
    await writer.room(room.name).publish('one');
    await expect.poll(() => dataOf(messages), PATIENCE).toEqual(['one']);
    for (let i = 0; i < 10; i += 1) {
      const left = room.leave();
      await Promise.all([left, room.join()]);
      await writer.room(room.name).publish(i);
      await expect.poll(() => messages.length, PATIENCE).toBe(i + 2);
    }
    expect(dataOf(messages)).toEqual(['one', ...numbers(0, 9)]);
    expect(client.rooms.get(room.name)).toBe(room);
  });

  test('needs no join to be published to, as that of another user', async () => {
    const [ann, bob] = [stage.fresh('ann'), stage.fresh('bob')];
    const [from, to] = [await stage.connected({ user: ann }), await stage.connected({ user: bob })];
    const own = to.room(`@user/${bob}`);
    const messages = heard(own, 'message');
    await own.join();
    await from.room(`@user/${bob}`).publish('psst');
    await expect.poll(() => messages, PATIENCE).toMatchObject([{ from: ann, data: 'psst' }]);
    expect(await failure(from.room(`@user/${bob}`).join())).toMatchObject({ code: 'forbidden' });
    expect(await failure(from.room(`@user/${bob}`).history({ limit: 1 }))).toMatchObject({ code: 'forbidden' });
  });

  testOfOneProcess('passes signals on to who is there, and to nobody else', async () => {
    const [ann, bob] = [stage.fresh('ann'), stage.fresh('bob')];
    const clients = [await stage.connected({ user: ann }), await stage.connected({ user: bob })] as const;
    const name = stage.fresh('room');
    const signals = clients.map((client) => heard(client.room(name), 'signal'));
    await Promise.all(clients.map((client) => client.room(name).join()));
    await clients[0].room(name).signal({ typing: true });
    const signal = { from: ann, data: { typing: true } };
    await expect.poll(() => signals, PATIENCE).toEqual([[signal], [signal]]);
    const [idle, offline] = [await stage.connected(), stage.client()];
    expect(await failure(idle.room(name).signal(1))).toMatchObject({ code: 'not_joined' });
    expect(await failure(clients[0].room(name).signal('x'.repeat(1_100)))).toMatchObject({ code: 'bad_request' });
    expect(await failure(offline.room(name).signal(1))).toMatchObject({ code: 'offline', wasSent: false });
    expect((await clients[1].room(name).history({ limit: 10 })).messages).toEqual([]);
  });

  test('from which somebody is taken out ends for them, and lets them in again', async () => {
    const user = stage.fresh('ann');
    const client = await stage.connected({ user });
    const room = client.room(stage.fresh('room'));
    const [messages, lefts] = [heard(room, 'message'), heard(room, 'left')];
    await room.join();
    await room.publish('one');
    const reading = room[Symbol.asyncIterator]();
    await stage.api.post(`/api/v1/rooms/${room.name}/kick`, { user });
    await expect.poll(() => lefts, PATIENCE).toEqual([{ code: 'kicked', message: expect.any(String) }]);
    expect(await failure(reading.next())).toMatchObject({ code: 'left' });
    expect([room.state, [...client.rooms], client.state.name]).toEqual(['idle', [], 'online']);
    await room.join();
    await client.room(room.name).publish('two');
    await expect.poll(() => dataOf(messages), PATIENCE).toEqual(['one', 'two']);
  });
});

describe('for await', { timeout: 60_000 }, () => {
  test('gives what an event gives, in order, until the loop is left', async () => {
    const client = await stage.connected();
    const room = client.room(stage.fresh('room'));
    const messages = heard(room, 'message');
    const read: unknown[] = [];
    const reading = (async () => {
      for await (const { data } of room) {
        read.push(data);
        if (data === 500) return;
      }
    })();
    await room.join();
    await publishAll(room, numbers(1, 600));
    await reading;
    expect(read).toEqual(numbers(1, 500));
    await expect.poll(() => dataOf(messages), PATIENCE).toEqual(numbers(1, 600));
  });

  test('that is slow is waited for while the room catches up', async () => {
    const writer = await stage.connected();
    const name = stage.fresh('room');
    await publishAll(writer.room(name), numbers(1, 2_500));
    const { position } = await writer.room(name).history({ limit: 1 });
    const client = await stage.connected({ iteratorMessagesMax: 1_000 });
    const room = client.room(name);
    const events = heard(room, 'message');
    const reader = room[Symbol.asyncIterator]();
    const joined = room.join({ since: { ...position, offset: -1 } });
    // As far as it may run ahead of who reads nothing.
    await expect.poll(() => events.length, PATIENCE).toBeGreaterThan(500);
    await client.ping();
    await client.ping();
    expect(events.length).toBeLessThanOrEqual(1_000);
    const read: unknown[] = [];
    for (let i = 0; i < 2_500; i += 1) read.push((await reader.next()).value?.data);
    expect(read).toEqual(numbers(1, 2_500));
    await joined;
    await writer.room(name).publish('live');
    expect((await reader.next()).value).toMatchObject({ data: 'live' });
  });

  test('that falls behind what is said ends behind what it had, and the rest is in the history', async () => {
    const [client, writer] = [await stage.connected({ iteratorMessagesMax: 1_000 }), await stage.connected()];
    const room = client.room(stage.fresh('room'));
    const messages = heard(room, 'message');
    await room.join();
    const reader = room[Symbol.asyncIterator]();
    await publishAll(writer.room(room.name), numbers(1, 1_050));
    await expect.poll(() => messages.length, PATIENCE).toBe(1_050);
    const read: Message[] = [];
    const error = await failure(
      (async () => {
        for await (const message of { [Symbol.asyncIterator]: () => reader }) read.push(message);
      })(),
    );
    expect(error).toMatchObject({ code: 'overflow' });
    expect(dataOf(read)).toEqual(numbers(1, 1_000));
    const { epoch, offset } = read.at(-1) as Message;
    const rest = await room.history({ after: { epoch, offset }, limit: 300 });
    expect(dataOf(rest.messages)).toEqual(numbers(1_001, 1_050));
    // The room itself has lost nothing.
    expect([room.state, dataOf(messages)]).toEqual(['live', numbers(1, 1_050)]);
  });
});

describe('what is refused', { timeout: 60_000 }, () => {
  test('fails with its code, and the session goes on', async () => {
    const client = await stage.connected();
    const session = client.session?.session;
    const forbidden = client.room('@secret');
    const lefts = heard(forbidden, 'left');
    expect(await failure(forbidden.join())).toMatchObject({ code: 'forbidden', wasSent: true });
    expect([forbidden.state, lefts]).toEqual(['idle', [{ code: 'forbidden', message: expect.any(String) }]]);
    expect(await failure(forbidden.publish(1))).toMatchObject({ code: 'forbidden' });
    expect(await failure(client.room('no spaces').join())).toMatchObject({ code: 'bad_request' });
    expect(await failure(client.room('no spaces').publish(1))).toMatchObject({ code: 'bad_request' });
    expect(await failure(client.presence('no spaces'))).toMatchObject({ code: 'bad_request' });
    expect(await failure(client.watch(['no spaces']))).toMatchObject({ code: 'bad_request' });
    expect(await failure(client.status('away', 'x'.repeat(141)))).toMatchObject({ code: 'bad_request' });
    const room = client.room(stage.fresh('room'));
    expect(await failure(room.publish('x'.repeat(16_383)))).toMatchObject({ code: 'bad_request', wasSent: false });
    expect(await failure(room.publish('ü'.repeat(8_192)))).toMatchObject({ code: 'bad_request', wasSent: false });
    expect(await failure(room.publish(undefined))).toMatchObject({ code: 'bad_request', wasSent: false });
    const { mid } = await room.publish('x'.repeat(16_382));
    expect(await room.publish('x'.repeat(16_382), mid)).toMatchObject({ mid, duplicate: true });
    expect(await failure(room.publish('other data', mid))).toMatchObject({ code: 'mid_conflict' });
    expect([client.session?.session, client.state.name]).toEqual([session, 'online']);
    expect([...client.rooms]).toEqual([]);
  });

  testOfOneProcess('for a cap fails with limit_exceeded', async () => {
    const own = await SdkStage.forTest({ TIDEGATE_ROOM_MEMBERS_MAX: '1' });
    const [first, second] = [await own.connected(), await own.connected()];
    await first.room('small').join();
    expect(await failure(second.room('small').join())).toMatchObject({ code: 'limit_exceeded' });
    await first.room('small').leave();
    await second.room('small').join();
  });

  test('for a rate is sent again until it passes, in order', async () => {
    const own = await SdkStage.forTest({ TIDEGATE_LIMIT_PUBLISHES: '100:10' });
    const client = await own.connected();
    const messages = heard(client.room('r'), 'message');
    await client.room('r').join();
    await publishAll(client.room('r'), numbers(1, 60));
    await expect.poll(() => dataOf(messages), PATIENCE).toEqual(numbers(1, 60));
  });

  test('for want of room in the log is sent again, and nobody overtakes it', async () => {
    const own = await SdkStage.forTest({ ...UNLIMITED, TIDEGATE_APPEND_QUEUE_RECORDS_MAX: '16' });
    const writers = [await own.connected(), await own.connected(), await own.connected()];
    const reader = await own.connected();
    const messages = heard(reader.room('r'), 'message');
    await reader.room('r').join();
    // So long that they do not come in one piece.
    const texts = numbers(1, 60).map((number) => `${number} ${'x'.repeat(4_000)}`);
    await Promise.all(writers.map((writer) => publishAll(writer.room('r'), texts)));
    await expect.poll(() => messages.length, PATIENCE).toBe(180);
    for (const { session } of writers) {
      const own = messages.filter(({ from }) => from === session?.user);
      expect(dataOf(own).map((text) => Number.parseInt(text as string, 10))).toEqual(numbers(1, 60));
    }
    expect((await scrape(own.stage.gateway)).value('errors_total', { code: 'overloaded' })).toBeGreaterThan(0);
  });
});
