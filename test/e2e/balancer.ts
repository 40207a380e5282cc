import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Ports } from './replica.ts';

const KINDS = ['http', 'tcp', 'internal'] as const;
/** How a client begins that wants a session over HTTP: in the clear, or by TLS, which hides what it wants. */
const SESSION_BEGINNINGS = ['GET /ws', '\u0016'];

/** Stands before several replicas, and leads connections to them in turn. */
export class Balancer {
  readonly ports: Ports;
  readonly #replicas: readonly Ports[];
  readonly #servers: readonly Server[];
  /** Sessions, of whatever transport, take turns among themselves, so that whoever comes next is at another replica. */
  #sessions = 0;
  /** Backends begin with another replica than sessions do: what they publish is read elsewhere. */
  #backends = 1;

  private constructor(replicas: readonly Ports[], servers: Readonly<Record<keyof Ports, Server>>) {
    this.#replicas = replicas;
    this.#servers = Object.values(servers);
    const portOf = (kind: keyof Ports) => (servers[kind].address() as AddressInfo).port;
    this.ports = { http: portOf('http'), tcp: portOf('tcp'), internal: portOf('internal') };
    servers.http.on('connection', (client) => void this.#leadByBeginning(client));
    // A person with netcat may wait for the first word.
    servers.tcp.on('connection', (client) => this.#lead(client, 'tcp', this.#sessions++));
    servers.internal.on('connection', (client) => this.#lead(client, 'internal', this.#backends++));
  }

  /** @param ports to listen on; 0 picks a free one */
  static async open(replicas: readonly Ports[], ports: Ports): Promise<Balancer> {
    const entries = KINDS.map((kind) => {
      // Whether an end is answered with one is for the two sides to decide.
      const server = createServer({ allowHalfOpen: true, noDelay: true });
      return [kind, server.listen(ports[kind], '127.0.0.1')] as const;
    });
    await Promise.all(entries.map(([, server]) => once(server, 'listening')));
    return new Balancer(replicas, Object.fromEntries(entries) as Record<keyof Ports, Server>);
  }

  /** Nobody new is let in. Connections end with the replicas that they lead to. */
  close(): void {
    for (const server of this.#servers) server.close();
  }

  /** A page's files take no turns: how many connections a browser opens for them is its own affair. */
  async #leadByBeginning(client: Socket): Promise<void> {
    client.on('error', () => {});
    await once(client, 'readable');
    const beginning = client.read() as Buffer | null;
    if (beginning === null) {
      client.destroy();
      return;
    }
    client.unshift(beginning);
    const isSession = SESSION_BEGINNINGS.some((each) => beginning.toString('latin1').startsWith(each));
    this.#lead(client, 'http', isSession ? this.#sessions++ : 0);
  }

  #lead(client: Socket, kind: keyof Ports, turn: number): void {
    const port = this.#replicas[turn % this.#replicas.length]?.[kind] as number;
    const replica = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    for (const [from, to] of [
      [client, replica],
      [replica, client],
    ] as const) {
      from.on('error', () => to.resetAndDestroy());
      from.pipe(to);
    }
  }
}
