import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { Duplex } from 'node:stream';
import type { TlsOptions } from 'node:tls';
import { type WebSocket, WebSocketServer } from 'ws';
import { BOUNDS } from '../protocol/bounds.ts';
import { DISCONNECTS, type DisconnectReason } from '../protocol/disconnects.ts';
import { websocketDialect } from '../protocol/json-dialect.ts';
import type { Gateway } from './gateway.ts';
import type { HostRules } from './host-rules.ts';
import { Resets } from './resets.ts';
import { CLOSE_TIMEOUT_MS, REFUSALS_MAX } from './transport.ts';
import type { WebPage } from './web-page.ts';
import { WsTransport } from './ws-transport.ts';

export interface PublicServerSettings {
  /** Connections that may be open at a time; some more are told so, and what is beyond those is dropped. */
  readonly connectionsMax: number;
  readonly tls: TlsOptions | null;
}

const WS_PATH = '/ws';
const SUBPROTOCOL = 'tidegate.v1';
const FORBIDDEN = '403 Forbidden';
/** Milliseconds for a request's headers, and for all of it: no client of ours has a body. */
const REQUEST_TIMEOUT_MS = 10_000;

/** Frames of one message, and chunks of one frame; more end the connection (1008). */
const PIECES_MAX = 1_024;

/** `closeTimeout` is younger than the library's types, so that the options are not written in place. */
const WS_OPTIONS = {
  noServer: true,
  perMessageDeflate: false,
  maxPayload: BOUNDS.frameBytesMax,
  // A message in tiny pieces costs many times its bytes, before any limit of ours sees it.
  maxBufferedChunks: PIECES_MAX,
  maxFragments: PIECES_MAX,
  // The transport has its own timeout, which resets; this one is for who is refused.
  closeTimeout: 2 * CLOSE_TIMEOUT_MS,
  clientTracking: false,
  handleProtocols: (offered: Set<string>) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
} as const;

/** The public HTTP port: WebSockets at `/ws`, the chat page at `/`. */
export class PublicServer {
  /** For the composition root to listen with and to reload certificates. */
  readonly server: Server | TlsServer;
  readonly #gateway: Gateway;
  readonly #rules: HostRules;
  readonly #page: WebPage;
  readonly #resets: Resets;
  readonly #webSockets = new WebSocketServer(WS_OPTIONS);

  constructor(gateway: Gateway, rules: HostRules, page: WebPage, { connectionsMax, tls }: PublicServerSettings) {
    this.#gateway = gateway;
    this.#rules = rules;
    this.#page = page;
    const onRequest = (request: IncomingMessage, response: ServerResponse) => this.#request(request, response);
    this.server = tls === null ? createServer(onRequest) : createTlsServer(tls, onRequest);
    this.#resets = new Resets(this.server, tls !== null);
    this.server.headersTimeout = REQUEST_TIMEOUT_MS;
    this.server.requestTimeout = REQUEST_TIMEOUT_MS;
    this.server.maxConnections = connectionsMax + REFUSALS_MAX;
    this.server.on('drop', () => {
      gateway.tally.refusals.dropped += 1;
    });
    this.server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
  }

  close(): void {
    this.server.close();
    this.server.closeIdleConnections();
  }

  #request(request: IncomingMessage, response: ServerResponse): void {
    const path = pathOf(request.url);
    if (!this.#rules.allowsHost(request.headers.host)) {
      answer(response, 403, 'This host name is not allowed (TIDEGATE_HOSTS).');
    } else if (path === WS_PATH) {
      response.setHeader('Upgrade', 'websocket');
      answer(response, 426, 'This is a WebSocket.');
    } else if (!this.#page.serve(path, request, response)) {
      answer(response, 404, 'There is nothing here.');
    }
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // A broken connection is reported by 'close' as well, and nobody else's concern.
    socket.on('error', () => {});
    const status = this.#refusal(request);
    if (status !== null) {
      this.#gateway.tally.refusals[status === FORBIDDEN ? 'forbidden' : 'bad_handshake'] += 1;
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    const address = request.socket.remoteAddress ?? '';
    const refused = this.#gateway.admit(address);
    if (refused === null) {
      this.#gateway.tally.connections.websocket += 1;
      socket.once('close', () => this.#gateway.released(address));
    }
    // The handshake's answer and a refusal go out in one write.
    socket.cork();
    this.#webSockets.handleUpgrade(request, socket, head, (ws) => {
      if (refused === null) this.#open(ws, socket, address);
      else refuse(ws, socket, refused, this.#gateway.comeBackMs(refused));
    });
    socket.uncork();
  }

  /** The HTTP status for what is no client of ours, or null. */
  #refusal({ url, headers }: IncomingMessage): string | null {
    if (pathOf(url) !== WS_PATH) return '404 Not Found';
    const { host, origin } = headers;
    if (!this.#rules.allowsHost(host) || !this.#rules.allowsOrigin(origin, host)) return FORBIDDEN;
    return speaksOurs(headers['sec-websocket-protocol']) ? null : '400 Bad Request';
  }

  #open(ws: WebSocket, socket: Duplex, remoteAddress: string): void {
    const transport = new WsTransport(ws, socket, remoteAddress, this.#resets, this.#gateway.wheel);
    transport.attach(this.#gateway.openSession(transport, websocketDialect, true));
  }
}

/** A page cannot see an HTTP status on an upgrade, so a client that is sent away is told in a push. */
function refuse(ws: WebSocket, socket: Duplex, reason: DisconnectReason, afterMs: number | null): void {
  ws.on('error', () => {});
  const { framing } = websocketDialect;
  for (const payload of websocketDialect.disconnect(reason, afterMs)) socket.write(framing.frame([payload]));
  ws.close(DISCONNECTS[reason].code, reason);
}

/** Whether the client asked for no subprotocol, or for ours among others. */
function speaksOurs(offered: string | undefined): boolean {
  return offered === undefined || offered.split(',').some((name) => name.trim() === SUBPROTOCOL);
}

function answer(response: ServerResponse, status: number, text: string): void {
  response
    .writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', 'X-Content-Type-Options': 'nosniff' })
    .end(`${text}\n`);
}

function pathOf(url: string | undefined): string {
  return (url ?? '/').replace(/[?#].*$/, '');
}
