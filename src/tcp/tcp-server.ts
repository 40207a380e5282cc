import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import type { Gateway } from '../gateway/gateway.ts';
import { Resets } from '../gateway/resets.ts';
import { CLOSE_TIMEOUT_MS, REFUSALS_MAX } from '../gateway/transport.ts';
import { Timeout } from '../limits/timer-wheel.ts';
import type { DisconnectReason } from '../protocol/disconnects.ts';
import { ndjsonDialect } from '../protocol/json-dialect.ts';
import { GREETING, TextDialect } from '../protocol/text-dialect.ts';
import { ModeDetector } from './mode.ts';
import { type TcpShared, TcpTransport } from './tcp-transport.ts';
import { UnacknowledgedWatch } from './unacknowledged.ts';

export interface TcpServerSettings {
  /** Milliseconds for a connection's first line, as long as it is not known to be a JSON client. */
  readonly firstLineTimeoutMs: number;
  /** Milliseconds of silence after which a person is greeted. */
  readonly greetingMs: number;
  /** Milliseconds of silence after which the kernel asks whether the peer is still there. */
  readonly keepaliveMs: number;
  /** Milliseconds after which a peer is given up that acknowledges nothing and has no heartbeats. */
  readonly unacknowledgedMs: number;
  /** Connections that may be open at a time; some more are told so, and what is beyond those is dropped. */
  readonly connectionsMax: number;
  readonly tls: TlsOptions | null;
}

/** The kernel's table of connections is looked at so often within the time after which a peer is given up. */
const LOOKS = 6;

/** The raw TCP port: finds out each connection's mode and gives it a session. */
export class TcpServer {
  /** For the composition root to listen with and to reload certificates. */
  readonly server: Server;
  readonly #gateway: Gateway;
  readonly #settings: TcpServerSettings;
  readonly #shared: TcpShared;
  /** Connections whose mode is not known yet, each with what ends its waiting. */
  readonly #modeless = new Map<Socket, () => void>();

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
    const onConnection = (socket: Socket) => this.#accept(socket);
    this.server =
      settings.tls === null
        ? createServer(options, onConnection)
        : createTlsServer({ ...options, ...settings.tls, handshakeTimeout: 10_000 }, onConnection);
    const { unacknowledgedMs } = settings;
    this.#shared = {
      wheel: gateway.wheel,
      resets: new Resets(this.server, settings.tls !== null),
      unacknowledged: new UnacknowledgedWatch({ timeoutMs: unacknowledgedMs, pollMs: unacknowledgedMs / LOOKS }),
    };
    this.server.maxConnections = settings.connectionsMax + REFUSALS_MAX;
    this.server.on('drop', () => {
      gateway.tally.refusals.dropped += 1;
    });
  }

  /** Stops accepting, and sends away who has no session yet; sessions are the gateway's to end. */
  close(): void {
    this.server.close();
    for (const socket of [...this.#modeless.keys()]) this.#sendAway(socket, 'drain');
  }

  #accept(socket: Socket): void {
    // A broken connection is reported by 'close' as well, and nobody else's concern.
    socket.on('error', () => {});
    const address = socket.remoteAddress ?? '';
    const refused = this.#gateway.admit(address);
    if (refused !== null) {
      this.#refuse(socket, refused);
      return;
    }
    this.#gateway.tally.connections.tcp += 1;
    socket.once('close', () => this.#gateway.released(address));
    this.#findOutMode(socket);
  }

  /** Apart from what lasts as long as the connection: nothing of this is kept once the mode is known. */
  #findOutMode(socket: Socket): void {
    const { wheel } = this.#shared;
    const detector = new ModeDetector();
    const silent = new Timeout(() => socket.write(GREETING));
    const modeless = new Timeout(() => this.#sendAway(socket, 'connect_timeout'));
    const forget = () => {
      wheel.clear(silent);
      wheel.clear(modeless);
      this.#modeless.delete(socket);
      this.#gateway.modeless = this.#modeless.size;
    };
    const onData = (chunk: Buffer) => {
      wheel.clear(silent);
      const mode = detector.push(chunk);
      if (mode === 'unknown') return;
      forget();
      socket.off('data', onData).off('end', onEnd).off('close', forget);
      if (mode === 'foreign') {
        this.#gateway.tally.refusals.foreign += 1;
        socket.destroy();
      } else this.#open(socket, detector, mode);
    };
    const onEnd = () => socket.end();
    socket.on('data', onData).on('end', onEnd).on('close', forget);
    wheel.set(silent, this.#settings.greetingMs);
    wheel.set(modeless, this.#settings.firstLineTimeoutMs);
    this.#modeless.set(socket, forget);
    this.#gateway.modeless = this.#modeless.size;
  }

  #open(socket: Socket, { received }: ModeDetector, mode: 'json' | 'text'): void {
    const transport = new TcpTransport(socket, received, this.#shared);
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
    this.#modeless.get(socket)?.();
    const { framing } = ndjsonDialect;
    for (const payload of ndjsonDialect.disconnect(reason, this.#gateway.comeBackMs(reason))) {
      socket.write(framing.frame([payload]));
    }
    socket.end();
    socket.resume();
    const { wheel, resets } = this.#shared;
    const refused = new Timeout(() => resets.reset(socket));
    wheel.set(refused, CLOSE_TIMEOUT_MS);
    socket.once('close', () => wheel.clear(refused));
  }
}
