import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { DeadlineQueue } from '../gateway/deadline-queue.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { CLOSE_TIMEOUT_MS, REFUSALS_MAX } from '../gateway/transport.ts';
import type { DisconnectReason } from '../protocol/disconnects.ts';
import { ndjsonDialect } from '../protocol/json-dialect.ts';
import { GREETING, TextDialect } from '../protocol/text-dialect.ts';
import { ModeDetector } from './mode.ts';
import { TcpTransport } from './tcp-transport.ts';

export interface TcpServerSettings {
  /** Milliseconds for a connection's first line, as long as it is not known to be a JSON client. */
  readonly firstLineTimeoutMs: number;
  /** Milliseconds of silence after which a person is greeted. */
  readonly greetingMs: number;
  /** Connections that may be open at a time; some more are told so, and what is beyond those is dropped. */
  readonly connectionsMax: number;
  readonly tls: TlsOptions | null;
}

/** Milliseconds of silence after which the kernel asks whether the peer is still there. */
const KEEPALIVE_MS = 60_000;

/** The raw TCP port: finds out each connection's mode and gives it a session. */
export class TcpServer {
  /** For the composition root to listen with and to reload certificates. */
  readonly server: Server;
  readonly #gateway: Gateway;
  readonly #silent: DeadlineQueue<Socket>;
  readonly #modeless: DeadlineQueue<Socket>;
  readonly #closing = new DeadlineQueue<TcpTransport>(CLOSE_TIMEOUT_MS, (transport) => transport.terminate());
  readonly #refused = new DeadlineQueue<Socket>(CLOSE_TIMEOUT_MS, (socket) => socket.destroy());

  constructor(gateway: Gateway, settings: TcpServerSettings) {
    this.#gateway = gateway;
    this.#silent = new DeadlineQueue(settings.greetingMs, (socket) => socket.write(GREETING));
    this.#modeless = new DeadlineQueue(settings.firstLineTimeoutMs, (socket) =>
      this.#refuse(socket, 'connect_timeout'),
    );
    // The client's FIN must not cut off the replies to what it sent before.
    const options = { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MS };
    const onConnection = (socket: Socket) => this.#accept(socket);
    this.server =
      settings.tls === null
        ? createServer(options, onConnection)
        : createTlsServer({ ...options, ...settings.tls, handshakeTimeout: 10_000 }, onConnection);
    this.server.maxConnections = settings.connectionsMax + REFUSALS_MAX;
  }

  /** Stops accepting, and sends away who has no session yet; sessions are the gateway's to end. */
  close(): void {
    this.server.close();
    for (const socket of [...this.#modeless]) this.#refuse(socket, 'drain');
    this.#silent.close();
    this.#modeless.close();
  }

  #accept(socket: Socket): void {
    // A broken connection is reported by 'close' as well, and nobody else's concern.
    socket.on('error', () => {});
    const refused = this.#gateway.admit();
    if (refused !== null) {
      this.#refuse(socket, refused);
      return;
    }
    socket.once('close', () => this.#gateway.released());
    const detector = new ModeDetector();
    const forget = () => {
      this.#silent.delete(socket);
      this.#modeless.delete(socket);
    };
    const onData = (chunk: Buffer) => {
      this.#silent.delete(socket);
      const mode = detector.push(chunk);
      if (mode === 'unknown') return;
      forget();
      socket.off('data', onData).off('end', onEnd).off('close', forget);
      if (mode === 'foreign') socket.destroy();
      else this.#open(socket, detector, mode);
    };
    const onEnd = () => socket.end();
    socket.on('data', onData).on('end', onEnd).on('close', forget);
    this.#silent.set(socket);
    this.#modeless.set(socket);
  }

  #open(socket: Socket, { received }: ModeDetector, mode: 'json' | 'text'): void {
    const transport = new TcpTransport(socket, received, this.#closing);
    const dialect = mode === 'json' ? ndjsonDialect : new TextDialect();
    transport.attach(this.#gateway.open(transport, dialect, mode === 'json'));
  }

  /** Sends a connection away that has no session; programs and people can read the line. */
  #refuse(socket: Socket, reason: DisconnectReason): void {
    const { framing } = ndjsonDialect;
    for (const payload of ndjsonDialect.disconnect(reason, this.#gateway.afterMs())) {
      socket.write(framing.frame([payload]));
    }
    socket.end();
    socket.resume();
    this.#refused.set(socket);
    socket.once('close', () => this.#refused.delete(socket));
  }
}
