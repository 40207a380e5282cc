import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { lastingPlace } from '../lasting-ports.ts';
import { ApiClient } from './api-client.ts';
import { isBrowserMissing, startBrowser } from './browser.ts';
import { TcpClient } from './clients.ts';
import { type GatewayProcess, startGateway, temporaryDirectory, UNLIMITED } from './gateway-process.ts';
import { scrape } from './metrics-page.ts';
import { PATIENCE } from './page-stage.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** A probe would be counted between a look at the page and one at the metrics. */
const ENV = { ...UNLIMITED, TIDEGATE_PROBE_MS: '3600000', TIDEGATE_NODE_ID: 'pier-1', TIDEGATE_DRAIN_MS: '200' };

describe.skipIf(isBrowserMissing)('the dashboard', () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let env: Readonly<Record<string, string>>;
  let gateway: GatewayProcess;
  let browser: Browser;
  const clients: TcpClient[] = [];

  beforeAll(async () => {
    directory = await temporaryDirectory();
    env = { ...ENV, ...(await lastingPlace()) };
    [browser, gateway] = await Promise.all([startBrowser(), startGateway(directory.path, { env })]);
  });

  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    for (const context of browser.contexts()) await context.close();
  });

  afterAll(async () => {
    await browser?.close();
    await gateway?.stop('SIGKILL');
    await directory.remove();
  });

  /** A tab with the dashboard, and what it complains about. */
  async function open() {
    const context = await browser.newContext({ viewport: { width: 1_440, height: 900 }, locale: 'en-GB' });
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.goto(`http://127.0.0.1:${gateway.ports.internal}/dashboard`);
    return { page, complaints };
  }

  async function enter(user: string, room: string): Promise<TcpClient> {
    const client = await TcpClient.open(gateway.ports.tcp);
    clients.push(client);
    await client.connect(user);
    await client.ok({ op: 'join', room });
    return client;
  }

  const standing = (page: Page) => page.locator('#standing').textContent();

  /** What a plot's panel says: of each line its value now, and the total behind it. */
  async function panel(page: Page, title: string): Promise<Record<string, string>> {
    return page
      .getByRole('heading', { name: title, exact: true })
      .locator('xpath=..')
      .locator('dl > div')
      .evaluateAll((rows) =>
        Object.fromEntries(
          rows.map((row) => [
            row.querySelector('dt')?.textContent ?? '',
            [...row.querySelectorAll('dd > *')].map((each) => each.textContent).join(' '),
          ]),
        ),
      );
  }

  const rows = (page: Page, body: string) =>
    page
      .locator(`${body} tr`)
      .evaluateAll((all) => all.map((row) => [...row.children].map((cell) => cell.textContent).join(' | ')));

  /** The number in front of words. */
  const numberOf = (words = '') => Number(/^[\d,]+/.exec(words)?.[0].replaceAll(',', ''));

  test('says what the metrics say, while it goes on and when it is over', async () => {
    const { page, complaints } = await open();
    const ann = await enter('ann', 'tea');
    const bob = await enter('bob', 'tea');
    const cy = await enter('cy', 'coffee');
    await bob.ok({ op: 'status', status: 'dnd' });
    await ann.errorCode({ op: 'leave', room: 'milk' });
    let mids = 0;
    const publishSome = async () => {
      for (let i = 0; i < 20; i += 1) {
        mids += 1;
        await (i % 4 === 0 ? cy : ann).ok({
          op: 'publish',
          room: i % 4 === 0 ? 'coffee' : 'tea',
          mid: `m${mids}`,
          data: i,
        });
      }
    };
    const deliveries = async () => numberOf((await panel(page, 'Deliveries')).Deliveries?.split(' ')[1]);

    await publishSome();
    const before = (await scrape(gateway)).value('deliveries_total');
    // What is shown next is of a later moment than the one, and of an earlier one than the other.
    const publishing = publishSome();
    await expect.poll(deliveries, PATIENCE).toBeGreaterThanOrEqual(before);
    const shown = await deliveries();
    expect((await scrape(gateway)).value('deliveries_total')).toBeGreaterThanOrEqual(shown);
    await publishing;

    const metrics = await scrape(gateway);
    const since = (name: string, of: number) => new RegExp(`(^| )${of.toLocaleString('en')} since start$`).test(name);
    const value = metrics.value.bind(metrics);
    await expect.poll(deliveries, PATIENCE).toBe(value('deliveries_total'));
    const publishes = await panel(page, 'Publishes and commands');
    expect(since(publishes.Publishes ?? '', value('publish_append_seconds_count'))).toBe(true);
    const commands = ['connect', 'join', 'status', 'leave', 'publish'];
    const commandsTotal = commands.reduce((total, op) => total + value('commands_total', { op }), 0);
    expect(since(publishes.Commands ?? '', commandsTotal)).toBe(true);
    expect(await rows(page, '#error-rows')).toEqual([
      expect.stringMatching(`^error \\| not_joined \\| .* \\| ${value('errors_total', { code: 'not_joined' })}$`),
    ]);
    expect(await panel(page, 'Sessions by status')).toEqual({
      Online: `${value('status_sessions', { status: 'online' })} `,
      Away: `${value('status_sessions', { status: 'away' })} `,
      'Do not disturb': `${value('status_sessions', { status: 'dnd' })} `,
    });
    expect(await panel(page, 'Sessions by replica')).toEqual({ 'pier-1': `${value('sessions')} ` });
    const meter = (name: string) => page.locator(`[data-bound=${name}] .used`).textContent();
    const bound = (name: string) =>
      `${value(name).toLocaleString('en')} of ${value(`${name}_max`).toLocaleString('en', { notation: 'compact' })}`;
    expect(await meter('dedupeEntries')).toBe(bound('dedupe_entries'));
    expect(await meter('connections')).toBe(bound('connections'));
    expect((await rows(page, '#replica-rows'))[0]).toMatch(
      `pier-1 | serving | ${value('sessions')} | ${value('users')} | ${value('rooms')} | `,
    );
    expect((await panel(page, 'Records behind')).Records).toBe(`${value('log_lag_records', { partition: '0' })} `);

    expect(await rows(page, '#room-rows')).toEqual([
      expect.stringMatching(/^tea \| 2 \| /),
      expect.stringMatching(/^coffee \| 1 \| /),
    ]);
    expect(await page.locator('#states .state:visible').allTextContents()).toEqual([
      'Deliveryprobes come back',
      'Logcan be written',
      'Drainingnone',
    ]);
    expect([await standing(page), await page.locator('canvas').count(), complaints]).toEqual(['Live', 12, []]);
  });

  test('axe finds nothing serious, light, dark and on a phone', async () => {
    const { page } = await open();
    const ann = await enter('ann', 'tea');
    await ann.errorCode({ op: 'leave', room: 'milk' });
    await expect.poll(() => rows(page, '#room-rows'), PATIENCE).toEqual([expect.stringMatching('tea')]);
    await page.evaluate(`${AXE}; undefined`);
    const faults = () =>
      page.evaluate(`axe.run().then(({ violations }) => violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html.slice(0, 200))]))`);
    expect(await faults()).toEqual([]);
    await page.emulateMedia({ colorScheme: 'dark' });
    expect(await faults()).toEqual([]);
    await page.setViewportSize({ width: 390, height: 780 });
    expect(await faults()).toEqual([]);
    // Nothing is wider than the page.
    expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
  });

  test('says when what it shows is no news, goes on with the next process, and asks for a key where there are some', async () => {
    const { page } = await open();
    await expect.poll(() => standing(page), PATIENCE).toBe('Live');
    await gateway.stop();
    await expect.poll(() => standing(page), PATIENCE).toMatch(/^Connection lost/);
    expect(await page.locator('#figures.stale').count()).toBe(1);
    gateway = await startGateway(directory.path, { env: { ...env, TIDEGATE_API_KEYS: 'first,zweiter Schlüssel' } });
    const figures = new ApiClient(gateway.ports.internal);
    expect(await figures.failure(figures.get('/dashboard/figures'))).toMatch(/^401 unauthorized /);

    const field = page.getByLabel('Key');
    await expect.poll(() => field.isVisible(), PATIENCE).toBe(true);
    await field.fill('third');
    await page.keyboard.press('Enter');
    await expect.poll(() => page.getByRole('alert').textContent(), PATIENCE).toContain('none of the keys');
    await field.fill('zweiter Schlüssel');
    await page.getByRole('button', { name: 'Show figures' }).click();
    await expect.poll(() => standing(page), PATIENCE).toBe('Live');
    expect([await page.locator('#key-form').isVisible(), await page.locator('#figures.stale').count()]).toEqual([
      false,
      0,
    ]);
    await expect.poll(() => rows(page, '#replica-rows'), PATIENCE).toHaveLength(1);
    // It is kept for the tab, and for no other.
    await page.reload();
    await expect.poll(() => standing(page), PATIENCE).toBe('Live');
    const other = await open();
    await expect.poll(() => other.page.getByLabel('Key').isVisible(), PATIENCE).toBe(true);
    expect(await other.page.locator('#figures').isVisible()).toBe(false);
    expect(JSON.stringify(gateway.logs)).not.toMatch(/Schl|third/);
  });
});
