import { once } from 'node:events';
import { STATUS_CODES } from 'node:http';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { accepts, listen } from '../listen.ts';
import { BOUNDS } from '../protocol/bounds.ts';
import { DISCONNECTS, type DisconnectReason } from '../protocol/disconnects.ts';
import { websocketMessageDialect } from '../protocol/json-dialect.ts';
import { plainAddress } from '../proxies/plain-address.ts';
import type { TrustedProxies } from '../proxies/trusted-proxies.ts';
import type { Gateway } from './gateway.ts';
import { offersOurs, type PublicRules, type PublicServer, refusalKind, SUBPROTOCOL, WS_PATH } from './public-port.ts';
import { REFUSALS_MAX } from './transport.ts';
import type { UwsApp, UwsBehavior, UwsLibrary, UwsRequest, UwsResponse, UwsSocket } from './uws-library.ts';
import { UwsShared, UwsTransport } from './uws-transport.ts';

export interface UwsServerSettings {
  /** Connections that may be open at a time; some more are told so, and what is beyond those is dropped. */
  readonly connectionsMax: number;
  /** PEM files. */
  readonly tls: { readonly cert: string; readonly key: string } | null;
  readonly trustedProxies: TrustedProxies;
}

/**
 * A message above this is cut off by the library, without the close code that one just above `frameBytesMax` gets: it
 * has no way to say one.
 */
const MESSAGE_BYTES_MAX = 2 * BOUNDS.frameBytesMax;
/**
 * Seconds of silence after which the library pings, and ends a connection that does not answer within 16. It is for
 * connections whose session has ended; the others have their heartbeats.
 */
const IDLE_TIMEOUT_S = 120;
/** Milliseconds for a peer's kernel to take our last words, before the process may end and reset its connections. */
const LAST_WORDS_MS = 500;
const BAD_REQUEST = '400 Bad Request';
const NOT_MODIFIED = 304;
/** Where an address that stands for all of them can be reached. */
const WILDCARDS: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/** What a connection has of ours: its transport, or, if it was not admitted, why not. */
interface Accepted {
  readonly admitted: UwsTransport | DisconnectReason;
}

/** The public port on uWebSockets.js. */
export class UwsServer implements PublicServer {
  readonly #library: UwsLibrary;
  readonly #gateway: Gateway;
  readonly #rules: PublicRules;
  readonly #settings: UwsServerSettings;
  readonly #shared: UwsShared;
  /** With TLS, it only accepts, and hands on to `#app`, whose certificate is the newest. */
  readonly #acceptor: UwsApp | null;
  #app: UwsApp;
  #listening: object | null = null;
  /** Connections, also those that are no WebSockets. */
  #connections = 0;
  #endedAtMs = Number.NEGATIVE_INFINITY;

  constructor(library: UwsLibrary, gateway: Gateway, rules: PublicRules, settings: UwsServerSettings) {
    this.#library = library;
    this.#gateway = gateway;
    this.#rules = rules;
    this.#settings = settings;
    this.#shared = new UwsShared(gateway.wheel, gateway.inboxBytes);
    this.#app = this.#createApp();
    this.#acceptor = settings.tls === null ? null : library.App();
    this.#acceptor?.addChildAppDescriptor(this.#app.getDescriptor());
  }

  /** The library asks the kernel to queue 512 connections, whatever `_backlog` is. */
  async listen(port: number, host: string, _backlog: number): Promise<number> {
    const address = host.replace(/^\[(.*)\]$/, '$1');
    // Of a port that the library picks, it would not let a restart within the minute have the same one.
    const wanted = port === 0 ? await portOf(0, address) : port;
    if (port !== 0 && (await isTaken(port, address))) await portOf(port, address);
    const token = await new Promise<object | false>((resolve) => {
      (this.#acceptor ?? this.#app).listen(address, wanted, resolve);
    });
    if (token === false) {
      // It doesn't say why; Node does.
      await portOf(port, address);
      throw Object.assign(new Error(`listen failed ${address}:${wanted}`), { syscall: 'listen' });
    }
    this.#listening = token;
    return this.#library.us_socket_local_port(token);
  }

  setCertificate(): void {
    // Sessions go on at the app that has the older one.
    const next = this.#createApp();
    this.#acceptor?.addChildAppDescriptor(next.getDescriptor());
    this.#acceptor?.removeChildAppDescriptor(this.#app.getDescriptor());
    this.#app = next;
  }

  close(): void {
    if (this.#listening !== null) this.#library.us_listen_socket_close(this.#listening);
    this.#listening = null;
  }

  /** The library doesn't tell when a connection that it has ended is gone. */
  async settled(): Promise<void> {
    const leftMs = this.#endedAtMs + LAST_WORDS_MS - performance.now();
    if (leftMs > 0) await sleep(leftMs);
  }

  #createApp(): UwsApp {
    const { App, SSLApp } = this.#library;
    const { tls } = this.#settings;
    const app = tls === null ? App() : SSLApp({ key_file_name: tls.key, cert_file_name: tls.cert });
    return app
      .ws(WS_PATH, this.#behavior())
      .any('/*', (response, request) => this.#request(response, request))
      .filter((response, count) => this.#count(response, count));
  }

  #behavior(): UwsBehavior<Accepted> {
    return {
      compression: this.#library.DISABLED,
      maxPayloadLength: MESSAGE_BYTES_MAX,
      // None: beyond a bound of its own the library leaves messages out in silence. Ours is the outbox's.
      maxBackpressure: 0,
      idleTimeout: IDLE_TIMEOUT_S,
      sendPingsAutomatically: true,
      upgrade: (response, request, context) => this.#upgrade(response, request, context),
      open: (socket) => this.#open(socket),
      message: (socket, message, isBinary) => transportOf(socket)?.receive(message, isBinary),
      ping: (socket) => transportOf(socket)?.heard(),
      pong: (socket) => transportOf(socket)?.heard(),
      drain: (socket) => transportOf(socket)?.drained(),
      close: (socket, code) => this.#closed(transportOf(socket), code),
    };
  }

  /** What is no handshake, or one that the library has not understood. */
  #request(response: UwsResponse, request: UwsRequest): void {
    const method = request.getMethod().toUpperCase();
    if (request.getHeader('upgrade').toLowerCase() === 'websocket') {
      this.#refuseHandshake(response, this.#handshakeRefusal(request) ?? BAD_REQUEST);
      return;
    }
    const { status, headers, body } = this.#rules.answer({
      method,
      path: request.getUrl(),
      host: headerOf(request, 'host'),
      ifNoneMatch: headerOf(request, 'if-none-match'),
    });
    response.writeStatus(`${status} ${STATUS_CODES[status]}`);
    for (const [name, value] of Object.entries(headers)) response.writeHeader(name, value);
    if (method === 'HEAD') {
      // Given as an argument, the library would wait for a body of that length.
      response.writeHeader('Content-Length', String(body?.length ?? 0)).endWithoutBody();
    } else if (status === NOT_MODIFIED) {
      response.endWithoutBody();
    } else {
      response.end(body ?? '');
    }
  }

  #upgrade(response: UwsResponse, request: UwsRequest, context: unknown): void {
    const protocols = headerOf(request, 'sec-websocket-protocol');
    const status = this.#handshakeRefusal(request, protocols);
    if (status !== null) {
      this.#refuseHandshake(response, status);
      return;
    }
    const address = this.#addressOf(response, request);
    const admitted = this.#gateway.admit(address) ?? new UwsTransport(address, this.#shared);
    const key = request.getHeader('sec-websocket-key');
    const protocol = offersOurs(protocols) ? SUBPROTOCOL : '';
    const accepted: Accepted = { admitted };
    response.upgrade(accepted, key, protocol, '', context);
  }

  #addressOf(response: UwsResponse, request: UwsRequest): string {
    const peer = plainAddress(Buffer.from(response.getRemoteAddressAsText()).toString('latin1'));
    return this.#settings.trustedProxies.clientOf(peer, () => linesOf(request, 'x-forwarded-for').join());
  }

  #handshakeRefusal(request: UwsRequest, protocols = headerOf(request, 'sec-websocket-protocol')): string | null {
    const status = this.#rules.handshakeRefusal({
      path: request.getUrl(),
      host: headerOf(request, 'host'),
      origin: headerOf(request, 'origin'),
      protocols,
    });
    // The library leaves the version to us.
    return status ?? (request.getHeader('sec-websocket-version') === '13' ? null : BAD_REQUEST);
  }

  #refuseHandshake(response: UwsResponse, status: string): void {
    this.#gateway.tally.refusals[refusalKind(status)] += 1;
    response.writeStatus(status).end('', true);
  }

  #open(socket: UwsSocket & Accepted): void {
    const transport = transportOf(socket);
    if (transport !== null) {
      this.#gateway.tally.connections.websocket += 1;
      transport.open(socket);
      transport.attach(this.#gateway.openSession(transport, websocketMessageDialect, true));
    } else {
      this.#sendAway(socket, socket.admitted as DisconnectReason);
    }
  }

  /** A page cannot see an HTTP status on an upgrade, so a client that is sent away is told in a push. */
  #sendAway(socket: UwsSocket, reason: DisconnectReason): void {
    for (const payload of websocketMessageDialect.disconnect(reason, this.#gateway.comeBackMs(reason))) {
      socket.send(payload, false, false);
    }
    socket.end(DISCONNECTS[reason].code, reason);
  }

  #closed(transport: UwsTransport | null, code: number): void {
    this.#connections -= 1;
    this.#endedAtMs = performance.now();
    if (transport === null) return;
    transport.closed(code);
    this.#gateway.released(transport.remoteAddress);
  }

  #count(response: UwsResponse, count: number): void {
    this.#connections += count;
    if (count < 0 || this.#connections <= this.#settings.connectionsMax + REFUSALS_MAX) return;
    this.#gateway.tally.refusals.dropped += 1;
    response.close();
  }
}

function transportOf({ admitted }: Accepted): UwsTransport | null {
  return typeof admitted === 'string' ? null : admitted;
}

function headerOf(request: UwsRequest, name: string): string | undefined {
  return request.getHeader(name) || undefined;
}

/** A header's lines in order; of several `getHeader` gives one. */
function linesOf(request: UwsRequest, name: string): string[] {
  const lines: string[] = [];
  request.forEach((key, value) => {
    if (key === name) lines.push(value);
  });
  return lines;
}

/**
 * Whether somebody listens on a port. The library would share it with another process that uses it in the same way, or,
 * told not to, would not have it for a minute after a restart.
 */
function isTaken(port: number, host: string): Promise<boolean> {
  return accepts(port, WILDCARDS[host] ?? host);
}

/** Has Node listen for a moment, and returns the port. @throws Error with `syscall` `listen` if it can't */
async function portOf(port: number, host: string): Promise<number> {
  const server = createServer();
  const used = await listen(server, port, host, 1);
  const closed = once(server, 'close');
  server.close();
  await closed;
  return used;
}
