import { type Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';

/**
 * Destroys a server's connections with a reset, under TLS too. An orderly end of a peer that has vanished would leave
 * its socket with the kernel for minutes; and only the raw socket below a TLS one can be reset.
 */
export class Resets {
  /** Raw sockets below TLS, by what both know of their peer. */
  readonly #raw = new Map<string, Socket>();

  constructor(server: Server, isTls: boolean) {
    if (!isTls) return;
    server.on('connection', (raw: Socket) => {
      const key = peerOf(raw);
      this.#raw.set(key, raw);
      raw.once('close', () => {
        if (this.#raw.get(key) === raw) this.#raw.delete(key);
      });
    });
  }

  /** Idempotent. */
  reset(socket: Duplex): void {
    const raw = socket instanceof TLSSocket ? this.#raw.get(peerOf(socket)) : socket;
    if (raw instanceof Socket) raw.resetAndDestroy();
    else socket.destroy();
  }
}

function peerOf({ remoteAddress, remotePort, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localPort}`;
}
