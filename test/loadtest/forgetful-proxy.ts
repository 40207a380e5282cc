import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import WebSocket, { WebSocketServer } from 'ws';

/** What becomes of a line that the gateway says: the lines that the client gets instead. */
export type Tamper = (line: string) => readonly string[];

/** Stands between clients and a gateway, and does not hand on all that the gateway says. */
export class ForgetfulProxy {
  readonly url: string;
  readonly #server: WebSocketServer;

  private constructor(server: WebSocketServer) {
    this.#server = server;
    this.url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`;
  }

  static async open(gatewayUrl: string, tamper: Tamper): Promise<ForgetfulProxy> {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: () => 'tidegate.v1' });
    await once(server, 'listening');
    server.on('connection', (client) => {
      const gateway = new WebSocket(gatewayUrl);
      const opened = once(gateway, 'open');
      client.on('message', async (data: Buffer) => {
        await opened;
        gateway.send(data.toString());
      });
      gateway.on('message', (data: Buffer) => {
        const lines = data.toString().split('\n').flatMap(tamper);
        if (lines.length > 0) client.send(lines.join('\n'));
      });
      client.on('close', () => gateway.close());
      gateway.on('close', () => client.close());
    });
    return new ForgetfulProxy(server);
  }

  close(): void {
    for (const client of this.#server.clients) client.terminate();
    this.#server.close();
  }
}
