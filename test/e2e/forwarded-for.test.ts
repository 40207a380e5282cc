import { afterEach, describe, expect, test } from 'vitest';
import { lineHeader } from '../proxy-headers.ts';
import { type Client, TcpClient, WsClient } from './clients.ts';
import { ENGINE } from './gateway-process.ts';
import { Stage } from './stage.ts';

/** A proxy's address and that of somebody who is none; clients of tests connect from either. */
const PROXY = '127.0.0.2';
const OTHER = '127.0.0.3';
/** With one session an address, who gets one tells which address counts. */
const ONE_EACH = { TIDEGATE_SESSIONS_PER_ADDRESS: '1', TIDEGATE_TRUSTED_PROXIES: `${PROXY},10.0.0.0/8` };

let stage: Stage;
const clients: Client[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await stage.close();
});

/** Connects, with these lines of X-Forwarded-For, and stays. @returns whether it was let in */
async function isLetIn(forwardedFor: string | string[], peer = PROXY, more: object = {}): Promise<boolean> {
  // Node writes a list as so many lines, of which the types of the library don't know.
  const headers = { ...more, 'X-Forwarded-For': forwardedFor as string };
  const client = await WsClient.open(stage.gateway.ports.http, { localAddress: peer, headers });
  clients.push(client);
  client.send({ op: 'connect', id: 1, user: `user-${clients.length}` });
  const said = await client.until('a word', () => client.heard.find(({ id, push }) => id === 1 || push !== undefined));
  if (said.ok !== undefined) return true;
  // Of connections that are to say `connect` an address has one more than of sessions.
  expect(await client.disconnected()).toMatchObject({ reason: 'connection_limit' });
  return false;
}

describe('X-Forwarded-For', () => {
  test('of a trusted proxy says whose a session is', async () => {
    stage = await Stage.open(ONE_EACH);
    expect(await isLetIn('192.0.2.1')).toBe(true);
    expect(await isLetIn('192.0.2.1')).toBe(false);
    expect(await isLetIn('192.0.2.2')).toBe(true);
    expect(await isLetIn('192.0.2.2, 10.0.0.1')).toBe(false);
    // Of IPv6 a /64 is one address.
    expect(await isLetIn('2001:db8:1:2::1')).toBe(true);
    expect(await isLetIn('2001:db8:1:2::2')).toBe(false);
    expect(await isLetIn('2001:db8:1:3::1')).toBe(true);
    // What is no address leaves the proxy's own.
    expect(await isLetIn('192.0.2.3, unknown')).toBe(true);
    expect(await isLetIn('[2001:db8:9::1]:4711')).toBe(false);
    clients[0]?.close();
    await expect.poll(() => isLetIn('192.0.2.1')).toBe(true);
  });

  test('in several lines is one, in their order: what a client says itself counts for nothing', async () => {
    stage = await Stage.open(ONE_EACH);
    expect(await isLetIn(['192.0.2.7', '192.0.2.1'])).toBe(true);
    expect(await isLetIn(['192.0.2.8', '192.0.2.1'])).toBe(false);
    expect(await isLetIn(['192.0.2.9', 'unknown', '192.0.2.1, 10.0.0.1', '10.0.0.2'])).toBe(false);
    expect(await isLetIn('192.0.2.7')).toBe(true);
  });

  test('of anybody else is ignored', async () => {
    stage = await Stage.open(ONE_EACH);
    expect(await isLetIn('192.0.2.1', OTHER)).toBe(true);
    expect(await isLetIn('192.0.2.2', OTHER)).toBe(false);
    expect(await isLetIn('192.0.2.1')).toBe(true);
  });

  test('is ignored where nobody is trusted', async () => {
    stage = await Stage.open({ TIDEGATE_SESSIONS_PER_ADDRESS: '1' });
    expect(await isLetIn('192.0.2.1')).toBe(true);
    expect(await isLetIn('192.0.2.2')).toBe(false);
  });

  test('counts behind however many lines a client sends', async () => {
    stage = await Stage.open(ONE_EACH);
    const lines = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`x${i}`, '']));
    expect(await isLetIn('192.0.2.1', PROXY, lines(80))).toBe(true);
    expect(await isLetIn('192.0.2.1', PROXY, lines(80))).toBe(false);
    // More are refused by the one library; the other one has them all.
    const many = isLetIn('192.0.2.1', PROXY, lines(1_200));
    if (ENGINE === 'uws') await expect(many).rejects.toThrow();
    else expect(await many).toBe(false);
  });

  test('and the PROXY header of the TCP port count as one', async () => {
    stage = await Stage.open(ONE_EACH);
    expect(await isLetIn('192.0.2.1')).toBe(true);
    const client = await TcpClient.open(stage.gateway.ports.tcp, '127.0.0.1', PROXY);
    clients.push(client);
    client.sendRaw(lineHeader('192.0.2.1'));
    expect(await client.errorCode({ op: 'connect', user: 'ann' })).toBe('limit_exceeded');
  });

  test('comes from who is trusted by the IPv4 address that a socket for both families shows mapped', async () => {
    stage = await Stage.open({ ...ONE_EACH, TIDEGATE_HOST: '::ffff:127.0.0.1', TIDEGATE_PUBLIC_ANONYMOUS: 'true' });
    expect(await isLetIn('192.0.2.1')).toBe(true);
    expect(await isLetIn('192.0.2.1')).toBe(false);
    expect(await isLetIn('::ffff:192.0.2.2')).toBe(true);
    expect(await isLetIn('192.0.2.3', OTHER)).toBe(true);
    expect(await isLetIn('192.0.2.4', '127.0.0.4')).toBe(true);
    expect(await isLetIn('192.0.2.5', OTHER)).toBe(false);
  });
});
