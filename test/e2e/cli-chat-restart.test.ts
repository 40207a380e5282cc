import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lastingPlace } from '../lasting-ports.ts';
import { ChatProcess } from './cli-chat-process.ts';
import { TcpClient } from './clients.ts';
import { type GatewayProcess, startGateway, temporaryDirectory, UNLIMITED } from './gateway-process.ts';

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let gateway: GatewayProcess;
let env: Readonly<Record<string, string>>;
const chats: ChatProcess[] = [];

beforeEach(async () => {
  directory = await temporaryDirectory();
  env = { ...UNLIMITED, ...(await lastingPlace()) };
  gateway = await startGateway(join(directory.path, 'data'), { env });
});

afterEach(async () => {
  for (const chat of chats.splice(0)) chat.kill();
  await gateway.stop('SIGKILL');
  await directory.remove();
});

function chat(...args: readonly string[]): ChatProcess {
  const opened = ChatProcess.piped(['--url', `ws://127.0.0.1:${gateway.ports.http}/ws`, '--room', 'r', ...args]);
  chats.push(opened);
  return opened;
}

/** Starts a gateway where the killed one was. */
async function startAgain(data = 'data'): Promise<void> {
  gateway = await startGateway(join(directory.path, data), { env });
}

/** Every text of the room, oldest first. */
async function history(): Promise<string[]> {
  const client = await TcpClient.open(gateway.ports.tcp);
  await client.connect('historian');
  const texts: string[] = [];
  let before: unknown;
  for (;;) {
    const page = await client.ok({ op: 'history', room: 'r', limit: 300, ...(before !== undefined && { before }) });
    const messages = page.messages as { epoch: string; offset: number; data: { text: string } }[];
    texts.unshift(...messages.map(({ data }) => data.text));
    const [first] = messages;
    if (!page.more || first === undefined) break;
    before = { epoch: first.epoch, offset: first.offset };
  }
  client.close();
  return texts;
}

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => String(from + i));

test('2,000 lines are published and read once each, in order, though the gateway is killed in their midst', async () => {
  const reader = chat();
  await reader.untilTold('# connected');
  reader.write('first\n');
  await reader.until('its own line', ({ lines }) => lines.length === 1);
  const publisher = chat('--once');
  publisher.write(`${numbers(0, 1_000).join('\n')}\n`);
  await reader.until('some of the lines', ({ lines }) => lines.length > 100);
  await gateway.stop('SIGKILL');
  expect(reader.lines.length).toBeLessThan(1_001);
  await publisher.untilTold('# connection lost');
  publisher.child.stdin.write(`${numbers(1_000, 2_000).join('\n')}\n`);
  await startAgain();
  expect(await publisher.end()).toBe(0);
  const expected = ['first', ...numbers(0, 2_000)];
  expect(await history()).toEqual(expected);
  await reader.until('all of the lines', ({ lines }) => lines.length >= expected.length);
  expect(reader.texts).toEqual(expected);
  expect(reader.stderr).toMatch(
    /^# connected as (\S+)\n# connection lost \(.*\); next try in \d+ s\n(# not connected .*\n)*# connected as \1\n# caught up\n$/,
  );
  reader.child.kill('SIGTERM');
  expect(await reader.exited()).toBe(0);
});

test('lines that nobody acknowledges end it in the time that it was given', async () => {
  const publisher = chat('--once', '--wait', '2');
  publisher.write('one\n');
  await publisher.until('its line to be in the log', async () => (await history()).length === 1);
  await gateway.stop('SIGKILL');
  publisher.write('two\nthree\n');
  expect(await publisher.exited()).toBe(3);
  expect(publisher.stderr).toMatch(/! not reached within 2 s \(.*\)\n! 2 lines not acknowledged\n$/);
});

test('a log that was lost is told as a gap, in words and in JSON', async () => {
  const [words, json] = [chat('--user', 'ann'), chat('--json')];
  for (const reader of [words, json]) await reader.untilTold('# connected');
  json.write('{"text":"old"}\n');
  await words.untilShown(/old/);
  await json.untilShown(/old/);
  await gateway.stop('SIGKILL');
  await startAgain('elsewhere');
  for (const reader of [words, json]) await reader.untilTold('# caught up');
  json.write('{"text":"new"}\n');
  await words.untilShown(/new/);
  await json.untilShown(/new/);
  expect(words.texts).toEqual(['old', 'new']);
  expect(words.stderr).toContain('# [r] messages may be missing here\n');
  const said = json.lines.map((line) => JSON.parse(line) as { data?: unknown; gap?: unknown; room: string });
  expect(said.map(({ data, gap }) => data ?? gap)).toEqual([
    { text: 'old' },
    { from: null, to: { epoch: expect.any(String), offset: expect.any(Number) } },
    { text: 'new' },
  ]);
  expect(said.map(({ room }) => room)).toEqual(['r', 'r', 'r']);
});
