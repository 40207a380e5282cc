import WebSocket from 'ws';
import { type Environment, globalEnvironment, type Socket, type SocketEvents } from '../../src/client/environment.ts';
import type { Recorder } from '../recorder.ts';
import type { Entrance } from './entrance.ts';

const DISCONNECT = /"push":"disconnect","code":(\d+)/;
const RECOVERED = /"recovered":(true|false)/g;
const RESYNC = '"push":"resync"';
const FAILED_CODE = 1006;

/** The network of one client, as its load sees it. */
export interface Line {
  /** Tries to connect so far. */
  readonly attempts: number;
  /** For the client. */
  readonly environment: Environment;
  /** As if its network were gone: nothing passes any more, in neither direction, and neither side is told. */
  vanish(): void;
  /** Breaks the connection that there is, without a word; the client is told. */
  cut(): void;
}

/** What all clients of a load process connect through. Says what becomes of their tries. */
export class Network {
  readonly #entrance: Entrance;
  /** Loopback addresses to come from in turn; none: the system's choice. */
  readonly #addresses: readonly string[];
  readonly #recorder: Recorder;
  #turn = 0;

  constructor(entrance: Entrance, addresses: readonly string[], recorder: Recorder) {
    this.#entrance = entrance;
    this.#addresses = addresses;
    this.#recorder = recorder;
  }

  /** A client's line. Where it comes by, the network decides anew each time, whatever the client's URL says. */
  line(): Line {
    return new ClientLine((subprotocols, events) => this.#open(subprotocols, events), this.#recorder);
  }

  #open(subprotocols: readonly string[], events: SocketEvents): WebSocket {
    const localAddress = this.#addresses[this.#turn++ % this.#addresses.length];
    const socket = new WebSocket(this.#entrance.next(), [...subprotocols], {
      perMessageDeflate: false,
      skipUTF8Validation: true,
      ...(localAddress && { localAddress }),
    });
    let why: string | undefined;
    socket.on('open', events.onOpen);
    socket.on('message', (data: Buffer) => events.onMessage(data.toString()));
    // Said before the close that always follows.
    socket.on('error', (error) => {
      why = reasonOf(error);
    });
    socket.on('close', (code, reason) => {
      if (why !== undefined) this.#recorder.count(`failed: ${why}`);
      events.onClose(code, reason.toString());
    });
    return socket;
  }
}

class ClientLine implements Line {
  attempts = 0;
  readonly environment: Environment;
  readonly #recorder: Recorder;
  readonly #connect: (subprotocols: readonly string[], events: SocketEvents) => WebSocket;
  #socket: WebSocket | undefined;
  #hasBeenWelcome = false;
  #hasVanished = false;

  constructor(connect: (subprotocols: readonly string[], events: SocketEvents) => WebSocket, recorder: Recorder) {
    this.#connect = connect;
    this.#recorder = recorder;
    this.environment = {
      ...globalEnvironment,
      openSocket: (_url, subprotocols, events) => this.#open(subprotocols, events),
    };
  }

  vanish(): void {
    this.#hasVanished = true;
    this.#socket?.pause();
  }

  cut(): void {
    this.#socket?.terminate();
  }

  #open(subprotocols: readonly string[], events: SocketEvents): Socket {
    if (this.#hasVanished) return SILENT;
    this.attempts += 1;
    this.#recorder.count('attempts');
    const socket = this.#connect(subprotocols, {
      onOpen: () => this.#hasVanished || events.onOpen(),
      onMessage: (data) => {
        if (this.#hasVanished) return;
        this.#note(data as string);
        events.onMessage(data);
      },
      onClose: (code, reason) => {
        if (this.#hasVanished) return;
        if (code !== FAILED_CODE) this.#recorder.count(`closed: ${code}`);
        events.onClose(code, reason);
      },
    });
    this.#socket = socket;
    return {
      send: (text) => this.#hasVanished || socket.send(text),
      close: (code, reason) => this.#hasVanished || socket.close(code, reason),
    };
  }

  /** Counts what the client keeps to itself. */
  #note(text: string): void {
    const disconnect = DISCONNECT.exec(text);
    if (disconnect !== null) this.#recorder.count(`disconnect: ${disconnect[1]}`);
    if (text.includes(RESYNC)) this.#recorder.count('rooms told to resync');
    for (const [, recovered] of text.matchAll(RECOVERED)) {
      // Who joins for the first time has nothing to recover.
      if (this.#hasBeenWelcome) this.#recorder.count(recovered === 'true' ? 'rooms recovered' : 'rooms not recovered');
      else this.#hasBeenWelcome = true;
    }
  }
}

const SILENT: Socket = { send: () => {}, close: () => {} };

/** In a few words, which are the same for all to which the same has happened. */
function reasonOf(error: Error): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}
