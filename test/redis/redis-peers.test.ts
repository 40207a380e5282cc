import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Removal, Signal } from '../../src/fanout/peers.ts';
import { randomName } from '../../src/random-name.ts';
import { RedisLink } from '../../src/redis/redis-link.ts';
import { RedisPeers } from '../../src/redis/redis-peers.ts';
import { REDIS_DEFAULTS, type RedisSettings } from '../../src/redis/redis-settings.ts';
import { REDIS_URL } from '../services/test-services.ts';

const SILENT = { info() {}, warn() {}, error() {} };
const ANSWER_MS = 400;
const KICK: Removal = { op: 'kick', user: 'ann', room: 'tea' };

/** A replica that notes what it hears. */
interface Ear {
  readonly peers: RedisPeers;
  readonly link: RedisLink;
  readonly signals: Signal[];
  readonly removals: Removal[];
  /** Sessions that it says a removal has been of. */
  sessions: number;
}

describe.skipIf(REDIS_URL === undefined)('peers over Redis', () => {
  let prefix: string;
  let redis: Redis;
  let ears: Ear[];

  beforeEach(() => {
    prefix = `test-${randomName(6, 'hex')}`;
    redis = new Redis(REDIS_URL ?? '');
    ears = [];
  });

  afterEach(() => {
    redis.disconnect();
    for (const { peers, link } of ears) {
      peers.close();
      link.close();
    }
  });

  const key = (...parts: readonly string[]) => [`{${prefix}}`, ...parts].join(':');

  async function ear(settings: Partial<RedisSettings> = {}): Promise<Ear> {
    const node = `${prefix}-${ears.length}`;
    const link = new RedisLink({ ...REDIS_DEFAULTS, url: REDIS_URL ?? '', prefix, node, ...settings }, SILENT);
    await link.open();
    const peers = new RedisPeers(link, { answerMs: ANSWER_MS }, SILENT);
    const made: Ear = { peers, link, signals: [], removals: [], sessions: 0 };
    await peers.open({
      onSignal: (signal) => made.signals.push(signal),
      onRemoval(removal) {
        made.removals.push(removal);
        return made.sessions;
      },
    });
    // As its presence would.
    await redis.zadd(key('leases'), Date.now() + 60_000, node);
    ears.push(made);
    return made;
  }

  /** Ends the connection over which a replica hears. */
  async function deafen({ link }: Ear): Promise<void> {
    const clients = (await redis.call('CLIENT', 'LIST')) as string;
    const own = clients.split('\n').find((line) => line.includes(` name=tidegate-${link.settings.node}-subscriber `));
    const id = /^id=(\d+) /.exec(own ?? '')?.[1] ?? 'none';
    expect(await redis.call('CLIENT', 'KILL', 'ID', id)).toBe(1);
  }

  /** Resolves when what is of interest by now is heard. */
  async function settled(...of: readonly Ear[]): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    await Promise.all(of.map(({ link }) => link.heard()));
  }

  async function interested(room: string, ...those: readonly Ear[]): Promise<void> {
    for (const { peers } of those) peers.setInterest(room, true);
    await settled(...those);
  }

  test('say signals to those who are interested in the room, and do not hear their own', async () => {
    const [a, b, c] = [await ear(), await ear(), await ear()];
    await interested('tea', a, b);
    await interested('lobby', c);
    const signal = { room: 'tea', from: 'ann', data: '{"typing": true}' };
    a.peers.signal(signal);
    a.peers.signal({ ...signal, data: '2' });
    await vi.waitFor(() => expect(b.signals).toEqual([signal, { ...signal, data: '2' }]));
    await settled(a, b, c);
    expect([a.signals, c.signals]).toEqual([[], []]);
    expect([a.peers.figures().signals, b.peers.figures().signals]).toEqual([
      { sent: 2, shed: 0, heard: 0 },
      { sent: 0, shed: 0, heard: 2 },
    ]);
  });

  test('hear a room no more once its last member is gone', async () => {
    const [a, b] = [await ear(), await ear()];
    const before = b.link.figures().channels;
    await interested('tea', b);
    expect(b.peers.figures().rooms).toBe(1);
    b.peers.setInterest('tea', false);
    await settled(b);
    expect([b.peers.figures().rooms, b.link.figures().channels]).toEqual([0, before]);
    expect(await redis.pubsub('NUMSUB', key('s', 'tea'))).toEqual([key('s', 'tea'), 0]);
    a.peers.signal({ room: 'tea', from: 'ann', data: '1' });
    await settled(a, b);
    expect(b.signals).toEqual([]);
  });

  test('hear again what they have heard, once a lost connection is back', async () => {
    const [a, b] = [await ear(), await ear({ reconnectMsMax: 20 })];
    await interested('tea', b);
    await deafen(b);
    await vi.waitFor(() => {
      a.peers.signal({ room: 'tea', from: 'ann', data: '1' });
      expect(b.signals.length).toBeGreaterThan(0);
    });
  });

  test('pass over what is no signal of ours, and count it', async () => {
    const a = await ear();
    await interested('tea', a);
    const bad = ['', 'x', '{}', '{"v":1,"by":"0123456789abcdef","from":"ann","data":1}\n{"push":"message"}'];
    for (const text of bad) await redis.publish(key('s', 'tea'), text);
    for (const channel of [key('c'), ...(await channelsOf('c'))]) await redis.publish(channel, '{"v":2}');
    await redis.publish(key('s', 'tea'), '{"v":1,"by":"0123456789abcdef","from":"ann","data":1}');
    await vi.waitFor(() => expect(a.signals).toEqual([{ room: 'tea', from: 'ann', data: '1' }]));
    expect(a.peers.figures().unreadable).toBe(bad.length + 3);
    expect(a.removals).toEqual([]);
  });

  async function channelsOf(part: string): Promise<string[]> {
    return (await redis.pubsub('CHANNELS', `${key(part)}*`)) as string[];
  }

  test('say no more than Redis takes, and say so', async () => {
    const a = await ear({ inFlightMax: 3 });
    for (let n = 0; n < 5; n += 1) a.peers.signal({ room: 'tea', from: 'ann', data: String(n) });
    expect(a.peers.figures().signals).toEqual({ sent: 3, shed: 2, heard: 0 });
  });

  test('do a removal everywhere, and say how many sessions it was', async () => {
    const [a, b, c] = [await ear(), await ear(), await ear()];
    for (const [i, each] of [a, b, c].entries()) each.sessions = i + 1;
    expect(await a.peers.remove(KICK)).toEqual({ sessions: 5, partial: false });
    expect([a, b, c].map(({ removals }) => removals)).toEqual([[], [KICK], [KICK]]);
    const both = [
      b.peers.remove({ op: 'disconnect', user: 'bob', reason: 'kicked' }),
      c.peers.remove({ op: 'disconnect', user: 'cy', reason: 'drain', words: 'moved' }),
    ];
    expect(await Promise.all(both)).toEqual([
      { sessions: 4, partial: false },
      { sessions: 3, partial: false },
    ]);
    expect(a.removals.map(({ user }) => user).sort()).toEqual(['bob', 'cy']);
    expect([a, b, c].map(({ peers }) => peers.figures().removals.whole)).toEqual([1, 1, 1]);
  });

  test('tell that a replica has not heard, or not answered', async () => {
    const [a, b] = [await ear(), await ear()];
    b.sessions = 2;
    // One that has lost its connection for a moment: its lease goes on.
    await redis.zadd(key('leases'), Date.now() + 60_000, 'deaf');
    expect(await a.peers.remove(KICK)).toEqual({ sessions: 2, partial: true });
    await redis.zadd(key('leases'), Date.now() - 1, 'deaf');
    expect(await a.peers.remove(KICK)).toEqual({ sessions: 2, partial: false });
    // One that hears, and does nothing.
    const dumb = redis.duplicate();
    await dumb.subscribe(key('c'));
    expect(await a.peers.remove(KICK)).toEqual({ sessions: 2, partial: true });
    dumb.disconnect();
    expect(a.peers.figures().removals).toEqual({ whole: 1, partial: 2 });
  });

  test('tell that nobody could be asked where Redis is down, or this replica hears nothing', async () => {
    const a = await ear({ reconnectMsMax: 60_000 });
    await deafen(a);
    expect(await a.peers.remove(KICK)).toEqual({ sessions: 0, partial: true });
    a.link.close();
    await vi.waitFor(() => expect(a.link.isUp).toBe(false));
    expect(await a.peers.remove(KICK)).toEqual({ sessions: 0, partial: true });
    a.peers.signal({ room: 'tea', from: 'ann', data: '1' });
    expect(a.peers.figures().signals.shed).toBe(1);
  });

  test('wait for nobody once they are closed', async () => {
    const a = await ear();
    const before = a.link.figures().channels;
    const dumb = redis.duplicate();
    await dumb.subscribe(key('c'));
    const removing = a.peers.remove(KICK);
    a.peers.close();
    a.peers.close();
    expect(await removing).toMatchObject({ partial: true });
    expect(await a.peers.remove(KICK)).toEqual({ sessions: 0, partial: true });
    expect(a.link.figures().channels).toBe(before - 2);
    dumb.disconnect();
  });
});
