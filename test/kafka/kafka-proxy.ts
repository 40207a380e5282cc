import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** Kafka's numbers of requests. */
export const API = { produce: 0, fetch: 1, heartbeat: 12 } as const;

/** One request or reply on its way. */
export interface Frame {
  readonly kind: 'request' | 'reply';
  /** Of the request, also for its reply. */
  readonly api: number;
  /** All of it, its length included. */
  readonly bytes: Buffer;
  /** What the client calls itself. */
  readonly client: string;
}

/**
 * What becomes of a frame: `pass` it on, `drop` it, `cut` the connection in its place, or `hold` it, and in order all
 * that comes behind it in its direction, until `release`. A held request reaches the broker even if its client has
 * gone meanwhile. Bytes are passed on in the place of the frame.
 */
export type Fate = 'pass' | 'drop' | 'cut' | 'hold' | Buffer;

const LENGTH_BYTES = 4;
/** Behind the length, the numbers of the request, its version and itself: where the client's name is. */
const CLIENT_AT = LENGTH_BYTES + 8;

/** Stands between clients and one broker, which must name it as its address. */
export class KafkaProxy {
  readonly port: number;
  /** Asked about every frame. */
  rule: (frame: Frame) => Fate = () => 'pass';
  readonly #server: Server;
  readonly #links = new Set<Link>();

  private constructor(server: Server, targetPort: () => number) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (client) => {
      const link = new Link(client, connect({ host: '127.0.0.1', port: targetPort(), allowHalfOpen: true }), (frame) =>
        this.rule(frame),
      );
      this.#links.add(link);
      void link.closed.then(() => this.#links.delete(link));
    });
  }

  /** @param targetPort of the broker, asked for each connection */
  static async open(targetPort: () => number): Promise<KafkaProxy> {
    const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new KafkaProxy(server, targetPort);
  }

  /** Lets go what is held. */
  release(): void {
    for (const link of this.#links) link.release();
  }

  /** Breaks all connections. */
  cutAll(): void {
    for (const link of this.#links) link.cut();
  }

  close(): void {
    this.#server.close();
    this.cutAll();
  }
}

class Link {
  readonly closed: Promise<void>;
  readonly #client: Socket;
  readonly #broker: Socket;
  readonly #requests: Direction;
  readonly #replies: Direction;

  constructor(client: Socket, broker: Socket, rule: (frame: Frame) => Fate) {
    this.#client = client;
    this.#broker = broker;
    /** The requests without a reply, by their number. */
    const asked = new Map<number, Pick<Frame, 'api' | 'client'>>();
    const cut = () => this.cut();
    this.#requests = new Direction(broker, cut, (frame) => {
      const from = CLIENT_AT + 2;
      const name = frame.toString('utf8', from, from + frame.readInt16BE(CLIENT_AT));
      const request = { api: frame.readInt16BE(LENGTH_BYTES), client: name };
      asked.set(frame.readInt32BE(LENGTH_BYTES + 4), request);
      return rule({ kind: 'request', ...request, bytes: frame });
    });
    this.#replies = new Direction(client, cut, (frame) => {
      const number = frame.readInt32BE(LENGTH_BYTES);
      const request = asked.get(number) ?? { api: -1, client: '' };
      asked.delete(number);
      return rule({ kind: 'reply', ...request, bytes: frame });
    });
    client.on('data', (chunk) => this.#requests.add(chunk));
    broker.on('data', (chunk) => this.#replies.add(chunk));
    client.on('end', () => this.#requests.end());
    broker.on('end', () => client.end());
    for (const socket of [client, broker]) socket.on('error', () => {});
    this.closed = new Promise((resolve) => broker.once('close', () => resolve()));
    // A broker that is not there refuses: it is not to look like one that hangs.
    broker.once('close', () => client.destroy());
    // What is held is for the broker, whatever has become of the client.
    client.once('close', () => this.#requests.end());
  }

  release(): void {
    this.#requests.release();
    this.#replies.release();
  }

  cut(): void {
    this.#client.destroy();
    this.#broker.destroy();
  }
}

/** One way of a connection. */
class Direction {
  readonly #to: Socket;
  readonly #cut: () => void;
  readonly #fateOf: (frame: Buffer) => Fate;
  #received = Buffer.alloc(0);
  #held: Buffer[] | null = null;
  #ended = false;

  constructor(to: Socket, cut: () => void, fateOf: (frame: Buffer) => Fate) {
    this.#to = to;
    this.#cut = cut;
    this.#fateOf = fateOf;
  }

  add(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    while (this.#received.length >= LENGTH_BYTES) {
      const length = LENGTH_BYTES + this.#received.readInt32BE(0);
      if (this.#received.length < length) return;
      const frame = this.#received.subarray(0, length);
      this.#received = this.#received.subarray(length);
      const fate = this.#fateOf(frame);
      if (fate === 'hold') this.#held ??= [];
      if (fate === 'cut') this.#cut();
      else if (fate !== 'drop') this.#pass(typeof fate === 'string' ? frame : fate);
    }
  }

  end(): void {
    this.#ended = true;
    if (this.#held === null) this.#to.end();
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const frame of held) this.#to.write(frame);
    if (this.#ended) this.#to.end();
  }

  #pass(frame: Buffer): void {
    if (this.#held === null) this.#to.write(frame);
    else this.#held.push(frame);
  }
}
