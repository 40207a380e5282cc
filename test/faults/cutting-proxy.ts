import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** `up`: from the client to the gateway; `down`: the other way. */
export type Direction = 'up' | 'down';

/** One direction of a link: hands bytes on, in order, as long as it may. */
class Flow {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #delayMs: number;
  /** What holds bytes back. */
  #gate: PromiseWithResolvers<void> | null = null;
  #leftBytes = Number.POSITIVE_INFINITY;
  #onLimit: () => void = () => {};

  constructor(from: Socket, to: Socket, delayMs: number) {
    this.#from = from;
    this.#to = to;
    this.#delayMs = delayMs;
  }

  /** Takes nothing any more, so that the sender's bytes wait with it. */
  hold(): void {
    this.#gate ??= Promise.withResolvers<void>();
  }

  release(): void {
    this.#gate?.resolve();
    this.#gate = null;
  }

  limit(bytes: number, onLimit: () => void): void {
    this.#leftBytes = bytes;
    this.#onLimit = onLimit;
  }

  /** Until the sender ends its side, which the receiver is told. @throws when either socket breaks */
  async run(): Promise<void> {
    // The end of what it says is not the end of what it is told.
    const chunks: AsyncIterator<Buffer> = this.#from.iterator({ destroyOnReturn: false });
    for await (const chunk of { [Symbol.asyncIterator]: () => chunks }) {
      if (this.#delayMs > 0) await delay(this.#delayMs);
      await this.#gate?.promise;
      const passed = chunk.subarray(0, this.#leftBytes);
      this.#leftBytes -= passed.length;
      const hasRoom = this.#to.write(passed);
      if (this.#leftBytes === 0) {
        this.#onLimit();
        return;
      }
      if (!hasRoom) await once(this.#to, 'drain');
    }
    await this.#gate?.promise;
    this.#to.end();
  }
}

/** A client's connection and the one that it stands for. */
class Link {
  readonly #sockets: readonly [Socket, Socket];
  readonly #flows: Readonly<Record<Direction, Flow>>;
  #isSilent = false;
  readonly #end = Promise.withResolvers<void>();

  constructor(client: Socket, gateway: Socket, delayMs: number) {
    this.#sockets = [client, gateway];
    this.#flows = { up: new Flow(client, gateway, delayMs), down: new Flow(gateway, client, delayMs) };
    const closed = this.#sockets.map((socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())));
    void Promise.all(closed).then(() => this.#end.resolve());
    for (const socket of this.#sockets) {
      socket.on('error', () => {});
      // Whoever breaks its side breaks the other one too, unless nothing passes any more.
      socket.once('close', (hadError) => !this.#isSilent && hadError && this.reset());
    }
    for (const flow of Object.values(this.#flows)) flow.run().catch(() => this.#isSilent || this.reset());
  }

  /** Resolves when both sides have been let go. */
  get ended(): Promise<void> {
    return this.#end.promise;
  }

  reset(): void {
    // The first by itself would wait until all is sent that was written.
    for (const socket of this.#sockets) socket.resetAndDestroy().destroy();
    // Node tells of no close where there was nothing left to reset.
    this.#end.resolve();
  }

  /** Both sides are told of an end. */
  end(): void {
    for (const socket of this.#sockets) socket.destroySoon();
  }

  silence(): void {
    this.#isSilent = true;
    this.hold('up');
    this.hold('down');
  }

  hold(direction: Direction): void {
    this.#flows[direction].hold();
  }

  release(direction: Direction): void {
    this.#flows[direction].release();
  }

  cutAfter(direction: Direction, bytes: number): void {
    this.#flows[direction].limit(bytes, () => this.end());
  }
}

/** A TCP proxy that fails as networks do. What it does, it does to the links that there are; new ones are whole. */
export class CuttingProxy {
  readonly #server: Server;
  readonly #links = new Set<Link>();
  readonly #silent: Link[] = [];
  /** Port that new links lead to. */
  target: number;
  /** Links made so far. */
  linkCount = 0;

  private constructor(server: Server, target: number) {
    this.#server = server;
    this.target = target;
  }

  /** @param delayMs for which each chunk is under way */
  static async open(target: number, delayMs = 0): Promise<CuttingProxy> {
    // Node must not end a socket for us whose peer has ended: the other side decides.
    const proxy = new CuttingProxy(createServer({ allowHalfOpen: true, noDelay: true }), target);
    proxy.#server.on('connection', (client) => {
      const gateway = connect({ port: proxy.target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
      proxy.#add(new Link(client, gateway, delayMs));
    });
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Both sides get a reset in the midst of whatever they say. */
  reset(): void {
    for (const link of this.#links) link.reset();
  }

  /** Both sides get a FIN behind what was handed on. */
  end(): void {
    for (const link of this.#links) link.end();
  }

  /** Half-open: nothing passes any more, not even an end; each side believes that the other one is there. */
  silence(): void {
    for (const link of this.#links) {
      link.silence();
      // Whoever looks for a link wants one that works.
      this.#links.delete(link);
      this.#silent.push(link);
    }
  }

  /** Bytes of that direction stay with their sender, until `release`. */
  hold(direction: Direction): void {
    for (const link of this.#links) link.hold(direction);
  }

  release(direction: Direction): void {
    for (const link of this.#links) link.release(direction);
  }

  /** So many bytes more, and then the end, which is in the middle of a frame. */
  cutAfter(direction: Direction, bytes: number): void {
    for (const link of this.#links) link.cutAfter(direction, bytes);
  }

  async close(): Promise<void> {
    this.#server.close();
    const links = [...this.#links, ...this.#silent];
    for (const link of links) link.reset();
    await Promise.all(links.map(({ ended }) => ended));
  }

  #add(link: Link): void {
    this.linkCount += 1;
    this.#links.add(link);
    void link.ended.then(() => this.#links.delete(link));
  }
}
