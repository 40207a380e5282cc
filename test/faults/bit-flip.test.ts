import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openEmbeddedLog } from '../../src/fanout/embedded-log.ts';
import { EMBEDDED_LOG_DEFAULTS } from '../../src/fanout/embedded-settings.ts';
import { partitionOf } from '../../src/fanout/partition.ts';
import { type Client, type Message, TcpClient, WsClient } from '../e2e/clients.ts';
import { type GatewayProcess, startGateway, temporaryDirectory, UNLIMITED } from '../e2e/gateway-process.ts';

const ROOM = 'lobby';
const PARTITION = partitionOf(ROOM, EMBEDDED_LOG_DEFAULTS.partitions);
const HOUR_MS = 3_600_000;
const SILENT = { info() {}, warn() {}, error() {} };

/** A log of `old-0` and so on, out of the dedupe window's reach, and `new-0` to `new-4`. */
async function makeLog(directory: string, old = 10): Promise<void> {
  let now = Date.now() - HOUR_MS;
  const log = await openEmbeddedLog({ ...EMBEDDED_LOG_DEFAULTS, directory, now: () => now }, SILENT);
  const append = (mid: string) => log.append({ room: ROOM, from: 'ann', mid, data: `"the words of ${mid}"` });
  for (let i = 0; i < old; i++) await append(`old-${i}`);
  now += HOUR_MS;
  for (let i = 0; i < 5; i++) await append(`new-${i}`);
  await log.close();
}

/** Changes one bit of the data of a record in a log that nobody has open. */
async function flipBit(directory: string, mid: string): Promise<void> {
  const file = join(directory, 'log.sqlite');
  const bytes = await readFile(file);
  const at = bytes.indexOf(`the words of ${mid}"`);
  expect(at).toBeGreaterThan(0);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 0x01, at);
  await writeFile(file, bytes);
}

const transports = {
  tcp: ({ ports }: GatewayProcess) => TcpClient.open(ports.tcp),
  websocket: ({ ports }: GatewayProcess) => WsClient.open(ports.http),
} as const;

test.each(Object.keys(transports) as (keyof typeof transports)[])(
  'a record damaged on the disk is never delivered: its readers over %s are told of a gap',
  async (transport) => {
    const directory = await temporaryDirectory();
    onTestFinished(() => directory.remove());
    await makeLog(directory.path);
    await flipBit(directory.path, 'old-3');
    const gateway = await startGateway(directory.path, { env: UNLIMITED });
    onTestFinished(async () => void (await gateway.stop('SIGKILL')));
    const client: Client = await transports[transport](gateway);
    await client.connect('bob');
    const { epoch } = (await client.ok({ op: 'join', room: ROOM })).position as { epoch: string };
    await client.ok({ op: 'leave', room: ROOM });

    // From a position far behind it, as after a long absence.
    const messages: Message[] = [];
    const gaps: unknown[] = [];
    let page = await client.ok({ op: 'join', room: ROOM, since: { epoch, offset: -1 } });
    for (;;) {
      messages.push(...(page.messages as Message[]));
      if (page.gap !== undefined) gaps.push(page.gap);
      if (!page.more) break;
      page = await client.ok({ op: 'history', room: ROOM, after: page.position, limit: 300 });
    }
    const all = Array.from({ length: 15 }, (_, i) => (i < 10 ? `old-${i}` : `new-${i - 10}`));
    expect(messages.map(({ mid }) => mid)).toEqual(all.filter((mid) => mid !== 'old-3'));
    expect(messages.map(({ offset }) => offset)).toEqual([0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
    expect(gaps).toEqual([{ from: { epoch, offset: 2 }, to: { epoch, offset: 3 } }]);

    // From a position right before it.
    await client.ok({ op: 'leave', room: ROOM });
    const resumed = await client.ok({ op: 'join', room: ROOM, since: { epoch, offset: 2 } });
    expect(resumed).toMatchObject({ recovered: false, gap: gaps[0], more: false });
    expect((resumed.messages as Message[])[0]).toMatchObject({ mid: 'old-4', offset: 4 });
    // Behind all that the room is live.
    await client.ok({ op: 'publish', room: ROOM, mid: 'fresh', data: 1 });
    await client.push('the new message', ({ mid }) => mid === 'fresh');
    client.close();

    const words = `the record at partition ${PARTITION}, offset 3 is damaged`;
    expect(gateway.logs.filter(({ msg }) => String(msg).startsWith(words))).toHaveLength(1);
  },
);

test('the start is refused in words where a damaged record could be delivered twice', async () => {
  const directory = await temporaryDirectory();
  onTestFinished(() => directory.remove());
  const gateway = await startGateway(directory.path, { env: UNLIMITED });
  onTestFinished(async () => void (await gateway.stop('SIGKILL')));
  const client = await TcpClient.open(gateway.ports.tcp);
  await client.connect('ann');
  for (const mid of ['m0', 'm1', 'm2']) {
    await client.ok({ op: 'publish', room: ROOM, mid, data: `the words of ${mid}` });
  }
  expect(await gateway.stop()).toBe(0);
  await flipBit(directory.path, 'm1');

  const refusal = `tidegate: .*log.sqlite is damaged: the record at partition ${PARTITION}, offset 1 is damaged`;
  await expect(startGateway(directory.path, { env: UNLIMITED })).rejects.toThrow(new RegExp(refusal));
});

test('a bit flipped in the write-ahead log hides nothing: the start is refused, naming where the log must go on', async () => {
  const directory = await temporaryDirectory();
  onTestFinished(() => directory.remove());
  const gateway = await startGateway(directory.path, { env: UNLIMITED });
  const client = await TcpClient.open(gateway.ports.tcp);
  await client.connect('ann');
  for (let i = 0; i < 20; i++) {
    await client.ok({ op: 'publish', room: ROOM, mid: `m${i}`, data: `the words of ${i}` });
  }
  await gateway.stop('SIGKILL');

  const file = join(directory.path, 'log.sqlite-wal');
  const bytes = await readFile(file);
  const at = bytes.indexOf('"the words of 10"');
  expect(at).toBeGreaterThan(0);
  bytes.writeUInt8(bytes.readUInt8(at + 3) ^ 0x01, at + 3);
  await writeFile(file, bytes);
  await expect(startGateway(directory.path, { env: UNLIMITED })).rejects.toThrow(
    new RegExp(`damaged: partition ${PARTITION} ends at offset 9, but offset 19 was written`),
  );
});

test('a bit flipped in the index of rooms hides nothing: the start is refused', async () => {
  const directory = await temporaryDirectory();
  onTestFinished(() => directory.remove());
  await makeLog(directory.path, 150);
  const file = join(directory.path, 'log.sqlite');
  const { DatabaseSync } = await import('node:sqlite');
  const database = new DatabaseSync(file, { readOnly: true });
  const { postings } = database.prepare('SELECT postings FROM room_index').get() as { postings: Uint8Array };
  database.close();
  const bytes = await readFile(file);
  const at = bytes.indexOf(postings);
  expect(at).toBeGreaterThan(0);
  for (const place of [0, 4, 12, 20, 30, 80]) {
    const flipped = Buffer.from(bytes);
    flipped.writeUInt8(flipped.readUInt8(at + place) ^ 0x01, at + place);
    await writeFile(file, flipped);
    await expect(startGateway(directory.path, { env: UNLIMITED })).rejects.toThrow(
      /log\.sqlite is damaged: .*index of rooms/,
    );
  }
});
