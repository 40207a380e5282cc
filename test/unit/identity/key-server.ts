import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A real endpoint on the loopback that answers as a test wants, and counts what it is asked. */
export class KeyServer {
  requests = 0;
  answer: RequestListener = serve({ keys: [] });
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.requests++;
      this.answer(request, response);
    });
  }

  static async open(answer?: RequestListener): Promise<KeyServer> {
    const server = new KeyServer();
    if (answer !== undefined) server.answer = answer;
    await server.listen(0);
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/keys`;
  }

  /** Refuses connections from here on. */
  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
  }
}

export function serve(body: object | string, status = 200): RequestListener {
  return (_, response) => response.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body));
}

/** Headers and then a body without an end; counts what it could write. */
export function serveForever(onWritten: (bytes: number) => void): RequestListener {
  const chunk = Buffer.alloc(65_536, ' ');
  const pump = (response: ServerResponse) => {
    if (response.destroyed) return;
    onWritten(chunk.length);
    if (response.write(chunk)) setImmediate(pump, response);
    else response.once('drain', () => pump(response));
  };
  return (_, response) => pump(response.writeHead(200));
}
