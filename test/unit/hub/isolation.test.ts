import fc from 'fast-check';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { HubSettings } from '../../../src/fanout/hub.ts';
import { NoPeers } from '../../../src/fanout/no-peers.ts';
import { Gateway } from '../../../src/gateway/gateway.ts';
import { TimerWheel } from '../../../src/limits/timer-wheel.ts';
import { MemoryPresence } from '../../../src/presence/memory-presence-store.ts';
import { ndjsonDialect, websocketDialect } from '../../../src/protocol/json-dialect.ts';
import { TextDialect } from '../../../src/protocol/text-dialect.ts';
import { SETTINGS } from '../gateway/gateway-settings.ts';
import { PlayedLog } from './played-log.ts';
import { StrictClient } from './strict-client.ts';

const ROOMS = ['a', 'b', 'c'];
/** Of publications, so that frames have headers of two lengths, and batches are copied or not. */
const DATA_BYTES = [1, 70, 400, 5_000];
const OUTBOX_BYTES_MAX = 15_000;

/** A node and its clients, played step by step. */
class Play {
  readonly log = new PlayedLog();
  readonly clients: StrictClient[] = [];
  readonly gateway: Gateway;
  readonly #wheel = new TimerWheel();
  #published = 0;

  constructor(hub: HubSettings) {
    const presence = new MemoryPresence({ leaseMs: 10_000, graceMs: 0, lastSeenMax: 10 });
    const settings = { ...SETTINGS, hub, outboxBytesMax: OUTBOX_BYTES_MAX };
    const ports = { log: this.log, presence: presence.replica(), isPresenceShared: false, peers: new NoPeers() };
    this.gateway = new Gateway(ports, this.#wheel, settings, pino({ level: 'silent' }));
  }

  open(kind: number): void {
    const dialect = [ndjsonDialect, websocketDialect, new TextDialect()][kind % 3] ?? ndjsonDialect;
    const client = new StrictClient(dialect, this.log);
    client.transport.attach(this.gateway.openSession(client.transport, dialect, true));
    client.connect(`u${this.clients.length}`);
    this.clients.push(client);
  }

  publish(client: StrictClient, room: string, bytes: number): void {
    this.#published += 1;
    client.publish(room, JSON.stringify([this.#published, 'x'.repeat(bytes)]));
  }

  /** Everything is taken, committed and answered. */
  async rest(): Promise<void> {
    for (let isBusy = true; isBusy; ) {
      await endOfTick();
      for (const { transport } of this.clients) transport.socket.allow(Number.POSITIVE_INFINITY);
      const asked = this.clients.filter((client) => client.goOn()).length;
      isBusy = this.log.commit(1_000) + this.log.answerReads() + asked > 0;
    }
  }

  async close(): Promise<void> {
    for (const { transport } of this.clients) transport.vanish();
    await this.gateway.drain(0);
    this.#wheel.close();
  }
}

type Step = (play: Play) => void | Promise<void>;

const room = fc.constantFrom(...ROOMS);

function ofClient<T>(value: fc.Arbitrary<T>, act: (play: Play, client: StrictClient, value: T) => void) {
  return fc.tuple(fc.nat(), value).map(([n, drawn]): Step => {
    return (play) => {
      const client = play.clients[n % play.clients.length];
      if (client !== undefined) act(play, client, drawn);
    };
  });
}

const how = fc.oneof(
  fc.constant(null),
  fc.record({ since: fc.nat(30) }),
  fc.record({ history: fc.integer({ min: 1, max: 5 }) }),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: ofClient(fc.tuple(room, fc.constantFrom(...DATA_BYTES)), (play, client, [of, bytes]) =>
      play.publish(client, of, bytes),
    ),
  },
  {
    weight: 6,
    arbitrary: fc.integer({ min: 1, max: 6 }).map(
      (n): Step =>
        (play) =>
          void play.log.commit(n),
    ),
  },
  { weight: 4, arbitrary: fc.constant<Step>((play) => void play.log.answerReads()) },
  { weight: 6, arbitrary: ofClient(fc.tuple(room, how), (_play, client, [of, from]) => client.join(of, from)) },
  { weight: 2, arbitrary: ofClient(room, (_play, client, of) => client.leave(of)) },
  { weight: 3, arbitrary: ofClient(fc.constant(null), (_play, client) => void client.goOn()) },
  {
    weight: 1,
    arbitrary: fc.nat(2).map(
      (kind): Step =>
        (play) =>
          play.open(kind),
    ),
  },
  {
    weight: 2,
    arbitrary: ofClient(fc.nat(300), (_play, { transport }, bytes) => {
      transport.socket.allowance = bytes;
    }),
  },
  { weight: 3, arbitrary: ofClient(fc.nat(3_000), (_play, { transport }, bytes) => transport.socket.allow(bytes)) },
  { weight: 2, arbitrary: fc.constant<Step>((play) => play.gateway.hub.flush()) },
  { weight: 6, arbitrary: fc.constant<Step>(() => endOfTurn()) },
);

function endOfTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** As long as the longest tick, and what comes after it. */
async function endOfTick(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 2));
  for (let i = 0; i < 3; i += 1) await endOfTurn();
}

describe('a session', () => {
  it('gets not a byte of another room, and of its own everything, once and in order, or it ends', async () => {
    const seen = { heard: 0, slow: 0 };
    const settings = fc.record({
      tickMaxMs: fc.constantFrom(0, 1),
      tickBytesMax: fc.constantFrom(1, 500, 8_000),
      // The newest publication has always room.
      recentBytesMax: fc.constantFrom(6_000, 20_000),
    });
    const steps = fc.array(step, { minLength: 40, maxLength: 150, size: 'max' });
    await fc.assert(
      fc.asyncProperty(settings, steps, async (hub, acts) => {
        const play = new Play(hub);
        await play.gateway.open();
        for (let kind = 0; kind < 6; kind += 1) play.open(kind);
        for (const act of acts) await act(play);
        await play.rest();
        for (const client of play.clients) {
          if (client.transport.isClosed) {
            expect(client.ended).toContain('slow_consumer');
            seen.slow += 1;
          } else {
            expect(client.missing()).toEqual([]);
          }
          seen.heard += client.heard;
        }
        await play.close();
      }),
      { numRuns: 150 },
    );
    // The plays were worth watching.
    expect(seen.heard).toBeGreaterThan(1_000);
    expect(seen.slow).toBeGreaterThan(5);
  }, 60_000);
});
