import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  createServer as createTlsServer,
  type SecureContextOptions,
  type TlsOptions,
  type Server as TlsServer,
} from 'node:tls';
import type { Gateway } from '../gateway/gateway.ts';
import { Resets } from '../gateway/resets.ts';
import { CLOSE_TIMEOUT_MS, REFUSALS_MAX } from '../gateway/transport.ts';
import { Timeout } from '../limits/timer-wheel.ts';
import type { DisconnectReason } from '../protocol/disconnects.ts';
import { ndjsonDialect } from '../protocol/json-dialect.ts';
import { TextDialect } from '../protocol/text-dialect.ts';
import { plainAddress } from '../proxies/plain-address.ts';
import { ProxyHeaderReader } from '../proxies/proxy-header.ts';
import type { TrustedProxies } from '../proxies/trusted-proxies.ts';
import { FirstBytes, type FirstBytesListener, type FirstBytesSettings } from './first-bytes.ts';
import { ModeDetector } from './mode.ts';
import { type TcpShared, TcpTransport } from './tcp-transport.ts';
import { UnacknowledgedWatch } from './unacknowledged.ts';

export interface TcpServerSettings {
  /** Milliseconds for a connection's first line, as long as it is not known to be a JSON client. */
  readonly firstLineTimeoutMs: number;
  /** Milliseconds of silence after which a person is greeted. */
  readonly greetingMs: number;
  /** Milliseconds for a proxy's header, where one must come or has begun to. */
  readonly headerTimeoutMs: number;
  /** Milliseconds of silence after which the kernel asks whether the peer is still there. */
  readonly keepaliveMs: number;
  /** Milliseconds after which a peer is given up that acknowledges nothing and has no heartbeats. */
  readonly unacknowledgedMs: number;
  /** Connections that may be open at a time; some more are told so, and what is beyond those is dropped. */
  readonly connectionsMax: number;
  readonly tls: TlsOptions | null;
  readonly trustedProxies: TrustedProxies;
  /** Whether the connections of trusted proxies begin with a PROXY header. */
  readonly proxyProtocol: 'optional' | 'required' | 'off';
}

/** The kernel's table of connections is looked at so often within the time after which a peer is given up. */
const LOOKS = 6;
const NOTHING = Buffer.alloc(0);

/** What is known of a connection when its client begins to speak. */
interface Arrival {
  /** A plain address. */
  readonly client: string;
  /** What came behind a header, or instead of one. */
  readonly received: Buffer;
  readonly wasGreeted: boolean;
}

/**
 * The raw TCP port: finds out where each connection comes from and its mode, and gives it a session. The stages of one:
 * from a trusted proxy its header; TLS where that is wanted; admission; its first bytes, which tell the mode.
 */
export class TcpServer {
  /** For the composition root to listen with. */
  readonly server: Server;
  /** Does not listen: it is handed connections whose TLS handshake comes next. */
  readonly #tlsServer: TlsServer | null;
  readonly #gateway: Gateway;
  readonly #settings: TcpServerSettings;
  readonly #shared: TcpShared;
  /** Connections that have to say something before they get a session. */
  readonly #waiting = new Map<Socket, FirstBytes>();
  /** Where the clients are whose TLS handshake is under way, by the raw socket. */
  readonly #clients = new WeakMap<Duplex, string>();

  constructor(gateway: Gateway, settings: TcpServerSettings) {
    this.#gateway = gateway;
    this.#settings = settings;
    // The client's FIN must not cut off the replies to what it sent before.
    const options = {
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: settings.keepaliveMs,
    };
    this.server = createServer(options, (socket) => this.#connected(socket));
    const { tls, unacknowledgedMs } = settings;
    this.#tlsServer = tls === null ? null : createTlsServer({ ...tls, handshakeTimeout: 10_000 });
    this.#shared = {
      wheel: gateway.wheel,
      resets: new Resets(this.#tlsServer ?? this.server, tls !== null),
      unacknowledged: new UnacknowledgedWatch({ timeoutMs: unacknowledgedMs, pollMs: unacknowledgedMs / LOOKS }),
    };
    // Behind the listener of the resets, which know the raw socket then.
    this.#tlsServer?.on('secureConnection', (socket) => this.#accept(socket, arrivalOf(this.#clientOf(socket))));
    this.server.maxConnections = settings.connectionsMax + REFUSALS_MAX;
    this.server.on('drop', () => {
      gateway.tally.refusals.dropped += 1;
    });
  }

  /** Has new connections use another certificate and key. @throws if they don't fit */
  setCertificate(pair: SecureContextOptions): void {
    this.#tlsServer?.setSecureContext(pair);
  }

  /** Stops accepting, and sends away who has no session yet; sessions are the gateway's to end. */
  close(): void {
    this.server.close();
    for (const socket of [...this.#waiting.keys()]) this.#sendAway(socket, 'drain');
  }

  #connected(socket: Socket): void {
    // A broken connection is reported by 'close' as well, and nobody else's concern.
    socket.on('error', () => {});
    const { trustedProxies, proxyProtocol } = this.#settings;
    const peer = plainAddress(socket.remoteAddress);
    if (proxyProtocol !== 'off' && trustedProxies.includes(peer)) this.#awaitHeader(socket, peer);
    else this.#goOn(socket, arrivalOf(peer));
  }

  /** Who owes a header is counted as a connection of no address, of which it is not known what it speaks. */
  #awaitHeader(socket: Socket, peer: string): void {
    const refused = this.#gateway.admit(null);
    if (refused !== null) {
      this.#refuse(socket, refused);
      return;
    }
    const release = () => this.#gateway.released(null);
    socket.once('close', release);
    const { headerTimeoutMs, firstLineTimeoutMs, greetingMs, proxyProtocol } = this.#settings;
    // Where no header need come, it may be a person who waits for the first word.
    const mayBePerson = proxyProtocol === 'optional' && this.#tlsServer === null;
    const reader = new ProxyHeaderReader();
    const wait = mayBePerson
      ? { timeoutMs: firstLineTimeoutMs, greetingMs }
      : { timeoutMs: headerTimeoutMs, greetingMs: null };
    const onData = (chunk: Buffer) => {
      const hadBegun = reader.hasBegun;
      const outcome = reader.push(chunk);
      if (outcome === 'more') {
        if (mayBePerson && reader.hasBegun && !hadBegun) first.expectWithin(headerTimeoutMs);
        return;
      }
      first.end();
      if (outcome === 'malformed' || (outcome === 'absent' && proxyProtocol === 'required')) {
        this.#gateway.tally.refusals.bad_proxy_header += 1;
        socket.destroy();
        return;
      }
      socket.off('close', release);
      release();
      this.#goOn(socket, { client: reader.client ?? peer, received: reader.rest, wasGreeted: first.wasGreeted });
    };
    const onEnd = () => {
      // Who merely looks whether somebody listens has done nothing wrong.
      if (reader.hasBegun) this.#gateway.tally.refusals.bad_proxy_header += 1;
      socket.end();
    };
    const first = this.#awaitFirst(socket, wait, { onData, onEnd });
  }

  /** The header, if there was one, has been read. */
  #goOn(socket: Socket, arrival: Arrival): void {
    if (this.#tlsServer === null) {
      this.#accept(socket, arrival);
      return;
    }
    this.#clients.set(socket, arrival.client);
    socket.pause();
    if (arrival.received.length > 0) socket.unshift(arrival.received);
    this.#tlsServer.emit('connection', socket);
  }

  /** Of a connection whose TLS handshake is done. */
  #clientOf(socket: Socket): string {
    const raw = this.#shared.resets.rawOf(socket);
    return (raw && this.#clients.get(raw)) ?? plainAddress(socket.remoteAddress);
  }

  #accept(socket: Socket, arrival: Arrival): void {
    if (this.#tlsServer !== null) socket.on('error', () => {});
    const { client } = arrival;
    const refused = this.#gateway.admit(client);
    if (refused !== null) {
      this.#refuse(socket, refused);
      return;
    }
    this.#gateway.tally.connections.tcp += 1;
    socket.once('close', () => this.#gateway.released(client));
    this.#findOutMode(socket, arrival);
  }

  /** Apart from what lasts as long as the connection: nothing of this is kept once the mode is known. */
  #findOutMode(socket: Socket, { client, received, wasGreeted }: Arrival): void {
    const detector = new ModeDetector();
    const onData = (chunk: Buffer) => {
      const mode = detector.push(chunk);
      if (mode === 'unknown') return;
      first.end();
      if (mode === 'foreign') {
        this.#gateway.tally.refusals.foreign += 1;
        socket.destroy();
      } else this.#open(socket, client, detector, mode);
    };
    const { firstLineTimeoutMs, greetingMs } = this.#settings;
    const wait = { timeoutMs: firstLineTimeoutMs, greetingMs: wasGreeted ? null : greetingMs };
    const first = this.#awaitFirst(socket, wait, { onData, onEnd: () => socket.end() });
    if (received.length > 0) first.hear(received);
  }

  #awaitFirst(
    socket: Socket,
    wait: FirstBytesSettings,
    listener: Pick<FirstBytesListener, 'onData' | 'onEnd'>,
  ): FirstBytes {
    const first = new FirstBytes(socket, this.#shared.wheel, wait, {
      ...listener,
      onTimeout: () => this.#sendAway(socket, 'connect_timeout'),
      onDone: () => {
        this.#waiting.delete(socket);
        this.#gateway.modeless = this.#waiting.size;
      },
    });
    this.#waiting.set(socket, first);
    this.#gateway.modeless = this.#waiting.size;
    return first;
  }

  #open(socket: Socket, client: string, { received }: ModeDetector, mode: 'json' | 'text'): void {
    const transport = new TcpTransport(socket, client, received, this.#shared);
    const dialect = mode === 'json' ? ndjsonDialect : new TextDialect();
    transport.attach(this.#gateway.openSession(transport, dialect, mode === 'json'));
  }

  /** {@link #refuse} for who was admitted. */
  #sendAway(socket: Socket, reason: 'drain' | 'connect_timeout'): void {
    this.#gateway.tally.refusals[reason] += 1;
    this.#refuse(socket, reason);
  }

  /** Sends a connection away that has no session; programs and people can read the line. */
  #refuse(socket: Socket, reason: DisconnectReason): void {
    this.#waiting.get(socket)?.end();
    const { wheel, resets } = this.#shared;
    const { framing } = ndjsonDialect;
    if (this.#tlsServer !== null && resets.rawOf(socket) === socket) {
      // Before its TLS handshake there are no words.
      resets.reset(socket);
      return;
    }
    for (const payload of ndjsonDialect.disconnect(reason, this.#gateway.comeBackMs(reason))) {
      socket.write(framing.frame([payload]));
    }
    socket.end();
    socket.resume();
    const refused = new Timeout(() => resets.reset(socket));
    wheel.set(refused, CLOSE_TIMEOUT_MS);
    socket.once('close', () => wheel.clear(refused));
  }
}

/** Of a connection that has said nothing. */
function arrivalOf(client: string): Arrival {
  return { client, received: NOTHING, wasGreeted: false };
}
