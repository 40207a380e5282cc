import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Limits } from '../../../src/protocol/limits.ts';
import type { Gap, Position } from '../../../src/protocol/position.ts';
import { Random } from '../../faults/random.ts';
import type { Fault, Faults } from './faults.ts';
import { HostileConnection } from './hostile-connection.ts';
import { type Entry, type Incarnation, ModelRoom } from './model-room.ts';
import { TicketOffice } from './ticket-office.ts';
import { disconnectPush } from './wire-words.ts';

export interface ServerOptions {
  /** Messages of a page. */
  readonly pageMax?: number;
  readonly publishesUnansweredMax?: number;
  /** How much faster the clients' time passes than ours. */
  readonly speed: number;
  /** In milliseconds of the clients'; 0: none. */
  readonly heartbeatMs: number;
  readonly retryWindowMs?: number;
  readonly seed?: number;
}

const RETRY_WINDOW_MS = 1_000;

/** A gateway that keeps its word about rooms and messages, and is cruel to its connections. */
export class HostileServer {
  readonly faults: Faults;
  readonly limits: Limits;
  readonly pageMax: number;
  readonly heartbeatRealMs: number;
  readonly tickets = new TicketOffice((client, what) => this.breach(client, what));
  /** What the clients did that they must not. */
  readonly breaches: string[] = [];
  readonly rooms = new Map<string, ModelRoom>();
  readonly connections = new Set<HostileConnection>();
  /** By client, handshakes that came. */
  readonly handshakes = new Map<string, number>();
  readonly #heartbeatMs: number;
  readonly #retryWindowMs: number;
  readonly #random: Random;
  readonly #http: Server;
  readonly #sockets = new Set<Duplex>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #tried = new Set<string>();
  readonly #gaps = new Set<string>();
  readonly #starts = new Set<string>();
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    clientTracking: false,
    handleProtocols: () => 'tidegate.v1',
  });
  #sessionCount = 0;

  constructor(faults: Faults, options: ServerOptions) {
    this.faults = faults;
    this.pageMax = options.pageMax ?? 300;
    this.#heartbeatMs = options.heartbeatMs;
    this.#retryWindowMs = options.retryWindowMs ?? RETRY_WINDOW_MS;
    this.heartbeatRealMs = options.heartbeatMs / options.speed;
    this.#random = new Random(options.seed ?? 1);
    this.limits = { ...LIMITS, publishesUnansweredMax: options.publishesUnansweredMax ?? 32 };
    this.#http = createServer((_, response) => void response.writeHead(426).end());
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#http.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#http.listen(0, '127.0.0.1', resolve));
  }

  /** Where a client of this name finds it. */
  url(client: string): string {
    return `ws://127.0.0.1:${(this.#http.address() as AddressInfo).port}/ws?client=${client}`;
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#http.close(resolve));
  }

  /** Nothing is still to be appended. */
  get isIdle(): boolean {
    return this.#timers.size === 0;
  }

  breach(client: string, what: string): void {
    this.breaches.push(`${client}: ${what}`);
  }

  room(name: string | undefined): ModelRoom {
    const known = this.rooms.get(name ?? '');
    if (known !== undefined) return known;
    const room = new ModelRoom(name ?? '', () => this.#random.int(0, 3));
    this.rooms.set(room.name, room);
    return room;
  }

  /** Adds a message, and tells those who are live in the room. */
  append(room: ModelRoom, from: string, mid: string, data: unknown): Entry {
    const entry = room.append(from, mid, data);
    for (const connection of [...this.connections]) connection.hear(room, entry);
    const fault = this.faults.at('grown', room.name);
    // Who has published is answered first.
    if (fault?.do === 'renew') this.later(1, () => this.strike(room, fault));
    else if (fault !== null) this.strike(room, fault);
    room.pass();
    return entry;
  }

  /** Does something to a room's log. */
  strike(room: ModelRoom, fault: Fault): void {
    const { entries } = room.log;
    if (fault.do === 'trim') {
      const newest = entries.at(-1 - fault.keep);
      if (newest !== undefined) room.deleteThrough(newest.offset);
    } else if (fault.do === 'damage') {
      const entry = entries.at(-1 - fault.back);
      if (entry !== undefined) room.log.damaged.add(entry.offset);
    } else if (fault.do === 'renew') {
      room.renew(fault.lose === 'all' ? 0 : Math.max(entries.length - fault.lose, 0));
      const { log } = room;
      const gap: Gap = { from: null, to: { epoch: log.epoch, offset: log.deletedThrough } };
      for (const connection of [...this.connections]) {
        // A message that was lost before its publish was answered must not come to stand behind the next one.
        const isReset = connection.isOwing || (fault.by === 'reset' && connection.isIn(room));
        if (isReset) connection.end({ by: 'reset' });
        else if (fault.by === 'resync') connection.resync(room, gap, fault.overtakes);
      }
    }
  }

  /** The rest of `connect`'s reply. */
  welcome(client: string, ticket: string | undefined): object {
    this.#sessionCount += 1;
    return {
      ...{ protocol: 1, features: ['telepathy'], server: 'hostile/1', node: 'n', session: `s${this.#sessionCount}` },
      ...{ user: client, device: `device-of-${client}`, heartbeatMs: this.#heartbeatMs },
      ...{ retryWindowMs: this.#retryWindowMs, limits: this.limits, ticket },
    };
  }

  /** A client is back: its older connections end, for good. */
  replace(connection: HostileConnection): void {
    for (const other of [...this.connections]) {
      if (other.client === connection.client && other !== connection) {
        other.end({ by: 'disconnect', code: 3504, afterMs: null });
      }
    }
  }

  over(connection: HostileConnection): void {
    this.connections.delete(connection);
  }

  /** The client may hear of this gap. */
  gapTold(client: string, room: string, gap: Gap | undefined): void {
    if (gap !== undefined) this.#gaps.add(`${client} ${room} ${gapKey(gap)}`);
  }

  wasGapTold(client: string, room: string, gap: Gap): boolean {
    return this.#gaps.has(`${client} ${room} ${gapKey(gap)}`);
  }

  /** The client may begin here in the room. */
  started(client: string, room: string, { epoch, offset }: Position): void {
    this.#starts.add(`${client} ${room} ${epoch} ${offset}`);
  }

  mayHaveStarted(client: string, room: string, { epoch, offset }: Position): boolean {
    return this.#starts.has(`${client} ${room} ${epoch} ${offset}`);
  }

  tried(client: string, mid: string): void {
    this.#tried.add(`${client} ${mid}`);
  }

  /** Whether the message cannot be in the log, nor come to it. */
  mayForbid(client: string, mid: string): boolean {
    return !this.#tried.has(`${client} ${mid}`);
  }

  later(realMs: number, callback: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      callback();
    }, realMs);
    this.#timers.add(timer);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => {});
    const client = new URL(request.url ?? '', 'ws://x').searchParams.get('client') ?? '';
    this.handshakes.set(client, (this.handshakes.get(client) ?? 0) + 1);
    this.tickets.look(client, request.headers['sec-websocket-protocol'] ?? '');
    const fault = this.faults.at('upgrade', client);
    if (fault?.do === 'hang') return;
    if (fault?.do === 'status') socket.end(`HTTP/1.1 ${fault.status} No\r\nContent-Length: 0\r\n\r\n`);
    else if (fault?.do === 'end' && fault.ending.by !== 'close' && fault.ending.by !== 'disconnect') socket.destroy();
    else {
      // The handshake's answer and what comes right behind it go out in one write.
      socket.cork();
      this.#webSockets.handleUpgrade(request, socket, head, (ws) => {
        if (fault?.do === 'end') refuse(ws, fault);
        else this.#open(new HostileConnection(this, client, ws, socket));
      });
      socket.uncork();
    }
  }

  #open(connection: HostileConnection): void {
    this.connections.add(connection);
    connection.opened();
  }
}

function refuse(ws: WebSocket, { ending }: Fault & { do: 'end' }): void {
  ws.on('error', () => {});
  if (ending.by === 'disconnect') ws.send(disconnectPush(ending.code, ending.afterMs));
  if (ending.by === 'disconnect' || ending.by === 'close') ws.close(ending.code === 1005 ? undefined : ending.code);
}

function gapKey({ from, to }: Gap): string {
  return JSON.stringify([from?.epoch, from?.offset, to.epoch, to.offset]);
}

/** All incarnations of a room, by their epochs. */
export function incarnationOf(room: ModelRoom, epoch: string): Incarnation | undefined {
  return room.incarnations.find((incarnation) => incarnation.epoch === epoch);
}

const LIMITS: Limits = {
  frameBytesMax: 65_536,
  serverFrameBytesMax: 1_048_576,
  dataBytesMax: 16_384,
  signalBytesMax: 1_024,
  roomsMax: 256,
  watchesMax: 200,
  historyMax: 300,
  publishesUnansweredMax: 32,
  commands: null,
  publishes: null,
  signals: null,
  bytes: null,
};
