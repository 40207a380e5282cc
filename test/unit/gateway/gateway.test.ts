import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openEmbeddedLog } from '../../../src/fanout/embedded-log.ts';
import { EMBEDDED_LOG_DEFAULTS } from '../../../src/fanout/embedded-settings.ts';
import { NoPeers } from '../../../src/fanout/no-peers.ts';
import type { RoomLog } from '../../../src/fanout/room-log.ts';
import { Gateway } from '../../../src/gateway/gateway.ts';
import { removeFromRoom } from '../../../src/gateway/handlers/rooms.ts';
import { TimerWheel } from '../../../src/limits/timer-wheel.ts';
import { MemoryPresence } from '../../../src/presence/memory-presence-store.ts';
import { BOUNDS } from '../../../src/protocol/bounds.ts';
import { ndjsonDialect } from '../../../src/protocol/json-dialect.ts';
import { FakeTransport, type Said } from './fake-transport.ts';
import { SETTINGS } from './gateway-settings.ts';

let directory: string;
let log: RoomLog;
let gateway: Gateway;
let wheel: TimerWheel;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'tidegate-gateway-'));
  const logger = pino({ level: 'silent' });
  log = await openEmbeddedLog({ ...EMBEDDED_LOG_DEFAULTS, directory, partitions: 1, onFailure: () => {} }, logger);
  const presence = new MemoryPresence({ leaseMs: 10_000, graceMs: 0, lastSeenMax: 10 });
  wheel = new TimerWheel();
  const ports = { log, presence: presence.replica(), isPresenceShared: false, peers: new NoPeers() };
  gateway = new Gateway(ports, wheel, SETTINGS, logger);
  await gateway.open();
});

afterEach(async () => {
  await gateway.drain(1_000);
  wheel.close();
  await log.close();
  rmSync(directory, { recursive: true });
});

async function connect(user: string): Promise<FakeTransport> {
  const transport = new FakeTransport();
  transport.attach(gateway.openSession(transport, ndjsonDialect, true));
  transport.send({ op: 'connect', id: 0, user, device: 'd' });
  await replied(transport, 0);
  return transport;
}

async function replied(transport: FakeTransport, id: number): Promise<Said> {
  for (const deadline = performance.now() + 5_000; performance.now() < deadline; ) {
    const found = transport.said.find((said) => said.id === id);
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`no reply to ${id} in ${JSON.stringify(transport.said)}`);
}

const publish = (id: number, room: string) => ({ op: 'publish', id, room, mid: `m${id}`, data: id });

describe('a join that was held while much waited to be sent', () => {
  it('misses nothing behind its position, also where it goes on within a tick', async () => {
    const slow = await connect('ann');
    slow.send({ op: 'join', id: 1, room: 'busy' });
    await replied(slow, 1);
    slow.bufferedBytes = BOUNDS.repliesBytesMax + 1;
    slow.send({ op: 'join', id: 2, room: 'quiet' });
    // The kernel takes some of it, and it is not told until it has all.
    slow.bufferedBytes = 1;

    const speaker = await connect('bob');
    speaker.send(publish(1, 'other'), publish(2, 'quiet'), publish(3, 'busy'), publish(4, 'quiet'));
    const { ok } = (await replied(slow, 2)) as unknown as { ok: { position: { offset: number } } };
    await replied(speaker, 4);
    speaker.send(publish(5, 'quiet'));
    await replied(speaker, 5);

    const published = [2, 4, 5].map((id) => speaker.said.find((said) => said.id === id)?.ok as { offset: number });
    const due = published.map(({ offset }) => offset).filter((offset) => offset > ok.position.offset);
    const heard = slow.said.filter(({ push, room }) => push === 'message' && room === 'quiet');
    expect(heard.map(({ offset }) => offset)).toEqual(due);
  });
});

describe('who is taken out of a room while catching up in it', () => {
  it('hears no more of it, also when a page is being read at that moment', async () => {
    const [away, speaker] = [await connect('ann'), await connect('bob')];
    // Keeps the room in the hub.
    speaker.send({ op: 'join', id: 1, room: 'r' });
    await replied(speaker, 1);
    const count = BOUNDS.historyMax + 5;
    for (let id = 2; id < 2 + count; id += 1) speaker.send(publish(id, 'r'));
    await replied(speaker, 1 + count);
    away.send({ op: 'join', id: 1, room: 'r', since: { epoch: log.epoch, offset: -1 } });
    const { ok } = (await replied(away, 1)) as unknown as { ok: { more: boolean; position: object } };
    expect(ok.more).toBe(true);

    away.send({ op: 'history', id: 2, room: 'r', after: ok.position, limit: 300 });
    const [session] = gateway.sessions.ofUser('ann');
    if (session === undefined) throw new Error('ann is not connected');
    expect(removeFromRoom(session, 'r', 'kicked', gateway.rooms)).toBe(true);
    await replied(away, 2);
    expect(gateway.hub.subscriptionCount('r')).toBe(1);

    speaker.send(publish(1_000, 'r'));
    await replied(speaker, 1_000);
    away.send({ op: 'ping', id: 3 });
    await replied(away, 3);
    expect(away.said.map(({ push }) => push).filter((push) => push !== undefined)).toEqual(['left']);
  });
});
