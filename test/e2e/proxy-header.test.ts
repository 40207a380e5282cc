import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { makeAuthority, makeCertificate } from '../certificates.ts';
import { addressesOf, binaryHeader, lineHeader } from '../proxy-headers.ts';
import { TcpClient } from './clients.ts';
import { temporaryDirectory } from './gateway-process.ts';
import { growth, type MetricsReading, scrape } from './metrics-page.ts';
import { Stage } from './stage.ts';

/** A proxy's address and that of somebody who is none; clients of tests connect from either. */
const PROXY = '127.0.0.2';
const OTHER = '127.0.0.3';
/** With one session an address, who gets one tells which address counts. */
const ENV = {
  TIDEGATE_TRUSTED_PROXIES: PROXY,
  TIDEGATE_SESSIONS_PER_ADDRESS: '1',
  TIDEGATE_GREETING_MS: '100',
  TIDEGATE_CONNECT_TIMEOUT_MS: '1000',
};
const REQUIRED = { ...ENV, TIDEGATE_PROXY_PROTOCOL: 'required' };
/** What a person is told who begins with what is no command. */
const NO_COMMAND = '! not_joined';
const LOCAL = binaryHeader({ command: 0, protocol: 0 });

const binaryOf = (clientHex: string) =>
  binaryHeader({ protocol: clientHex.length === 8 ? 0x11 : 0x21, body: addressesOf(clientHex) });

let stage: Stage;
let before: MetricsReading;
const clients: TcpClient[] = [];

async function start(env: Readonly<Record<string, string>>): Promise<void> {
  stage = await Stage.open(env);
  before = await scrape(stage.gateway);
}

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

async function open(header: string | Buffer = '', peer = PROXY): Promise<TcpClient> {
  const client = await TcpClient.open(stage.gateway.ports.tcp, '127.0.0.1', peer);
  clients.push(client);
  if (header.length > 0) client.sendRaw(header);
  return client;
}

/** Connects and stays. @returns whether it was let in */
async function isLetIn(client: TcpClient): Promise<boolean> {
  client.send({ op: 'connect', id: 1, user: `user-${clients.length}` });
  const said = await client.until('a word', () => client.heard.find(({ id, push }) => id === 1 || push !== undefined));
  if (said.ok !== undefined) return true;
  expect(await client.disconnected()).toMatchObject({ reason: 'connection_limit' });
  return false;
}

async function untilRefused(refusals: Readonly<Record<string, number>>): Promise<void> {
  const refused = async () => growth(before, await scrape(stage.gateway), 'connections_refused_total');
  await expect.poll(refused).toEqual(refusals);
}

/** Connections, and of these those that have not said `connect`. */
async function counts(): Promise<number[]> {
  const reading = await scrape(stage.gateway);
  return [reading.value('connections'), reading.value('handshakes')];
}

async function untilNobodyIsThere(): Promise<void> {
  await expect.poll(counts).toEqual([0, 0]);
}

/** Resolves when the gateway has closed, and not said a word. */
async function untilClosedUnheard(client: TcpClient): Promise<void> {
  await client.untilClosed();
  expect([...client.heard, ...client.words]).toEqual([]);
}

describe.each([
  ['optional', ENV],
  ['required', REQUIRED],
])('where a PROXY header is %s', (_name, env) => {
  beforeAll(() => start(env));
  beforeEach(async () => {
    await untilNobodyIsThere();
    before = await scrape(stage.gateway);
  });
  afterAll(() => stage.close());

  test('the client is whom it names, by version 1 and 2', async () => {
    expect(await isLetIn(await open(lineHeader('192.0.2.1')))).toBe(true);
    expect(await isLetIn(await open(binaryOf('c0000201')))).toBe(false);
    expect(await isLetIn(await open(binaryOf('c0000202')))).toBe(true);
    expect(await isLetIn(await open(lineHeader('2001:db8::1')))).toBe(true);
    expect(await isLetIn(await open(binaryOf('20010db8000000000000000000000002')))).toBe(false);
    expect(await isLetIn(await open(binaryOf('20010db8000000010000000000000001')))).toBe(true);
    // As a proxy that listens on both families at once may say it.
    expect(await isLetIn(await open(binaryOf('00000000000000000000ffffc0000202')))).toBe(false);
    // Whose place is free again when it has gone.
    clients[0]?.close();
    await expect.poll(async () => isLetIn(await open(binaryOf('c0000201')))).toBe(true);
  });

  test('LOCAL and UNKNOWN are the proxy itself', async () => {
    expect(await isLetIn(await open(LOCAL))).toBe(true);
    expect(await isLetIn(await open('PROXY UNKNOWN\r\n'))).toBe(false);
  });

  test('it may come in pieces, together with what follows, and be followed by silence', async () => {
    const pieces = await open();
    pieces.socket.setNoDelay(true);
    for (const byte of binaryOf('c0000201')) {
      pieces.sendRaw(Buffer.from([byte]));
      await delay(1);
    }
    expect(await isLetIn(pieces)).toBe(true);
    const whole = await open(
      `${lineHeader('192.0.2.2')}{"op":"connect","id":1,"user":"whole"}\n{"op":"ping","id":2}\n`,
    );
    await whole.until('both replies', () => whole.heard.filter(({ ok }) => ok !== undefined).length === 2);
    const person = await open(lineHeader('192.0.2.3'));
    await person.until('the greeting', () => person.words[0]);
    person.sendRaw('ann\n');
    await person.until('more words', () => person.words.length > 2);
    expect(person.words.filter((line) => line === person.words[0])).toHaveLength(1);
  });

  test('of anybody else it is no header', async () => {
    const stranger = await open(lineHeader('192.0.2.1'), OTHER);
    expect(await stranger.until('a word', () => stranger.words[0])).toContain(NO_COMMAND);
    const another = await open('', OTHER);
    await another.until('the greeting', () => another.words[0]);
    await untilRefused({});
  });

  test('a malformed one, one cut short and one that does not end close the connection, and are counted', async () => {
    for (const header of [
      'PROXY TCP4 192.0.2.1 192.0.2.9 1 65536\r\n',
      `PROXY ${'x'.repeat(200)}`,
      binaryHeader({ version: 1 }),
      binaryHeader({ body: addressesOf('c0000201', Buffer.alloc(5_000)) }),
    ]) {
      await untilClosedUnheard(await open(header));
    }
    const cut = await open(binaryOf('c0000201').subarray(0, 20));
    cut.socket.end();
    await untilClosedUnheard(cut);
    await untilRefused({ bad_proxy_header: 5 });
    // However it goes on: the time is for all of it.
    const slow = await open('PROXY ');
    const trickle = setInterval(() => slow.sendRaw('U'), 50);
    const end = await slow.disconnected().finally(() => clearInterval(trickle));
    expect(end).toMatchObject({ reason: 'connect_timeout' });
    await untilRefused({ bad_proxy_header: 5, connect_timeout: 1 });
    await untilNobodyIsThere();
  });

  if (env === ENV) {
    test('who sends none is the proxy itself, and a person is greeted', async () => {
      expect(await isLetIn(await open())).toBe(true);
      expect(await isLetIn(await open())).toBe(false);
      const late = await open();
      await late.until('the greeting', () => late.words[0]);
      late.sendRaw(lineHeader('192.0.2.1'));
      // Silent for long enough to be greeted, if it had not been.
      await delay(300);
      expect(await isLetIn(late)).toBe(true);
      expect(late.words.filter((line) => line === late.words[0])).toHaveLength(1);
      const person = await open();
      await person.until('the greeting', () => person.words[0]);
      person.sendRaw('\r\n');
      person.sendRaw('PROX\r\n');
      await person.until('more words', () => person.words.length > 2);
    });
  } else {
    test('who sends none is closed at once, and who only looks has done nothing wrong', async () => {
      await untilClosedUnheard(await open('{"op":"connect","id":1,"user":"ann"}\n'));
      await untilRefused({ bad_proxy_header: 1 });
      const looking = await open();
      looking.socket.end();
      await untilClosedUnheard(looking);
      (await open()).socket.resetAndDestroy();
      await untilNobodyIsThere();
      await untilRefused({ bad_proxy_header: 1 });
      // Nobody is greeted before it is known who it is.
      const silent = await open();
      expect(await silent.disconnected()).toMatchObject({ reason: 'connect_timeout' });
      expect(silent.words).toEqual([]);
      await untilRefused({ bad_proxy_header: 1, connect_timeout: 1 });
      // Others are not asked for it.
      expect(await isLetIn(await open('', OTHER))).toBe(true);
    });
  }
});

test('who owes a PROXY header is counted and bounded, and gone without a trace at any time', async () => {
  await start({ ...REQUIRED, TIDEGATE_CONNECT_TIMEOUT_MS: '60000', TIDEGATE_HANDSHAKES_MAX: '3' });
  try {
    const owing = [await open(), await open('PROX'), await open(binaryOf('c0000201').subarray(0, 13))];
    await expect.poll(counts).toEqual([3, 3]);
    expect(await (await open()).disconnected()).toMatchObject({ reason: 'overloaded' });
    owing[0]?.socket.destroy();
    owing[1]?.socket.resetAndDestroy();
    owing[2]?.socket.destroy();
    await untilNobodyIsThere();
    const late = await open('PRO');
    const others = [await open('PRO'), await open('PRO')];
    await expect.poll(counts).toEqual([3, 3]);
    late.sendRaw(`${lineHeader('192.0.2.1').slice(3)}{"op":"connect","id":1,"user":"late"}\n`);
    await late.until('the reply', () => late.heard.find(({ ok }) => ok !== undefined));
    expect(await counts()).toEqual([3, 2]);
    // An end in good order waits for nobody of them.
    expect(await stage.gateway.stop()).toBe(0);
    for (const client of [late, ...others]) expect(await client.disconnected()).toMatchObject({ reason: 'drain' });
  } finally {
    await stage.close();
  }
});

test('where no PROXY header is looked for it is what it would be of anybody', async () => {
  await start({ ...ENV, TIDEGATE_PROXY_PROTOCOL: 'off' });
  try {
    const client = await open(lineHeader('192.0.2.1'));
    expect(await client.until('a word', () => client.words[0])).toContain(NO_COMMAND);
    expect(await isLetIn(await open())).toBe(true);
    expect(await isLetIn(await open())).toBe(false);
  } finally {
    await stage.close();
  }
});

describe('with TLS', () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;

  async function startTls(env: Readonly<Record<string, string>>): Promise<void> {
    directory = await temporaryDirectory();
    await makeAuthority(directory.path, 'ca');
    await makeCertificate(directory.path, 'ca', 'server');
    const file = (ending: string) => join(directory.path, `server.${ending}`);
    await start({ ...env, TIDEGATE_TLS_CERT: file('pem'), TIDEGATE_TLS_KEY: file('key') });
  }

  afterEach(async () => {
    await stage.close();
    await directory.remove();
  });

  /** Sends the header, and then takes the connection over into TLS. */
  async function openTls(header: string | Buffer, peer = PROXY): Promise<TcpClient> {
    const { socket } = await open(header, peer);
    socket.removeAllListeners('data');
    const client = await TcpClient.openTls({ socket, rejectUnauthorized: false });
    clients.push(client);
    return client;
  }

  test('the header comes before the handshake, whole, together with it or in pieces', async () => {
    await startTls(REQUIRED);
    expect(await isLetIn(await openTls(lineHeader('192.0.2.1')))).toBe(true);
    expect(await isLetIn(await openTls(binaryOf('c0000201')))).toBe(false);
    expect(await isLetIn(await openTls(binaryOf('c0000202')))).toBe(true);
    expect(await isLetIn(await openTls('', OTHER))).toBe(true);
    const { socket } = await open(binaryOf('c0000203').subarray(0, 7));
    await delay(20);
    socket.cork();
    socket.write(binaryOf('c0000203').subarray(7));
    socket.removeAllListeners('data');
    const opening = TcpClient.openTls({ socket, rejectUnauthorized: false });
    await delay(20);
    socket.uncork();
    const pieces = await opening;
    clients.push(pieces);
    expect(await isLetIn(pieces)).toBe(true);
    await pieces.ok({ op: 'join', room: 'r' });
    await pieces.ok({ op: 'publish', room: 'r', mid: 'm', data: 'x'.repeat(10_000) });
    await pieces.until('the message', () => pieces.messages('r')[0]);
    for (const client of clients.splice(0)) client.close();
    await untilNobodyIsThere();
  });

  test('who owes it is ended without a word, as is who sends none or a malformed one', async () => {
    await startTls(REQUIRED);
    await expect(openTls('')).rejects.toThrow();
    await expect(openTls('PROXY TCP5 \r\n')).rejects.toThrow();
    await untilRefused({ bad_proxy_header: 2 });
    await untilClosedUnheard(await open());
    await untilRefused({ bad_proxy_header: 2, connect_timeout: 1 });
    await untilNobodyIsThere();
    const [owing, begun] = [await open(), await open('PROXY')];
    await expect.poll(async () => (await scrape(stage.gateway)).value('handshakes')).toBe(2);
    expect(await stage.gateway.stop()).toBe(0);
    for (const client of [owing, begun]) await untilClosedUnheard(client);
  });

  test('where it is optional it may be left out', async () => {
    await startTls(ENV);
    expect(await isLetIn(await openTls(''))).toBe(true);
    expect(await isLetIn(await openTls(''))).toBe(false);
    expect(await isLetIn(await openTls(lineHeader('192.0.2.1')))).toBe(true);
  });
});
