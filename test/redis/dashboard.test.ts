import { Redis } from 'ioredis';
import type { Browser } from 'playwright-core';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Figures, View } from '../../src/observability/figures.ts';
import { writeFigures } from '../../src/observability/figures-text.ts';
import { randomName } from '../../src/random-name.ts';
import { isBrowserMissing, startBrowser } from '../e2e/browser.ts';
import { TcpClient } from '../e2e/clients.ts';
import { type GatewayProcess, startGateway, temporaryDirectory } from '../e2e/gateway-process.ts';
import { scrape } from '../e2e/metrics-page.ts';
import { KAFKA_BROKERS, REDIS_URL } from '../services/test-services.ts';
import { someFigures } from '../unit/observability/some-figures.ts';

/** Who reads a replica's figures, as a program would. */
class Onlooker {
  readonly views: View[] = [];
  readonly #abort = new AbortController();

  async look({ ports }: GatewayProcess): Promise<this> {
    const response = await fetch(`http://127.0.0.1:${ports.internal}/dashboard/figures`, {
      signal: this.#abort.signal,
    });
    if (response.body === null) throw new Error('there are no figures');
    void this.#read(response.body.pipeThrough(new TextDecoderStream()).getReader()).catch(() => {});
    return this;
  }

  get newest(): View {
    return this.views.at(-1) ?? { atMs: 0, reach: 'alone', showsRooms: false, omitted: 0, replicas: [] };
  }

  of(node: string): Figures | undefined {
    return this.newest.replicas.find(({ figures }) => figures.node === node)?.figures;
  }

  ageMs(node: string): number | undefined {
    return this.newest.replicas.find(({ figures }) => figures.node === node)?.ageMs;
  }

  stop(): void {
    this.#abort.abort();
  }

  async #read(reader: ReadableStreamDefaultReader<string>): Promise<void> {
    let rest = '';
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      const lines = (rest + read.value).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.views.push(JSON.parse(line) as View);
    }
  }
}

const PATIENCE = { timeout: 15_000, interval: 50 };
const isMissing = KAFKA_BROKERS === undefined || REDIS_URL === undefined || isBrowserMissing;

describe.skipIf(isMissing && !process.env.CI)('the figures of two replicas', () => {
  const prefix = `figures-${randomName(4, 'hex')}`;
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let one: GatewayProcess;
  let two: GatewayProcess;
  let redis: Redis;
  let browser: Browser;
  const clients: TcpClient[] = [];
  const onlookers: Onlooker[] = [];

  beforeEach(async () => {
    directory = await temporaryDirectory();
    redis = new Redis(REDIS_URL ?? '');
    const env = {
      TIDEGATE_KAFKA_BROKERS: KAFKA_BROKERS ?? '',
      TIDEGATE_KAFKA_REPLICATION: '1',
      TIDEGATE_REDIS_URL: REDIS_URL ?? '',
      TIDEGATE_PREFIX: prefix,
      TIDEGATE_PARTITIONS: '4',
      TIDEGATE_PROBE_MS: '3600000',
    };
    const start = (node: string) => startGateway(directory.path, { env: { ...env, TIDEGATE_NODE_ID: node } });
    [one, two, browser] = await Promise.all([start('one'), start('two'), startBrowser()]);
  });

  afterEach(async () => {
    for (const onlooker of onlookers.splice(0)) onlooker.stop();
    for (const client of clients.splice(0)) client.close();
    redis.disconnect();
    await browser?.close();
    await Promise.all([one?.stop('SIGKILL'), two?.stop('SIGKILL')]);
    await directory.remove();
  });

  async function enter({ ports }: GatewayProcess, user: string): Promise<TcpClient> {
    const client = await TcpClient.open(ports.tcp);
    clients.push(client);
    await client.connect(user);
    await client.ok({ op: 'join', room: 'tea' });
    return client;
  }

  async function look(gateway: GatewayProcess): Promise<Onlooker> {
    const onlooker = await new Onlooker().look(gateway);
    onlookers.push(onlooker);
    return onlooker;
  }

  const key = (channel: string) => `{${prefix}}:${channel}`;

  test('are seen at either one, equal what each has measured, and fade where one is killed', async () => {
    const [ann] = await Promise.all([enter(one, 'ann'), enter(two, 'bob'), enter(two, 'cy')]);
    for (let i = 0; i < 10; i += 1) await ann.ok({ op: 'publish', room: 'tea', mid: `m${i}`, data: i });
    const numSub = async () => Number(((await redis.call('PUBSUB', 'NUMSUB', key('f'))) as [string, number])[1]);
    expect(await numSub()).toBe(0);
    const watchers = [await look(one), await look(two)];
    for (const [node, gateway] of [
      ['one', one],
      ['two', two],
    ] as const) {
      await vi.waitFor(async () => {
        const metrics = await scrape(gateway);
        for (const watcher of watchers) {
          const figures = watcher.of(node);
          expect(figures?.numbers).toMatchObject({
            sessions: node === 'one' ? 1 : 2,
            deliveries: metrics.value('deliveries_total'),
            dedupeEntries: metrics.value('dedupe_entries'),
            presenceShared: metrics.value('presence_shared'),
          });
          expect(figures?.labelled.commands?.publish).toBe(metrics.value('commands_total', { op: 'publish' }));
          expect(figures?.rooms).toContainEqual(
            expect.objectContaining({ room: 'tea', members: node === 'one' ? 1 : 2 }),
          );
          expect(watcher.newest).toMatchObject({ reach: 'heard', omitted: 0 });
        }
      }, PATIENCE);
    }

    // Whatever else is said there is counted, and does no harm.
    const strange = someFigures({ id: 'someone-else-000', node: 'three' });
    const unreadable = (await scrape(one)).value('peer_unreadable_total');
    await redis.publish(key('f'), 'nonsense');
    await redis.publish(key('f'), writeFigures(strange).replace('"sessions":1', '"sessions":-1'));
    await redis.publish(key('l'), '{"v":1}');
    await vi.waitFor(
      async () => expect((await scrape(one)).value('peer_unreadable_total')).toBe(unreadable + 3),
      PATIENCE,
    );

    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${one.ports.internal}/dashboard`);
    const row = (node: string) => page.locator(`#replica-rows tr[data-node=${node}]`);
    const cells = async (node: string) => (await row(node).locator('td').allTextContents()).slice(0, 2);
    const statuses = () => page.locator('#sessions-panels dd b').allTextContents();
    await expect
      .poll(async () => [await cells('one'), await cells('two')], PATIENCE)
      .toEqual([
        ['serving', '1'],
        ['serving', '2'],
      ]);
    // Online on both, and then on the one that is chosen.
    await expect.poll(async () => (await statuses())[0], PATIENCE).toBe('3');
    await row('two').getByRole('button').click();
    expect((await statuses())[0]).toBe('2');
    expect(await page.locator('#scope option:checked').textContent()).toBe('two');
    await row('two').getByRole('button').click();

    // One that is told of only once goes the same way.
    await two.stop('SIGKILL');
    await redis.publish(key('f'), writeFigures(strange));
    await vi.waitFor(() => expect(watchers[0]?.of('three')).toEqual({ v: 1, ...strange }), PATIENCE);
    await expect.poll(async () => (await cells('two'))[0], PATIENCE).toMatch(/^gone, heard \d+ s ago$/);
    await expect.poll(async () => (await statuses())[0], PATIENCE).toBe('1');
    const [watcher] = watchers;
    expect(watcher?.ageMs('two')).toBeGreaterThan(3_000);
    expect([watcher?.ageMs('one'), watcher?.newest.reach]).toEqual([0, 'heard']);

    watcher?.stop();
    await page.close();
    await vi.waitFor(async () => expect(await numSub()).toBe(0), PATIENCE);
    await vi.waitFor(async () => expect((await scrape(one)).value('dashboard_streams')).toBe(0), PATIENCE);
  });
});
