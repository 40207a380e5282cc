import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { Duplex } from 'node:stream';
import type { SecureContextOptions, TlsOptions } from 'node:tls';
import { type WebSocket, WebSocketServer } from 'ws';
import { listen } from '../listen.ts';
import { BOUNDS } from '../protocol/bounds.ts';
import { DISCONNECTS, type DisconnectReason } from '../protocol/disconnects.ts';
import { websocketDialect } from '../protocol/json-dialect.ts';
import { plainAddress } from '../proxies/plain-address.ts';
import type { TrustedProxies } from '../proxies/trusted-proxies.ts';
import type { Gateway } from './gateway.ts';
import { writeAnswer } from './http-answer.ts';
import { type PublicRules, type PublicServer, refusalKind, SUBPROTOCOL } from './public-port.ts';
import { Resets } from './resets.ts';
import { CLOSE_TIMEOUT_MS, REFUSALS_MAX } from './transport.ts';
import { WsTransport } from './ws-transport.ts';

export interface WsServerSettings {
  /** Connections that may be open at a time; some more are told so, and what is beyond those is dropped. */
  readonly connectionsMax: number;
  readonly tls: TlsOptions | null;
  readonly trustedProxies: TrustedProxies;
}

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

/** The public port on Node's own HTTP server, with `ws` for WebSockets: it runs wherever Node does. */
export class WsServer implements PublicServer {
  readonly #server: Server | TlsServer;
  readonly #gateway: Gateway;
  readonly #rules: PublicRules;
  readonly #trustedProxies: TrustedProxies;
  readonly #resets: Resets;
  readonly #webSockets = new WebSocketServer(WS_OPTIONS);

  constructor(gateway: Gateway, rules: PublicRules, { connectionsMax, tls, trustedProxies }: WsServerSettings) {
    this.#gateway = gateway;
    this.#rules = rules;
    this.#trustedProxies = trustedProxies;
    const onRequest = (request: IncomingMessage, response: ServerResponse) => this.#request(request, response);
    this.#server = tls === null ? createServer(onRequest) : createTlsServer(tls, onRequest);
    this.#resets = new Resets(this.#server, tls !== null);
    this.#server.headersTimeout = REQUEST_TIMEOUT_MS;
    this.#server.requestTimeout = REQUEST_TIMEOUT_MS;
    // Their bytes are bounded. By number Node leaves out the last ones, and so what a proxy adds to a client's many.
    this.#server.maxHeadersCount = 0;
    this.#server.maxConnections = connectionsMax + REFUSALS_MAX;
    this.#server.on('drop', () => {
      gateway.tally.refusals.dropped += 1;
    });
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
  }

  listen(port: number, host: string, backlog: number): Promise<number> {
    return listen(this.#server, port, host, backlog);
  }

  setCertificate(pair: SecureContextOptions): void {
    if ('setSecureContext' in this.#server) this.#server.setSecureContext(pair);
  }

  close(): void {
    this.#server.close();
    this.#server.closeIdleConnections();
  }

  /** Who was admitted is waited for until their connections are gone, which is as good. */
  async settled(): Promise<void> {}

  #request({ method = '', url, headers }: IncomingMessage, response: ServerResponse): void {
    const { host, 'if-none-match': ifNoneMatch } = headers;
    writeAnswer(response, method, this.#rules.answer({ method, path: pathOf(url), host, ifNoneMatch }));
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // A broken connection is reported by 'close' as well, and nobody else's concern.
    socket.on('error', () => {});
    const { host, origin, 'sec-websocket-protocol': protocols } = request.headers;
    const status = this.#rules.handshakeRefusal({ path: pathOf(request.url), host, origin, protocols });
    if (status !== null) {
      this.#gateway.tally.refusals[refusalKind(status)] += 1;
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    const address = this.#trustedProxies.clientOf(plainAddress(request.socket.remoteAddress), () =>
      request.headersDistinct['x-forwarded-for']?.join(),
    );
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

function pathOf(url: string | undefined): string {
  return (url ?? '/').replace(/[?#].*$/, '');
}
