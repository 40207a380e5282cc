import { InboxBytes } from '../../../src/gateway/inbox.ts';
import { loadUws, type UwsLibrary, type UwsSocket } from '../../../src/gateway/uws-library.ts';
import { UwsShared, UwsTransport } from '../../../src/gateway/uws-transport.ts';
import { TimerWheel } from '../../../src/limits/timer-wheel.ts';

/** The library, which is installed with the others. @throws with the reason if it does not load */
export function uws(): UwsLibrary {
  const loaded = loadUws();
  if (loaded.library === null) throw new Error(loaded.why);
  return loaded.library;
}

type Accepted = { readonly transport: UwsTransport };

/** A port of uWebSockets.js that gives each WebSocket a transport, and no session. */
export class UwsPort {
  readonly inboxBytes = new InboxBytes(4_096, 8_192);
  readonly #library = uws();
  readonly #shared = new UwsShared(new TimerWheel(), this.inboxBytes);
  #onOpen: (transport: UwsTransport) => void = () => {};
  #listening: object | false = false;

  listen(): Promise<number> {
    const { App, DISABLED, us_socket_local_port } = this.#library;
    const app = App().ws<Accepted>('/', {
      compression: DISABLED,
      maxPayloadLength: 131_072,
      maxBackpressure: 0,
      idleTimeout: 120,
      sendPingsAutomatically: true,
      upgrade: (response, request, context) => {
        const transport = new UwsTransport('192.0.2.1', this.#shared);
        response.upgrade({ transport }, request.getHeader('sec-websocket-key'), '', '', context);
      },
      open: (socket: UwsSocket & Accepted) => {
        socket.transport.open(socket);
        this.#onOpen(socket.transport);
      },
      message: ({ transport }, message, isBinary) => transport.receive(message, isBinary),
      ping: ({ transport }) => transport.heard(),
      pong: ({ transport }) => transport.heard(),
      drain: ({ transport }) => transport.drained(),
      close: ({ transport }, code) => transport.closed(code),
    });
    return new Promise((resolve, reject) => {
      app.listen('127.0.0.1', 0, (token) => {
        this.#listening = token;
        if (token === false) reject(new Error('cannot listen'));
        else resolve(us_socket_local_port(token));
      });
    });
  }

  accepted(): Promise<UwsTransport> {
    return new Promise((resolve) => {
      this.#onOpen = resolve;
    });
  }

  async close(): Promise<void> {
    if (this.#listening !== false) this.#library.us_listen_socket_close(this.#listening);
    this.#shared.wheel.close();
  }
}
