import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TIMES } from '../../loadtest/scenarios/presence-times.ts';
import { type GatewayProcess, startGateway, temporaryDirectory, UNLIMITED } from '../e2e/gateway-process.ts';
import { KAFKA_BROKERS, REDIS_URL } from '../services/test-services.ts';
import { ForgetfulProxy, type Tamper } from './forgetful-proxy.ts';
import { LoadProcess } from './load-process.ts';

/** Each is several processes, and several of them run at once. */
const TEST_MS_MAX = 90_000;

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let gateway: GatewayProcess;
let url: string;
let internal: string;

beforeAll(async () => {
  directory = await temporaryDirectory();
  gateway = await startGateway(directory.path, { env: { ...UNLIMITED, ...TIMES } });
  url = `ws://127.0.0.1:${gateway.ports.http}/ws`;
  internal = `http://127.0.0.1:${gateway.ports.internal}`;
});

afterAll(async () => {
  await gateway.stop();
  await directory.remove();
});

function load(args: readonly string[], env: Readonly<Record<string, string>> = {}): LoadProcess {
  return new LoadProcess(directory.path, args, env);
}

/** How a scenario is run, how much it checks, and what it measures at least. */
type Run = readonly [name: string, args: readonly string[], checks: number, latencies: readonly string[]];

/** These know nothing of one another, and wait most of their time. */
const BESIDE_ONE_ANOTHER: readonly Run[] = [
  ['fanout', ['--sessions', '20', '--rate', '50'], 1, ['deliver', 'acknowledge']],
  ['rooms', ['--sessions', '16', '--processes', '2', '--rate', '50', '--transport', 'tcp'], 1, ['deliver']],
  ['idle', ['--sessions', '20'], 2, ['deliver']],
  ['churn', ['--sessions', '20', '--life', '1', '--processes', '2'], 4, ['connect', 'deliver', 'goodbye seen']],
  ['ghosts', ['--sessions', '20'], 5, ['connect', 'vanished seen']],
];

/** These take all that there is. */
const ALONE: readonly Run[] = [
  ['slow-readers', ['--sessions', '10', '--window', '160'], 3, ['deliver']],
  ['http', ['--sessions', '4', '--seconds', '2'], 7, ['page', 'API: publish', 'API: history', 'API: presence']],
];

async function expectGood([name, args, checks, latencies]: Run): Promise<void> {
  const where = ['--url', url, '--tcp', `127.0.0.1:${gateway.ports.tcp}`, '--internal', internal];
  const { code, result, output } = await load([name, '--seconds', '1', ...where, ...args]).result();
  expect(result.checks.filter(({ isGood }) => !isGood)).toEqual([]);
  expect(result.checks).toHaveLength(checks);
  expect(Object.keys(result.latencies)).toEqual(expect.arrayContaining([...latencies]));
  expect(result.figures.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['replica 1 CPU', 'replica 1 memory, most', 'load process 1 CPU']),
  );
  expect(result).toMatchObject({ scenario: name, isWhole: true });
  expect(output).toContain(`## ${name}`);
  expect(code).toBe(0);
}

describe('a load', { timeout: TEST_MS_MAX }, () => {
  it.each(ALONE)('of %s checks what it does', async (...run) => expectGood(run));

  it.concurrent.each(BESIDE_ONE_ANOTHER)('of %s checks what it does', async (...run) => expectGood(run));

  it.concurrent('ends early when it is told to, with checks and report', async () => {
    const process = load(['soak', '--sessions', '10', '--seconds', '60', '--url', url, '--internal', internal]);
    await process.said('10 online');
    process.signal('SIGINT');
    const { code, result, output } = await process.result();
    expect(result.isWhole).toBe(false);
    expect(result.checks.map(({ isGood }) => isGood)).not.toContain(false);
    expect(output).toContain('Ended before its time.');
    expect(code).toBe(0);
  });

  it.concurrent('says what is wrong with its options', async () => {
    await expect(load(['fanout', '--sessions', 'all']).result()).rejects.toThrow(
      /load: --sessions is a whole number from 1 to 100000, not "all"/,
    );
  });
});

describe('a gateway that does wrong', { timeout: TEST_MS_MAX }, () => {
  /** Does so with one of the messages of the whole run, to one client. */
  function once(wrong: Tamper): Tamper {
    let messages = 0;
    return (line) => (line.includes('"push":"message"') && ++messages === 30 ? wrong(line) : [line]);
  }

  it.concurrent('and loses a message fails the check of clients by the SDK', async () => {
    const tamper = once(() => []);
    const proxy = await ForgetfulProxy.open(url, tamper);
    const { code, result } = await load(['soak', '--sessions', '6', '--seconds', '2', '--url', proxy.url]).result();
    proxy.close();
    const [failed, ...others] = result.checks.filter(({ isGood }) => !isGood);
    expect(failed?.what).toBe('all that was acknowledged is seen by each reader, once and in order');
    expect(failed?.found).toContain('1 lost, 0 doubled, 0 reordered');
    expect(others).toEqual([]);
    expect(code).toBe(1);
  });

  it.concurrent.each([
    ['loses', once(() => []), /a session received \d+|not what the room's other sessions received/],
    ['doubles', once((line) => [line, line]), /no open publication|is at \d+, got \d+|offset|not what/],
  ])('and %s a message fails the check of raw sessions', async (_, tamper, found) => {
    const proxy = await ForgetfulProxy.open(url, tamper);
    const args = ['fanout', '--sessions', '6', '--rate', '50', '--seconds', '1', '--url', proxy.url];
    const { code, result } = await load(args).result();
    proxy.close();
    expect(result.checks).toMatchObject([{ isGood: false, found: expect.stringMatching(found) }]);
    expect(code).toBe(1);
  });

  it.concurrent('and says that somebody is here who is not fails the check of presence', async () => {
    const tamper: Tamper = (line) => [line.replace('"partial":false', '"partial":true')];
    const proxy = await ForgetfulProxy.open(url, tamper);
    const args = ['ghosts', '--sessions', '6', '--seconds', '1', '--presence-seconds', '1', '--url', proxy.url];
    const { code, result } = await load(args).result();
    proxy.close();
    const failed = result.checks.filter(({ isGood }) => !isGood);
    expect(failed).toMatchObject([{ what: expect.stringMatching(/^who has vanished is gone/) }]);
    expect(code).toBe(1);
  });
});

describe.skipIf(KAFKA_BROKERS === undefined || KAFKA_BROKERS === 'none:1')('a herd', { timeout: TEST_MS_MAX }, () => {
  it('comes back from a replica that was killed, and nothing is lost', async () => {
    const services = { TIDEGATE_REDIS_URL: REDIS_URL ?? '', TIDEGATE_KAFKA_BROKERS: KAFKA_BROKERS ?? '' };
    const sooner = {
      TIDEGATE_KAFKA_REPLICATION: '1',
      TIDEGATE_PRESENCE_LEASE_MS: '1500',
      TIDEGATE_GRACE_MS: '2000',
    };
    const args = ['herd', '--sessions', '40', '--seconds', '1', '--rate', '20'];
    const { code, result } = await load(args, { ...services, ...sooner }).result();
    expect(result.checks.filter(({ isGood }) => !isGood)).toEqual([]);
    expect(result.checks).toHaveLength(7);
    const figures = new Map(result.figures.map(({ name, value }) => [name, value]));
    expect(figures.get('sessions that lost their connection')).toBe(20);
    expect(figures.get('rooms recovered')).toBe(20);
    expect(figures.get('attempts a client, mean')).toBeGreaterThanOrEqual(1);
    expect(figures.get('100 % are back after')).toBeGreaterThan(0);
    expect(result.moments.map(({ name }) => name)).toEqual(['all are here', 'killed', 'all are back']);
    expect(code).toBe(0);
  });
});
