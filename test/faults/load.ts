import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { type Message, type Said, TcpClient, WsClient } from '../e2e/clients.ts';
import type { Ports } from '../e2e/gateway-process.ts';

/** Milliseconds for which a test waits for one thing that must come. */
const PATIENCE_MS = 60_000;
/** The protocol's bounds, as a client learns them from `connect`. */
const UNANSWERED_MAX = 32;
const PAGE_MAX = 300;
/** Bytes of commands that go into one frame; well below the server's bound. */
const FRAME_BYTES_MAX = 48_000;
const RETRY_AFTER_MS = 100;
const RETRYABLE = new Set(['overloaded', 'unknown_outcome', 'unavailable', 'internal', 'rate_limited']);

/** Waits until `holds` says so. @throws when patience ends. */
export async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await delay(20);
  }
}

/** Numbers that look random and are the same for the same seed (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 ≤ x < 1 */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer, both ends included. */
  int(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(0, items.length - 1)] as T;
  }
}

/** A publish that some client wants to be in the log, once. */
export interface Published {
  readonly user: string;
  readonly room: string;
  readonly mid: string;
  readonly data: unknown;
  /** Counts up from 0 in what one user publishes to one room. */
  readonly index: number;
  ackedAt: { readonly epoch: string; readonly offset: number } | null;
}

/** What one client has been given of one room. */
export interface Reading {
  readonly user: string;
  readonly room: string;
  /** Where it joined first: everything behind this must come. */
  readonly from: { readonly epoch: string; readonly offset: number };
  readonly messages: Message[];
}

/**
 * Knows what was published, acknowledged and received, and notes everything that no client may ever see: a
 * message twice, out of order, at two offsets, or one behind a gap.
 */
export class Oracle {
  readonly violations: string[] = [];
  readonly published = new Map<string, Published>();
  readonly readings: Reading[] = [];
  readonly #counts = new Map<string, number>();
  readonly #ends = new Map<string, number>();
  ackedCount = 0;
  /** Acks that said that the message had been there before: retries of what an answer was lost for. */
  duplicateCount = 0;

  publish(user: string, room: string, data: unknown): Published {
    const index = this.#counts.get(`${user} ${room}`) ?? 0;
    this.#counts.set(`${user} ${room}`, index + 1);
    const published: Published = { user, room, mid: randomUUID(), data, index, ackedAt: null };
    this.published.set(published.mid, published);
    return published;
  }

  acked(published: Published, epoch: string, offset: number, duplicate: boolean): void {
    if (duplicate) this.duplicateCount += 1;
    const { ackedAt, mid } = published;
    if (ackedAt !== null && (ackedAt.epoch !== epoch || ackedAt.offset !== offset)) {
      this.violate(`${mid} was acknowledged at ${ackedAt.offset} and at ${offset}`);
    }
    if (ackedAt === null) this.ackedCount += 1;
    published.ackedAt ??= { epoch, offset };
    this.#ends.set(published.room, Math.max(offset, this.#ends.get(published.room) ?? -1));
  }

  received(reading: Reading, message: Message): void {
    const { user, from, messages } = reading;
    const last = messages.at(-1)?.offset ?? from.offset;
    const at = `${message.room}/${message.offset} to ${user}`;
    if (message.epoch !== from.epoch) this.violate(`${at}: epoch ${message.epoch} instead of ${from.epoch}`);
    if (message.offset <= last) this.violate(`${at}: it came behind ${last}`);
    messages.push(message);
  }

  violate(what: string): void {
    this.violations.push(what);
  }

  /** The greatest offset at which a publish to the room was acknowledged. */
  end(room: string): number {
    return this.#ends.get(room) ?? -1;
  }

  ackedSoFar(): Published[] {
    return [...this.published.values()].filter(({ ackedAt }) => ackedAt !== null);
  }

  /** Those of `acked` that the log does not have where they were acknowledged. */
  lost(log: ReadonlyMap<string, readonly Message[]>, acked: readonly Published[]): Published[] {
    const places = new Set([...log.values()].flat().map(({ mid, offset, epoch }) => `${mid} ${epoch} ${offset}`));
    return acked.filter(({ mid, ackedAt }) => !places.has(`${mid} ${ackedAt?.epoch} ${ackedAt?.offset}`));
  }

  /** Everything that is wrong with a log, and with what was received, when all is settled. */
  judge(log: ReadonlyMap<string, readonly Message[]>): string[] {
    const wrong = [...this.violations, ...this.judgeLog(log)];
    for (const { mid } of this.lost(log, this.ackedSoFar())) wrong.push(`${mid} was acknowledged and is lost`);
    for (const { user, room, from, messages } of this.readings) {
      const expected = (log.get(room) ?? []).filter(({ offset }) => offset > from.offset);
      const at = expected.findIndex(({ mid, offset }, i) => messages[i]?.mid !== mid || messages[i]?.offset !== offset);
      if (at !== -1) {
        const was = messages[at];
        wrong.push(`${user} got ${was?.mid}/${was?.offset} instead of ${room}/${expected[at]?.offset}`);
      } else if (messages.length !== expected.length) {
        wrong.push(`${user} got ${messages.length} messages of ${room} instead of ${expected.length}`);
      }
      for (const { mid, data } of messages) this.#judgeData(mid, data, wrong);
    }
    return wrong;
  }

  /** What is wrong with a log by itself: foreign or doubled messages, offsets or publishers out of order. */
  judgeLog(log: ReadonlyMap<string, readonly Message[]>): string[] {
    const wrong: string[] = [];
    const seen = new Set<string>();
    for (const [room, messages] of log) {
      let last = -1;
      const indexes = new Map<string, number>();
      for (const message of messages) {
        const { mid, offset, from, data } = message;
        const published = this.published.get(mid);
        if (offset <= last) wrong.push(`${room}/${offset} stands behind ${last}`);
        if (seen.has(mid)) wrong.push(`${mid} is there twice, again at ${room}/${offset}`);
        if (published?.room !== room || published.user !== from || message.room !== room) {
          wrong.push(`${room}/${offset} was never published`);
        } else {
          const before = indexes.get(from) ?? -1;
          if (published.index !== before + 1) {
            wrong.push(`${room}/${offset} is number ${published.index} of ${from}, behind number ${before}`);
          }
          indexes.set(from, published.index);
          this.#judgeData(mid, data, wrong);
        }
        seen.add(mid);
        last = offset;
      }
    }
    return wrong;
  }

  #judgeData(mid: string, data: unknown, wrong: string[]): void {
    const published = this.published.get(mid);
    if (JSON.stringify(published?.data) !== JSON.stringify(data)) wrong.push(`the data of ${mid} changed`);
  }
}

interface Link {
  sendRaw(text: string): void;
  close(): void;
}

class TcpLink extends TcpClient implements Link {
  readonly #onLine: (line: string) => void;

  constructor(socket: Socket, onLine: (line: string) => void) {
    super(socket);
    this.#onLine = onLine;
  }

  protected override hear(line: string): void {
    this.#onLine(line);
  }
}

class WsLink extends WsClient implements Link {
  readonly #onLine: (line: string) => void;

  constructor(ws: WebSocket, onLine: (line: string) => void) {
    super(ws);
    this.#onLine = onLine;
  }

  protected override hear(line: string): void {
    this.#onLine(line);
  }

  override close(): void {
    this.ws.terminate();
  }
}

/** @returns the link, once it is open, and a promise of its end */
async function openLink(
  transport: Transport,
  ports: Ports,
  onLine: (line: string) => void,
): Promise<{ link: Link; ended: Promise<void> }> {
  const emitter =
    transport === 'tcp'
      ? connectTcp({ port: ports.tcp, host: '127.0.0.1' })
      : new WebSocket(`ws://127.0.0.1:${ports.http}/ws`, 'tidegate.v1');
  const link = emitter instanceof WebSocket ? new WsLink(emitter, onLine) : new TcpLink(emitter, onLine);
  const ended = new Promise<void>((resolve) => {
    emitter.once('close', () => resolve());
  });
  await once(emitter, emitter instanceof WebSocket ? 'open' : 'connect');
  return { link, ended };
}

export type Transport = 'tcp' | 'ws';

/** A room to which a client publishes: what is not acknowledged yet, in order. */
interface Lane {
  readonly room: string;
  readonly unacked: Published[];
  /** How many of `unacked`, from the first on, were sent over this link. */
  sent: number;
  /** Those of the sent ones that have no answer yet. */
  readonly unanswered: Set<string>;
  /** One got an error: once all have an answer, everything is sent again, from the first on. */
  failed: boolean;
  retryAfterMs: number;
  /** The mid that the next one comes after, of those sent over this link. */
  after: string | undefined;
}

interface Seat {
  readonly room: string;
  reading: Reading | null;
  position: { epoch: string; offset: number } | null;
  live: boolean;
}

export interface LoadClientOptions {
  readonly transport: Transport;
  readonly user: string;
  readonly reads: readonly string[];
  readonly publishes: readonly string[];
  readonly random: Random;
  readonly oracle: Oracle;
  /** Bytes of text in `data`, at most. */
  readonly dataBytesMax: number;
  /** Publishes that are begun together, at most. */
  readonly burstMax: number;
  /** Milliseconds between two bursts, at most. */
  readonly restMsMax: number;
  /** Where the gateway is, once it is somewhere. */
  readonly where: () => Promise<Ports>;
}

/** A client as the protocol wants it: resumes by position, retries with the same mid, keeps its order. */
export class LoadClient {
  readonly user: string;
  readonly errors = new Map<string, number>();
  connections = 0;
  publishing = true;
  readonly #options: LoadClientOptions;
  readonly #lanes: Lane[];
  readonly #seats: Seat[];
  #link: Link | null = null;
  #closed = false;
  #nextId = 0;
  #asked = new Map<number, (said: Said) => void>();
  #running: Promise<void> | null = null;

  constructor(options: LoadClientOptions) {
    this.#options = options;
    this.user = options.user;
    this.#lanes = options.publishes.map((room) => ({
      room,
      unacked: [],
      sent: 0,
      unanswered: new Set(),
      failed: false,
      retryAfterMs: 0,
      after: undefined,
    }));
    this.#seats = options.reads.map((room) => ({ room, reading: null, position: null, live: false }));
  }

  start(): void {
    this.#running = Promise.all([this.#stayConnected(), this.#keepPublishing()]).then(() => {});
  }

  /** Cuts the connection, as a network might; the client comes back. */
  drop(): void {
    this.#link?.close();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.drop();
    await this.#running;
  }

  get unackedCount(): number {
    return this.#lanes.reduce((sum, { unacked }) => sum + unacked.length, 0);
  }

  /** Whether it has joined all its rooms, has all their past, and hears what comes. */
  get isLive(): boolean {
    return this.#link !== null && this.#seats.every(({ live }) => live);
  }

  /** Whether it has been given everything that was acknowledged to anyone. */
  get hasAll(): boolean {
    return this.isLive && this.#seats.every(({ room, position }) => (position?.offset ?? -1) >= this.#oracle.end(room));
  }

  get #oracle(): Oracle {
    return this.#options.oracle;
  }

  async #stayConnected(): Promise<void> {
    const { transport, where } = this.#options;
    while (!this.#closed) {
      const ports = await where();
      if (this.#closed) return;
      try {
        // What an older link still had to say must not be taken for the new one's.
        const { link, ended } = await openLink(transport, ports, (line) => {
          if (this.#link === link) this.#hear(line);
        });
        this.connections += 1;
        this.#begin(link);
        if (this.#closed) link.close();
        await ended;
      } catch {
        // Nobody listens there any more, or not yet.
        await delay(this.#options.random.int(5, 30));
      }
      this.#link = null;
    }
  }

  #begin(link: Link): void {
    this.#link = link;
    this.#asked = new Map();
    for (const lane of this.#lanes) this.#rewind(lane);
    this.#ask({ op: 'connect', user: this.user, heartbeat: false }, (said) => {
      if (said.ok === undefined) this.#oracle.violate(`connect was answered ${JSON.stringify(said)}`);
    });
    for (const seat of this.#seats) {
      seat.live = false;
      this.#join(seat);
    }
    this.#sendPublishes();
  }

  #hear(line: string): void {
    if (!line.startsWith('{')) return;
    const said = JSON.parse(line) as Said;
    if (typeof said.id === 'number') {
      const onReply = this.#asked.get(said.id);
      this.#asked.delete(said.id);
      if (onReply === undefined) this.#oracle.violate(`${this.user} got a reply to nothing: ${line.slice(0, 200)}`);
      else onReply(said);
    } else if (said.push === 'message') {
      this.#take(said as unknown as Message);
    } else if (said.push === 'resync') {
      this.#resync(said);
    } else if (said.push === undefined) {
      this.#oracle.violate(`${this.user} got ${line.slice(0, 200)}`);
    }
  }

  #take(message: Message): void {
    const seat = this.#seats.find(({ room }) => room === message.room);
    if (!seat?.reading || !seat.live) {
      this.#oracle.violate(`${this.user} was pushed ${message.room}/${message.offset}, which it did not hear`);
      return;
    }
    this.#oracle.received(seat.reading, message);
    seat.position = { epoch: message.epoch, offset: message.offset };
  }

  #resync(said: Said): void {
    this.#oracle.violate(`${this.user} was told ${JSON.stringify(said)}`);
    const seat = this.#seats.find(({ room }) => room === said.room);
    if (seat === undefined) return;
    seat.live = false;
    this.#join(seat);
  }

  #join(seat: Seat): void {
    const since = seat.position ?? undefined;
    this.#ask({ op: 'join', room: seat.room, since }, (said) => {
      if (this.#isRetryable(said)) this.#later(said, () => this.#join(seat));
      else this.#page(seat, said, since !== undefined);
    });
  }

  #history(seat: Seat): void {
    this.#ask({ op: 'history', room: seat.room, after: seat.position, limit: PAGE_MAX }, (said) => {
      if (this.#isRetryable(said)) this.#later(said, () => this.#history(seat));
      else this.#page(seat, said, true);
    });
  }

  /** A reply of `join` or `history`. */
  #page(seat: Seat, said: Said, resumes: boolean): void {
    const ok = said.ok as
      | { position: { epoch: string; offset: number }; messages: Message[]; more: boolean; recovered?: boolean }
      | undefined;
    if (ok === undefined) {
      this.#oracle.violate(`${this.user} in ${seat.room} was answered ${JSON.stringify(said)}`);
      return;
    }
    if ('gap' in ok || (resumes && ok.recovered === false)) {
      this.#oracle.violate(`${this.user} was told of a gap: ${JSON.stringify({ ...ok, messages: ok.messages.length })}`);
    }
    if (seat.reading === null) {
      seat.reading = { user: this.user, room: seat.room, from: ok.position, messages: [] };
      this.#oracle.readings.push(seat.reading);
    }
    for (const message of ok.messages) this.#oracle.received(seat.reading, message);
    const last = ok.messages.at(-1)?.offset ?? -1;
    if (ok.position.offset < last || ok.position.offset < (seat.position?.offset ?? -1)) {
      this.#oracle.violate(`${this.user}'s page of ${seat.room} speaks up to ${ok.position.offset} only`);
    }
    seat.position = ok.position;
    if (ok.more) this.#history(seat);
    else seat.live = true;
  }

  async #keepPublishing(): Promise<void> {
    const { random, burstMax, restMsMax, user } = this.#options;
    while (!this.#closed) {
      const count = Math.min(random.int(1, burstMax), UNANSWERED_MAX - this.unackedCount);
      if (this.publishing && this.#lanes.length > 0) {
        for (let i = 0; i < count; i++) {
          const lane = random.pick(this.#lanes);
          const data = { n: random.int(0, 1e9), text: 'x'.repeat(random.int(0, this.#options.dataBytesMax)) };
          lane.unacked.push(this.#oracle.publish(user, lane.room, data));
        }
        this.#sendPublishes();
      }
      await delay(random.int(1, restMsMax));
    }
  }

  #sendPublishes(): void {
    if (this.#link === null) return;
    let frame: string[] = [];
    let bytes = 0;
    const flush = () => {
      if (frame.length > 0) this.#link?.sendRaw(`${frame.join('\n')}\n`);
      frame = [];
      bytes = 0;
    };
    for (const lane of this.#lanes) {
      if (lane.failed) continue;
      for (const published of lane.unacked.slice(lane.sent)) {
        const line = this.#publishLine(lane, published);
        if (bytes + line.length > FRAME_BYTES_MAX) flush();
        frame.push(line);
        bytes += line.length;
      }
      lane.sent = lane.unacked.length;
    }
    flush();
  }

  #publishLine(lane: Lane, published: Published): string {
    const { room, mid, data } = published;
    const after = lane.after;
    lane.after = mid;
    lane.unanswered.add(mid);
    const id = this.#expect((said) => this.#published(lane, published, said));
    return JSON.stringify({ op: 'publish', id, room, mid, after, data });
  }

  #published(lane: Lane, published: Published, said: Said): void {
    lane.unanswered.delete(published.mid);
    if (said.ok !== undefined) {
      const ok = said.ok as { mid: string; epoch: string; offset: number; duplicate: boolean };
      const { mid, epoch, offset, duplicate } = ok;
      if (mid !== published.mid) this.#oracle.violate(`${published.mid} was answered as ${mid}`);
      this.#oracle.acked(published, epoch, offset, duplicate);
      lane.unacked.splice(lane.unacked.indexOf(published), 1);
      lane.sent -= 1;
    } else if (this.#isRetryable(said)) {
      lane.failed = true;
      lane.retryAfterMs = Math.max(lane.retryAfterMs, retryAfterMs(said));
    } else {
      this.#oracle.violate(`${published.mid} was answered ${JSON.stringify(said)}`);
    }
    if (!lane.failed || lane.unanswered.size > 0) return;
    const link = this.#link;
    void delay(lane.retryAfterMs).then(() => {
      if (this.#link !== link || link === null) return;
      this.#rewind(lane);
      this.#sendPublishes();
    });
  }

  #rewind(lane: Lane): void {
    lane.sent = 0;
    lane.failed = false;
    lane.retryAfterMs = 0;
    lane.after = undefined;
    lane.unanswered.clear();
  }

  #ask(command: object, onReply: (said: Said) => void): void {
    const id = this.#expect(onReply);
    this.#link?.sendRaw(`${JSON.stringify({ ...command, id })}\n`);
  }

  #expect(onReply: (said: Said) => void): number {
    this.#nextId += 1;
    this.#asked.set(this.#nextId, onReply);
    return this.#nextId;
  }

  #isRetryable(said: Said): boolean {
    const code = (said.error as { code: string } | undefined)?.code;
    if (code === undefined) return false;
    this.errors.set(code, (this.errors.get(code) ?? 0) + 1);
    return RETRYABLE.has(code);
  }

  #later(said: Said, again: () => void): void {
    const link = this.#link;
    void delay(retryAfterMs(said)).then(() => {
      if (this.#link === link && link !== null) again();
    });
  }
}

function retryAfterMs(said: Said): number {
  return (said.error as { retryAfterMs?: number }).retryAfterMs ?? RETRY_AFTER_MS;
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
