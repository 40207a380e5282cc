import { setTimeout as delay } from 'node:timers/promises';
import { type Message, TcpClient } from '../e2e/clients.ts';
import type { Ports } from '../e2e/gateway-process.ts';
import { LoadClient, PAGE_MAX } from './load-client.ts';
import { Oracle } from './oracle.ts';
import { Random } from './random.ts';

/** Milliseconds for which a test waits for one thing that must come. */
const PATIENCE_MS = 60_000;

/** Waits until `holds` says so. @throws when patience ends. */
export async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await delay(20);
  }
}

export interface LoadOptions {
  readonly seed: number;
  readonly rooms?: number;
  /** Clients of each transport that publish and read. */
  readonly publishers?: number;
  /** Clients of each transport that only read. */
  readonly readers?: number;
  readonly dataBytesMax?: number;
  readonly burstMax?: number;
  readonly restMsMax?: number;
}

/** Clients over TCP and WebSocket that publish to several rooms and read them, wherever the gateway is. */
export class Load {
  readonly random: Random;
  readonly oracle = new Oracle();
  readonly rooms: readonly string[];
  readonly clients: LoadClient[] = [];
  #where = Promise.withResolvers<Ports>();

  constructor(options: LoadOptions) {
    const { seed, rooms = 5, publishers = 2, readers = 1 } = options;
    const { dataBytesMax = 400, burstMax = 8, restMsMax = 12 } = options;
    this.random = new Random(seed);
    this.rooms = Array.from({ length: rooms }, (_, i) => `room-${i}`);
    for (const transport of ['tcp', 'ws'] as const) {
      for (let i = 0; i < publishers + readers; i++) {
        const publishes = i < publishers ? this.rooms.filter(() => this.random.next() < 0.7) : [];
        const client = new LoadClient({
          transport,
          user: `${transport}-${i}`,
          reads: this.rooms,
          publishes: i < publishers && publishes.length === 0 ? this.rooms : publishes,
          random: new Random(seed + this.clients.length + 1),
          oracle: this.oracle,
          dataBytesMax,
          burstMax,
          restMsMax,
          where: () => this.#where.promise,
        });
        this.clients.push(client);
      }
    }
  }

  /** Begins, or goes on, with a gateway. */
  goTo(ports: Ports): void {
    const isFirst = this.clients.every(({ connections }) => connections === 0);
    this.#where.resolve(ports);
    if (isFirst) for (const client of this.clients) client.start();
  }

  /** There is no gateway for now: whoever loses its connection waits. */
  goNowhere(): void {
    this.#where = Promise.withResolvers<Ports>();
  }

  errorCount(code: string): number {
    return this.clients.reduce((sum, { errors }) => sum + (errors.get(code) ?? 0), 0);
  }

  /** Publishes that get acknowledged, and does so until `count` more were. */
  async acks(count: number): Promise<void> {
    const goal = this.oracle.ackedCount + count;
    await eventually(`${count} acks`, () => this.oracle.ackedCount >= goal || this.oracle.violations.length > 0);
  }

  /** Publishes nothing new, and waits until all is acknowledged and everyone has everything. */
  async settle(): Promise<void> {
    for (const client of this.clients) client.publishing = false;
    await eventually('the last acks', () => this.clients.every(({ unackedCount }) => unackedCount === 0));
    await eventually('the last messages', () => this.clients.every(({ hasAll }) => hasAll));
  }

  async close(): Promise<void> {
    const closed = Promise.all(this.clients.map((client) => client.close()));
    this.#where.resolve({ http: 1, tcp: 1, internal: 1 });
    await closed;
  }
}

/** Reads rooms from their beginning, as a client that pages through their history. @throws on a gap. */
export async function readLog(ports: Ports, rooms: readonly string[]): Promise<Map<string, Message[]>> {
  const client = await TcpClient.open(ports.tcp);
  try {
    await client.connect('auditor');
    const log = new Map<string, Message[]>();
    for (const room of rooms) {
      const joined = await client.ok({ op: 'join', room });
      const { epoch } = joined.position as { epoch: string };
      const messages: Message[] = [];
      for (let offset = -1, more = true; more; ) {
        const page = await client.ok({ op: 'history', room, after: { epoch, offset }, limit: PAGE_MAX });
        if (page.gap !== undefined) throw new Error(`a gap in ${room}: ${JSON.stringify(page.gap)}`);
        messages.push(...(page.messages as Message[]));
        more = page.more as boolean;
        offset = (page.position as { offset: number }).offset;
      }
      log.set(room, messages);
    }
    return log;
  } finally {
    client.close();
  }
}
