import { type Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';

/**
 * Destroys a server's connections with a reset, under TLS too. An orderly end of a peer that has vanished would leave
 * its socket with the kernel for minutes; and only the raw socket below a TLS one can be reset.
 */
export class Resets {
  /** Raw sockets whose TLS handshake is under way, by what both sockets know of their peer. */
  readonly #handshaking = new Map<string, Socket>();
  readonly #raw = new WeakMap<Duplex, Socket>();

  constructor(server: Server, isTls: boolean) {
    if (!isTls) return;
    server.on('connection', (raw: Socket) => {
      const key = peerOf(raw);
      this.#handshaking.set(key, raw);
      raw.once('close', () => {
        if (this.#handshaking.get(key) === raw) this.#handshaking.delete(key);
      });
    });
    server.on('secureConnection', (socket: TLSSocket) => {
      const key = peerOf(socket);
      const raw = this.#handshaking.get(key);
      this.#handshaking.delete(key);
      if (raw !== undefined) this.#raw.set(socket, raw);
    });
  }

  /** The socket below a TLS one whose handshake is done; another one is its own. */
  rawOf(socket: Duplex): Duplex | undefined {
    return socket instanceof TLSSocket ? this.#raw.get(socket) : socket;
  }

  /** Idempotent. While an orderly end is being sent, the system takes no reset, and it is left at destroying. */
  reset(socket: Duplex): void {
    const raw = this.rawOf(socket);
    const isEnding = socket.writableEnded && socket.writableLength === 0 && !socket.writableFinished;
    if (raw instanceof Socket && !isEnding) raw.resetAndDestroy();
    else socket.destroy();
  }
}

function peerOf({ remoteAddress, remotePort, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localPort}`;
}
