// Makes the dashboard's pictures of docs/images: three replicas with a Redis and a Kafka of their own, and people who talk.

import { mkdir, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Services } from '../../services/services.ts';
import { randomName } from '../../src/random-name.ts';
import { startBrowser } from '../../test/e2e/browser.ts';
import { TcpClient } from '../../test/e2e/clients.ts';
import { type GatewayProcess, startGateway, temporaryDirectory, UNLIMITED } from '../../test/e2e/gateway-process.ts';

const FOLDER = new URL('../../docs/images/', import.meta.url);
const CACHE = fileURLToPath(new URL('../../.cache/', import.meta.url));
const NODES = ['harbour-1', 'harbour-2', 'harbour-3'];
const ROOMS = ['harbour', 'regatta/2027', 'weather', 'boat-shed', 'ferries', 'crew', 'tides', 'lost-and-found'];
/** Milliseconds that the plots are to have. */
const TALK_MS = 150_000;
const STEP_MS = 50;

class Person {
  readonly client: TcpClient;
  readonly room: string;
  #mids = 0;

  private constructor(client: TcpClient, room: string) {
    this.client = client;
    this.room = room;
  }

  static async enter(gateway: GatewayProcess, n: number): Promise<Person> {
    const client = await TcpClient.open(gateway.ports.tcp);
    await client.connect(`person-${n}`);
    // The first rooms have the most people.
    const person = new Person(client, ROOMS[Math.floor(ROOMS.length * (((n * 37) % 100) / 100) ** 2)] ?? 'harbour');
    await client.ok({ op: 'join', room: person.room });
    if (n % 5 === 0) client.send({ op: 'status', id: 1, status: 'away' });
    if (n % 11 === 0) client.send({ op: 'status', id: 2, status: 'dnd' });
    return person;
  }

  talk(): void {
    this.#mids += 1;
    const mid = `m${this.#mids}`;
    this.client.send({ op: 'publish', id: this.#mids, room: this.room, mid, data: { text: 'Low water at 06:12' } });
    this.client.heard.length = 0;
  }

  /** Asks for what it may not have. */
  err(): void {
    this.client.send({ op: 'leave', id: 1, room: 'elsewhere' });
  }
}

async function picture(port: number, name: string, colorScheme: 'light' | 'dark') {
  const viewport = { width: 1_440, height: 900 };
  const context = await browser.newContext({ viewport, colorScheme, locale: 'en-GB' });
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${port}/dashboard`);
  await page
    .locator('#replica-rows tr')
    .nth(NODES.length - 1)
    .waitFor();
  return {
    async take() {
      const path = new URL(`${name}.png`, FOLDER).pathname;
      await page.screenshot({ path, scale: 'css', animations: 'disabled', fullPage: true });
      await context.close();
    },
  };
}

const servicesFolder = `${CACHE}screenshots-${process.pid}`;
const services = new Services(CACHE, servicesFolder, () => {});
const { redisUrl, kafkaBrokers } = await services.start();
const directory = await temporaryDirectory();
const browser = await startBrowser();
const gateways: GatewayProcess[] = [];
const people: Person[] = [];
try {
  await mkdir(FOLDER, { recursive: true });
  const env = {
    ...{ ...UNLIMITED, TIDEGATE_PREFIX: `pictures-${randomName(4, 'hex')}`, TIDEGATE_PROBE_MS: '500' },
    ...{ TIDEGATE_REDIS_URL: redisUrl, TIDEGATE_KAFKA_BROKERS: kafkaBrokers, TIDEGATE_KAFKA_REPLICATION: '1' },
  };
  for (const node of NODES) {
    gateways.push(await startGateway(directory.path, { env: { ...env, TIDEGATE_NODE_ID: node } }));
  }
  const port = gateways[0]?.ports.internal ?? 0;
  const pictures = [await picture(port, 'dashboard-light', 'light'), await picture(port, 'dashboard-dark', 'dark')];
  const endsMs = performance.now() + TALK_MS;
  for (let step = 0; performance.now() < endsMs; step += 1) {
    const gateway = gateways[[0, 0, 0, 1, 1, 2][step % 6] ?? 0];
    if (gateway !== undefined && people.length < 160) people.push(await Person.enter(gateway, people.length));
    // It comes in waves.
    const share = 0.06 + 0.04 * Math.sin(step / 250);
    for (const person of people) if (Math.random() < share * Math.random()) person.talk();
    if (Math.random() < 0.05) people[step % people.length]?.err();
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
  }
  for (const each of pictures) await each.take();
} finally {
  for (const { client } of people) client.close();
  await browser.close();
  await Promise.all(gateways.map((gateway) => gateway.stop('SIGKILL')));
  await directory.remove();
  await services.stop();
  await rm(servicesFolder, { recursive: true, force: true });
}
