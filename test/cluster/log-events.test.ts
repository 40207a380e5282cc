import { appendFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readGatewayLine, readHaproxyLine, readKafkaLine, readRedisLine } from '../../cluster/log-events.ts';
import { LogFollower } from '../../cluster/log-follower.ts';

const GATEWAY = { time: 1_795_785_552_009, pid: 1, node: 'gateway-1' };

function gatewayLine(said: object): string {
  return JSON.stringify({ level: 30, ...GATEWAY, ...said });
}

test('lines of a gateway become words, and what is no JSON is shown harmlessly', () => {
  expect(readGatewayLine(gatewayLine({ http: 8081, tcp: 7001, why: 'the disk is full', msg: 'ready' }))).toEqual({
    ...{ atMs: GATEWAY.time, level: 'info', kind: 'ready' },
    text: 'ready  http=8081  tcp=7001  why="the disk is full"',
  });
  const fatal = { level: 60, err: { type: 'Error', message: 'no more', stack: 'x' }, msg: 'cannot go on' };
  expect(readGatewayLine(gatewayLine(fatal))).toMatchObject({ level: 'fatal', text: 'cannot go on  err="no more"' });
  expect(readGatewayLine('Error: \u001b[2Jgone')).toMatchObject({ level: 'error', text: 'Error: \ufffd[2Jgone' });
  expect(readGatewayLine('')).toBeNull();
});

test('HAProxy tells once of each replica that goes and comes', () => {
  const out =
    'Server http/gateway-1 is DOWN, reason: Layer7 wrong status, code: 503, info: "Service Unavailable", check duration: 1ms.';
  const words = 'gateway-1 is out: it is led no new clients (Layer7 wrong status 503)';
  expect(readHaproxyLine(out)).toMatchObject({ level: 'warn', text: words });
  const up = 'Server http/gateway-2 is UP, reason: Layer7 check passed, code: 200, check duration: 12ms.';
  expect(readHaproxyLine(up)).toMatchObject({ level: 'info', text: 'gateway-2 is up: it is led clients' });
  expect(readHaproxyLine(`[WARNING]  (6438) : ${up}`)).toBeNull();
  expect(readHaproxyLine('Server tcp/gateway-2 is UP via http/gateway-2. 3 active')).toBeNull();
  expect(readHaproxyLine('backend http has no server available!')).toMatchObject({ level: 'warn' });
});

test('Redis and Kafka are heard when they warn', () => {
  const redis = (mark: string) => `12:M 27 Nov 2026 13:00:00.000 ${mark} Can't save in background: fork`;
  expect(readRedisLine(redis('#'))).toMatchObject({ level: 'warn', text: "Can't save in background: fork" });
  expect(readRedisLine(redis('*'))).toBeNull();
  const kafka = (level: string) =>
    `84234 [fetcher-0-3] ${level} org.apache.kafka.clients.NetworkClient - Node 3 is away`;
  expect(readKafkaLine(kafka('WARN'))).toMatchObject({ level: 'warn', text: 'NetworkClient: Node 3 is away' });
  expect(readKafkaLine(kafka('ERROR'))).toMatchObject({ level: 'error' });
  expect(readKafkaLine(kafka('INFO'))).toBeNull();
  expect(readKafkaLine('\tat org.apache.kafka.Thing.do(Thing.java:1)')).toBeNull();
  expect(readKafkaLine(kafka('WARN').replace('away', 'x'.repeat(1_000)))?.text.length).toBeLessThan(200);
});

test('events of several files are told in the order of their times, and those that are alike as one', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tidegate-follower-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const told: string[] = [];
  const follower = new LogFollower(({ source, event, alike }) => told.push(`${source} ${event.text} ${alike}`));
  const [one, two] = [join(directory, 'one.log'), join(directory, 'two.log')];
  appendFileSync(one, `${gatewayLine({ msg: 'of an earlier time' })}\n`);
  follower.follow('one', one, readGatewayLine);
  follower.follow('two', two, readGatewayLine);
  const line = (afterMs: number, msg: string, more: object = {}) =>
    `${gatewayLine({ ...more, time: GATEWAY.time + afterMs, msg })}\n`;
  appendFileSync(one, line(2, 'second') + line(3, 'alike', { partition: 1 }) + line(4, 'alike', { partition: 2 }));
  appendFileSync(two, line(1, 'first'));
  const late = Buffer.from(line(5, 'späť'));
  // In the middle of a character.
  const middle = late.indexOf(0xc3) + 1;
  appendFileSync(two, late.subarray(0, middle));
  follower.tell();
  expect(told).toEqual(['two first 0', 'one second 0', 'one alike  partition=1 1']);
  appendFileSync(two, late.subarray(middle));
  follower.close();
  expect(told.slice(3)).toEqual(['two späť 0']);
});
