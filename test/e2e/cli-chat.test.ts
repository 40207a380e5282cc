import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ChatProcess } from './cli-chat-process.ts';
import { TcpClient } from './clients.ts';
import { type GatewayProcess, runTidegate, startGateway, temporaryDirectory, UNLIMITED } from './gateway-process.ts';
import { untilTold } from './stage.ts';

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let gateway: GatewayProcess;
const gateways: GatewayProcess[] = [];
const chats: ChatProcess[] = [];
const clients: TcpClient[] = [];

beforeAll(async () => {
  directory = await temporaryDirectory();
  gateway = await startGateway(join(directory.path, 'data'), { env: UNLIMITED });
});

afterEach(async () => {
  for (const chat of chats.splice(0)) chat.kill();
  for (const client of clients.splice(0)) client.close();
  for (const other of gateways.splice(0)) await other.stop('SIGKILL');
});

afterAll(async () => {
  await gateway.stop('SIGKILL');
  await directory.remove();
});

function chat(args: readonly string[], env: Readonly<Record<string, string>> = {}, at = gateway): ChatProcess {
  const opened = ChatProcess.piped(['--url', `http://127.0.0.1:${at.ports.http}`, ...args], env);
  chats.push(opened);
  return opened;
}

/** A chat that reads a room, and does already. */
async function reader(room: string, ...more: readonly string[]): Promise<ChatProcess> {
  const opened = chat(['--room', room, ...more]);
  // Its own line is the first that it shows.
  const first = more.includes('--json') ? '"first"' : 'first';
  opened.write(`${first}\n`);
  await opened.until('its own line', ({ lines }) => lines.length === 1);
  return opened;
}

async function other(name: string, env: Readonly<Record<string, string>>): Promise<GatewayProcess> {
  const started = await startGateway(join(directory.path, name), { env });
  gateways.push(started);
  return started;
}

async function connected(user: string, at = gateway): Promise<TcpClient> {
  const client = await TcpClient.open(at.ports.tcp);
  clients.push(client);
  await client.connect(user);
  return client;
}

/** What stands in a room, oldest first. */
async function said(room: string): Promise<{ readonly from: string; readonly data: unknown }[]> {
  const client = await connected('historian');
  const { messages } = await client.ok({ op: 'history', room, limit: 300 });
  return messages as { from: string; data: unknown }[];
}

const texts = (...lines: readonly string[]) => lines.map((text) => ({ text }));

describe('the exit code of a pipe', () => {
  test('0: all lines are acknowledged, in their order, and of a guest where nobody is named', async () => {
    const lines = Array.from({ length: 250 }, (_, i) => `line ${i}`);
    const publisher = chat(['--room', 'once', '--once']);
    expect(await publisher.end(`${lines.join('\n')}\n\n   \nlast`)).toBe(0);
    expect(publisher.output).toBe('');
    expect(publisher.stderr).toMatch(/^# connected as guest-[0-9a-f]+\n$/);
    const messages = await said('once');
    expect(messages.map(({ data }) => data)).toEqual(texts(...lines, 'last'));
    expect(new Set(messages.map(({ from }) => from)).size).toBe(1);
    expect(publisher.stderr).toContain(messages[0]?.from);
  });

  test('0: no input is nothing to publish', async () => {
    expect(await chat(['--room', 'nothing', '--once']).end()).toBe(0);
    expect(await said('nothing')).toEqual([]);
  });

  test('0: also where nobody reads what it tells', async () => {
    const publisher = chat(['--room', 'told', '--once']);
    publisher.child.stderr.destroy();
    expect(await publisher.end('one\n')).toBe(0);
    expect((await said('told')).map(({ data }) => data)).toEqual(texts('one'));
  });

  test('1: a line that cannot be published, behind which nothing is', async () => {
    const publisher = chat(['--room', 'long', '--once', '--user', 'ann']);
    expect(await publisher.end(`one\n\n${'x'.repeat(16_384)}\nfour\n`)).toBe(1);
    expect(publisher.stderr).toBe('# connected as ann\n! bad_request: longer than 16384 bytes: line 3\n');
    expect((await said('long')).map(({ data }) => data)).toEqual(texts('one'));
    const notJson = chat(['--room', 'json', '--once', '--json']);
    expect(await notJson.end('1\nhello\n2\n')).toBe(1);
    expect(notJson.stderr).toMatch(/^! bad_request: .*"hello" is not valid JSON: line 2$/m);
    expect((await said('json')).map(({ data }) => data)).toEqual([1]);
  });

  test('1: the gateway refuses a line, and the first one is named', async () => {
    const strict = await other('strict', { TIDEGATE_ANONYMOUS_PUBLISH: 'tea', TIDEGATE_ANONYMOUS_JOIN: 'tea' });
    const publisher = chat(['--room', 'secret', '--once'], {}, strict);
    expect(await publisher.end('one\ntwo\n')).toBe(1);
    expect(publisher.stderr).toMatch(/^! forbidden: .*: line 1: "one"$/m);
    expect(publisher.stderr).not.toContain('two');
    const following = chat(['--room', 'tea', '--room', 'secret'], {}, strict);
    expect(await following.exited()).toBe(1);
    expect(following.stderr).toMatch(/^! forbidden: /m);
    expect(await chat(['--room', 'tea', '--once'], {}, strict).end('one\n')).toBe(0);
  });

  test('2: a command line that cannot be understood', async () => {
    for (const args of [[], ['--room', 'a b'], ['--dance'], ['--room', 'r', '--url', 'nowhere']]) {
      const result = await runTidegate(['chat', ...args]);
      expect(result).toMatchObject({ code: 2, stdout: '' });
      expect(result.stderr).toMatch(/^tidegate chat: .*; tidegate chat --help says what there is\n$/);
    }
  });

  test('3: nobody there', async () => {
    const gone = await other('gone', {});
    await gone.stop('SIGKILL');
    const publisher = chat(['--room', 'r', '--once', '--wait', '1'], {}, gone);
    expect(await publisher.end('one\n')).toBe(3);
    expect(publisher.stderr).toMatch(/! not reached within 1 s/);
  });

  test('3: no valid token; 0 with one, from the environment', async () => {
    const env = { TIDEGATE_AUTH: 'jwt', TIDEGATE_JWT_SECRET: 'a secret of at least 32 bytes, for a test' };
    const guarded = await other('guarded', env);
    const { stdout } = await runTidegate(['token', '--user', 'ann'], env);
    const refused = chat(['--room', 'r', '--once', '--token', 'none'], {}, guarded);
    expect(await refused.end('one\n')).toBe(3);
    expect(refused.stderr).toBe('! disconnected: the token was refused (3500 invalid_token)\n');
    const admitted = chat(['--room', 'r', '--once'], { CHAT_TOKEN: stdout.trim() }, guarded);
    expect(await admitted.end('one\n')).toBe(0);
    expect(admitted.stderr).toBe('# connected as ann\n');
  });

  test('3: another one takes the place', async () => {
    const args = ['--room', 'r', '--user', 'ann', '--device', 'laptop'];
    const first = chat(args);
    await first.untilTold('# connected as ann');
    const second = chat(args);
    expect(await first.exited()).toBe(3);
    expect(first.stderr).toContain('! disconnected: the same user and device connected again (3504 replaced)');
    second.child.kill('SIGTERM');
    expect(await second.exited()).toBe(0);
  });
});

describe('a reader', () => {
  test('shows what is said, of its own lines too, and goes on behind the end of its input', async () => {
    const ann = await reader('read', '--user', 'ann');
    ann.child.stdin.end('mine\n');
    await ann.untilShown('[read] ann: mine');
    const bob = await connected('bob');
    await bob.ok({ op: 'publish', room: 'read', mid: 'm1', data: { text: 'yours' } });
    await bob.ok({ op: 'publish', room: 'read', mid: 'm2', data: [1, { a: null }] });
    await ann.untilShown('[read] bob: [1,{"a":null}]');
    expect(ann.lines).toEqual([
      '[read] ann: first',
      '[read] ann: mine',
      '[read] bob: yours',
      '[read] bob: [1,{"a":null}]',
    ]);
    expect(ann.stderr).toBe('# connected as ann\n');
  });

  test('begins with what was said before, if asked to', async () => {
    await chat(['--room', 'history', '--once', '--user', 'ann']).end('1\n2\n3\n');
    const late = chat(['--room', 'history', '--history', '2']);
    await late.untilShown('[history] ann: 3');
    expect(late.lines).toEqual(['[history] ann: 2', '[history] ann: 3']);
  });

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    test(`leaves with a goodbye on ${signal}`, async () => {
      const room = `goodbye-${signal}`;
      const bob = await connected('bob');
      await bob.ok({ op: 'join', room, presence: 'full' });
      const ann = await reader(room, '--user', 'ann');
      await untilTold(bob, room, 'joined', 'ann');
      ann.child.kill(signal);
      expect(await ann.exited()).toBe(0);
      // Without a goodbye it would be there for its grace, which is longer than what is waited for here.
      await untilTold(bob, room, 'left', 'ann');
    });
  }

  test('that is interrupted before it has published everything says so', async () => {
    const publisher = chat(['--room', 'interrupted', '--once']);
    publisher.write('one\n');
    await publisher.untilTold('# connected');
    publisher.child.kill('SIGINT');
    expect(await publisher.exited()).toBe(1);
    expect(publisher.stderr).toContain('! interrupted before the end of the input');
  });

  test('ends quietly when nobody reads its output any more', async () => {
    const ann = await reader('broken', '--user', 'ann');
    ann.child.stdout.destroy();
    const bob = await connected('bob');
    // The first one may still find the pipe open.
    for (let n = 0; ann.child.exitCode === null; n += 1) {
      await bob.ok({ op: 'publish', room: 'broken', mid: `m${n}`, data: { text: 'anybody?' } });
    }
    expect(await ann.exited()).toBe(0);
    expect(ann.stderr).toBe('# connected as ann\n');
  });

  test('that takes its time gets everything, once and in order, and is not remembered for meanwhile', async () => {
    const ann = await reader('slow', '--user', 'ann');
    ann.child.stdout.pause();
    const bob = await connected('bob');
    const filler = 'x'.repeat(16_000);
    const published = Array.from({ length: 500 }, (_, i) =>
      bob.ok({ op: 'publish', room: 'slow', mid: `m${i}`, data: { text: `${i} ${filler}` } }),
    );
    await Promise.all(published);
    await ann.untilTold('# waiting for the reader of the output');
    ann.child.stdout.resume();
    await ann.until('the last one', ({ lines }) => lines.length > 500);
    expect(ann.texts.map((text) => text.split(' ')[0])).toEqual([
      'first',
      ...Array.from({ length: 500 }, (_, i) => `${i}`),
    ]);
  });

  test('gets what was said before the end, however late it reads', async () => {
    const me = ['--user', 'ann', '--device', 'laptop'];
    const ann = await reader('late', ...me);
    ann.child.stdout.pause();
    const bob = await connected('bob');
    for (let n = 0; n < 60; n += 1) {
      await bob.ok({ op: 'publish', room: 'late', mid: `m${n}`, data: { text: `${n} ${'x'.repeat(16_000)}` } });
    }
    await reader('late', ...me);
    await ann.untilTold('! disconnected');
    ann.child.stdout.resume();
    expect(await ann.exited()).toBe(3);
    expect(ann.texts.map((text) => text.split(' ')[0])).toEqual([
      'first',
      ...Array.from({ length: 60 }, (_, n) => `${n}`),
    ]);
  });

  test('cannot be driven by what others write', async () => {
    const [words, json] = [await reader('evil', '--user', 'ann'), await reader('evil', '--json')];
    const bob = await connected('bob');
    const evil = '\u001b[2J\u009b2Ja\rb\nc\u202ed\u2066e\u2028f\u0007g\u0000';
    const data = { text: evil };
    await bob.ok({ op: 'publish', room: 'evil', mid: 'evil', data });
    await bob.ok({ op: 'publish', room: 'evil', mid: 'last', data: { text: 'last' } });
    const line = await words.untilShown(/^\[evil\] bob: \ufffd/);
    expect(line).toBe('[evil] bob: \ufffd[2J\ufffd2Ja\ufffdb\ufffdc\ufffdd\ufffde\ufffdf\ufffdg\ufffd');
    await json.until('the last one', ({ lines }) => lines.some((each) => each.includes('"last"')));
    expect(json.output).not.toMatch(/[^\P{Cc}\n]|[\u2028\u202e\u2066]/u);
    expect(json.lines.map((each) => JSON.parse(each)).filter(({ mid }) => mid === 'evil')).toEqual([
      expect.objectContaining({ push: 'message', room: 'evil', from: 'bob', mid: 'evil', data }),
    ]);
  });

  test('gets JSON as it was pushed, and publishes it as it is', async () => {
    const bob = await connected('bob');
    await bob.ok({ op: 'join', room: 'values' });
    let raw = '';
    bob.socket.on('data', (chunk: Buffer) => {
      raw += chunk.toString();
    });
    const ann = await reader('values', '--json', '--user', 'ann');
    ann.write('{"n":12345678901234567890,"f":1.0}\n');
    await bob.until('the value', () => raw.includes('"f":'));
    expect(raw).toContain('"data":{"n":12345678901234567890,"f":1.0}');
    await ann.until('its own value', ({ lines }) => lines.length === 2);
    const [first = ''] = ann.lines;
    expect(JSON.parse(first)).toEqual(bob.messages('values')[0]);
  });
});

test('people in a pipe and with netcat talk with each other', async () => {
  const ann = await reader('mixed', '--user', 'ann');
  const bob = await TcpClient.open(gateway.ports.tcp);
  clients.push(bob);
  bob.sendRaw('/connect bob\n/join mixed\nhello ann\n');
  await ann.untilShown('[mixed] bob: hello ann');
  ann.write('hello bob\n');
  await bob.until('the answer', () => bob.words.includes('[mixed] ann: hello bob'));
});

test('TLS with a certificate authority of its own', async () => {
  const [cert, key] = [join(directory.path, 'tls.pem'), join(directory.path, 'tls.key')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'];
  const openssl = spawn('openssl', ['req', '-x509', ...kind, ...subject, '-out', cert, '-keyout', key]);
  expect(await once(openssl, 'close')).toEqual([0, null]);
  const secure = await other('secure', { TIDEGATE_TLS_CERT: cert, TIDEGATE_TLS_KEY: key });
  const args = ['--url', `https://localhost:${secure.ports.http}`, '--room', 'r', '--once', '--wait', '2'];
  const trusting = ChatProcess.piped(args, { NODE_EXTRA_CA_CERTS: cert });
  chats.push(trusting);
  expect(await trusting.end('one\n')).toBe(0);
  const doubting = ChatProcess.piped(args);
  chats.push(doubting);
  expect(await doubting.end('one\n')).toBe(3);
});

test('the help is there, and says what settings have no say in it', async () => {
  expect((await runTidegate(['--help'])).stdout).toContain('tidegate chat');
  const help = await runTidegate(['chat', '--help'], { TIDEGATE_UNKNOWN: 'x' });
  expect(help).toMatchObject({ code: 0, stderr: '' });
  expect(help.stdout).toContain('--once');
  expect(await chat(['--room', 'settings', '--once'], { TIDEGATE_UNKNOWN: 'x' }).end('one\n')).toBe(0);
});
