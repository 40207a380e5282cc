import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { CommandError, ERRORS } from '../protocol/errors.ts';
import { writeErrorAnswer } from '../protocol/writer.ts';
import type { DashboardAccess } from './dashboard-access.ts';
import { commandErrorOf } from './fault.ts';
import { inWords, writeAnswer } from './http-answer.ts';
import type { Service } from './internal-server.ts';
import { answerJson } from './json-answer.ts';
import type { WebPage } from './web-page.ts';

/** What is told, line by line, until the function that is returned is called. */
export interface Views {
  watch(onView: (line: Buffer) => void): () => void;
}

export interface DashboardSettings {
  readonly access: DashboardAccess;
  /** Streams of figures at a time; more are `overloaded`. */
  readonly streamsMax: number;
  /** Bytes that may wait for one who does not read; then the stream ends. */
  readonly streamBytesMax: number;
}

export const DASHBOARD_PATH = '/dashboard';
const FIGURES_PATH = `${DASHBOARD_PATH}/figures`;
const OVERLOADED_RETRY_MS = 5_000;
/** Milliseconds without a byte taken after which who doesn't read an answer is let go. */
const ANSWER_TIMEOUT_MS = 30_000;

/** Each line is news, and for our own page. */
const STREAM_HEADERS = {
  'Content-Type': 'application/x-ndjson',
  'Cache-Control': 'no-store',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'X-Content-Type-Options': 'nosniff',
  // Proxies that gather what they pass on would hold up lines.
  'X-Accel-Buffering': 'no',
};

/** `/dashboard`, a page of plots, and `/dashboard/figures`, the stream of JSON lines that they are drawn from. */
export class Dashboard implements Service {
  readonly #page: WebPage;
  readonly #views: Views;
  readonly #settings: DashboardSettings;
  readonly #logger: Logger;
  readonly #streams = new Set<ServerResponse>();
  #closed = false;

  constructor(page: WebPage, views: Views, settings: DashboardSettings, logger: Logger) {
    this.#page = page;
    this.#views = views;
    this.#settings = settings;
    this.#logger = logger;
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    const { method = '', url = '', headers } = request;
    const path = url.replace(/\?.*$/, '');
    response.setTimeout(ANSWER_TIMEOUT_MS);
    if (path === FIGURES_PATH && method === 'GET') {
      this.#stream(request, response);
      return;
    }
    const file = path === DASHBOARD_PATH ? '/' : path.slice(DASHBOARD_PATH.length);
    const answer = this.#page.answer(file, method, headers['if-none-match']);
    writeAnswer(response, method, answer ?? inWords(404, 'There is nothing here.'));
  }

  /** Ends every stream. */
  close(): void {
    this.#closed = true;
    for (const response of this.#streams) response.end();
  }

  #stream(request: IncomingMessage, response: ServerResponse): void {
    try {
      this.#settings.access.require(request.headers);
      if (this.#closed) throw new CommandError('unavailable', 'this node goes away');
      if (this.#streams.size >= this.#settings.streamsMax) {
        throw new CommandError('overloaded', 'too many look at the figures', OVERLOADED_RETRY_MS);
      }
    } catch (failure) {
      const error = commandErrorOf(failure, this.#logger, { path: FIGURES_PATH });
      answerJson(response, ERRORS[error.code].status, writeErrorAnswer(error), {
        ...(error.code === 'unauthorized' && { 'WWW-Authenticate': 'Bearer' }),
      });
      return;
    }
    this.#streams.add(response);
    response.writeHead(200, STREAM_HEADERS);
    const stop = this.#views.watch((line) => {
      if (response.writableLength > this.#settings.streamBytesMax) response.destroy();
      else response.write(line);
    });
    response.once('close', () => {
      stop();
      this.#streams.delete(response);
    });
  }
}
