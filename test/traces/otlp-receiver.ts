import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { type ReceivedSpan, readSpans } from './otlp-spans.ts';

/** One export as it came. */
export interface ReceivedExport {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly spans: readonly ReceivedSpan[];
}

/** What a collector does with an export: takes it, answers with that status, or does not answer. */
export type Behaviour = 'takes' | 'hangs' | number;

/** A collector's OTLP receiver over HTTP. */
export class OtlpReceiver {
  readonly exports: ReceivedExport[] = [];
  behaviour: Behaviour = 'takes';
  readonly #server: Server;
  readonly #scheme: string;

  private constructor(server: Server, scheme: string) {
    this.#server = server;
    this.#scheme = scheme;
    server.on('request', (request, response) => void this.#receive(request, response));
  }

  /** @param tls undefined: without TLS */
  static async open(tls?: ServerOptions, port = 0): Promise<OtlpReceiver> {
    const server = tls === undefined ? createServer() : createTlsServer(tls);
    await once(server.listen(port, '127.0.0.1'), 'listening');
    return new OtlpReceiver(server, tls === undefined ? 'http' : 'https');
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get endpoint(): string {
    return `${this.#scheme}://127.0.0.1:${this.port}`;
  }

  /** All that were taken. */
  get spans(): readonly ReceivedSpan[] {
    return this.exports.flatMap(({ spans }) => spans);
  }

  /** Resolves with a trace once it has so many spans. */
  async trace(traceId: string, count: number): Promise<ReceivedSpan[]> {
    return this.until(`${count} spans of one trace`, () => {
      const spans = this.spans.filter((span) => span.traceId === traceId);
      return spans.length >= count ? spans : undefined;
    });
  }

  async until<T>(what: string, look: () => T | undefined): Promise<T> {
    const endMs = performance.now() + 10_000;
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      const names = this.spans.map(({ traceId, name }) => `${traceId} ${name}`);
      if (performance.now() > endMs) throw new Error(`not received in time: ${what}; there are ${names.join(', ')}`);
      await delay(10);
    }
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { behaviour } = this;
    if (behaviour === 'hangs') return;
    if (behaviour !== 'takes') {
      response.writeHead(behaviour).end();
      return;
    }
    const sent = Buffer.concat(chunks);
    const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent;
    this.exports.push({ path: request.url ?? '', headers: request.headers, spans: readSpans(body) });
    // An empty ExportTraceServiceResponse.
    response.writeHead(200, { 'Content-Type': 'application/x-protobuf' }).end();
  }
}
