import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A client's connection and the one to the server that it stands for. */
class Link {
  readonly closed: Promise<unknown>;
  readonly #client: Socket;
  readonly #server: Socket;
  #isHeld = false;
  readonly #toServer: Buffer[] = [];
  readonly #toClient: Buffer[] = [];
  #clientEnded = false;
  #serverEnded = false;

  constructor(client: Socket, server: Socket) {
    this.#client = client;
    this.#server = server;
    for (const socket of [client, server]) socket.on('error', () => {});
    client.on('data', (chunk: Buffer) => this.#pass(chunk, this.#toServer));
    server.on('data', (chunk: Buffer) => this.#pass(chunk, this.#toClient));
    client.once('close', () => {
      this.#clientEnded = true;
      this.#flush();
    });
    server.once('close', () => {
      this.#serverEnded = true;
      this.#flush();
    });
    this.closed = Promise.all(
      [client, server].map((socket) => new Promise((resolve) => socket.once('close', resolve))),
    );
  }

  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
    this.#flush();
  }

  cut(): void {
    this.#isHeld = false;
    this.#toServer.length = 0;
    this.#client.destroy();
    this.#server.destroy();
  }

  #pass(chunk: Buffer, queue: Buffer[]): void {
    queue.push(chunk);
    this.#flush();
  }

  /** Also of a client that has gone all that it said arrives. */
  #flush(): void {
    if (this.#isHeld) return;
    for (const chunk of this.#toServer.splice(0)) this.#server.write(chunk);
    for (const chunk of this.#toClient.splice(0)) this.#client.write(chunk);
    if (this.#clientEnded) this.#server.end();
    if (this.#serverEnded) this.#client.end();
  }
}

/** Stands between one client and the redis-server that is meant to serve it. */
export class RedisProxy {
  readonly port: number;
  /** Port that new connections lead to. */
  target: number;
  readonly #server: Server;
  readonly #links = new Set<Link>();
  #isHeld = false;

  private constructor(server: Server, target: number) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    this.target = target;
    server.on('connection', (client) => {
      const link = new Link(client, connect({ host: '127.0.0.1', port: this.target, noDelay: true }));
      if (this.#isHeld) link.hold();
      this.#links.add(link);
      void link.closed.then(() => this.#links.delete(link));
    });
  }

  static async open(target: number): Promise<RedisProxy> {
    const server = createServer({ noDelay: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new RedisProxy(server, target);
  }

  /** Nothing passes, on connections that there are and will be, and neither side is told of an end. */
  hold(): void {
    this.#isHeld = true;
    this.setAside();
  }

  /** Nothing passes any more on the connections that there are; new ones are whole. */
  setAside(): void {
    for (const link of this.#links) link.hold();
  }

  /** All that was held arrives, also of clients that have gone since. */
  release(): void {
    this.#isHeld = false;
    for (const link of this.#links) link.release();
  }

  /** Breaks all connections. What was held is lost. */
  cut(): void {
    for (const link of this.#links) link.cut();
  }

  /** Breaks all connections; new ones lead elsewhere. */
  switchTo(target: number): void {
    this.target = target;
    this.cut();
  }

  async close(): Promise<void> {
    this.#server.close();
    const links = [...this.#links];
    this.cut();
    await Promise.all(links.map(({ closed }) => closed));
  }
}
