import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { type Message, type Said, TcpClient, WsClient } from '../e2e/clients.ts';
import type { Ports } from '../e2e/gateway-process.ts';
import type { Oracle, Published, Reading } from './oracle.ts';
import type { Random } from './random.ts';

/** The protocol's bounds, as a client learns them from `connect`. */
const UNANSWERED_MAX = 32;
export const PAGE_MAX = 300;
/** Bytes of commands that go into one frame; well below the server's bound. */
const FRAME_BYTES_MAX = 48_000;
const RETRY_AFTER_MS = 100;
const RETRYABLE = new Set(['overloaded', 'unknown_outcome', 'unavailable', 'internal', 'rate_limited']);

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
      this.#oracle.violate(
        `${this.user} was told of a gap: ${JSON.stringify({ ...ok, messages: ok.messages.length })}`,
      );
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
