import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { CommandError, ERRORS } from '../../protocol/errors.ts';
import { writeErrorAnswer } from '../../protocol/writer.ts';
import { commandErrorOf } from '../fault.ts';
import type { Service } from '../internal-server.ts';
import { answerJson } from '../json-answer.ts';
import type { ApiAccess } from './api-access.ts';
import { type ApiHost, type Call, findCall } from './call.ts';
import { discardRest, readRequestBody } from './request-body.ts';
import { ROOM_CALLS } from './room-calls.ts';
import { USER_CALLS } from './user-calls.ts';

export interface ServerApiSettings {
  readonly access: ApiAccess;
  /** The OpenAPI document, as JSON. */
  readonly document: Buffer;
  /** Requests that are answered at a time; more are `overloaded`. */
  readonly requestsMax: number;
}

/** Where anybody may read what the API is. */
export const DOCUMENT_PATH = '/api/v1/openapi.json';

export const CALLS: readonly Call[] = [...ROOM_CALLS, ...USER_CALLS];

/** A request that was let in. */
interface Admitted {
  readonly call: Call;
  readonly name: string;
  readonly query: string;
}

const OVERLOADED_RETRY_MS = 1_000;
/** Milliseconds without a byte taken after which who doesn't read its answer is let go. */
const ANSWER_TIMEOUT_MS = 30_000;
const NO_SUCH_CALL_STATUS = 404;

/** The calls of backends over HTTP: through the handlers, bounds and errors that sessions' commands go through. */
export class ServerApi implements Service {
  readonly #host: ApiHost;
  readonly #settings: ServerApiSettings;
  readonly #logger: Logger;
  #requests = 0;
  /** Resolved when no request is under way, once the host is drained. */
  #settled: (() => void) | null = null;

  constructor(host: ApiHost, settings: ServerApiSettings, logger: Logger) {
    this.#host = host;
    this.#settings = settings;
    this.#logger = logger;
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    const { method, url = '' } = request;
    const [path = '', query = ''] = splitOnce(url, '?');
    if (method === 'GET' && path === DOCUMENT_PATH) {
      answerJson(response, 200, this.#settings.document);
      return;
    }
    try {
      this.#settings.access.require(request.headers);
      const found = findCall(CALLS, method, path);
      if (found === null) {
        const error = new CommandError('bad_request', 'no such call');
        answerJson(response, NO_SUCH_CALL_STATUS, writeErrorAnswer(error));
        return;
      }
      this.#requireRoom();
      void this.#serve(request, response, { ...found, query });
    } catch (error) {
      this.#fail(response, error, path);
    }
  }

  /** Resolves when every request under way is answered, at the latest after `timeoutMs`. The host is drained. */
  async settled(timeoutMs: number): Promise<void> {
    if (this.#requests === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#settled = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse, admitted: Admitted): Promise<void> {
    this.#requests += 1;
    // A request counts until its answer is handed to the kernel, and until what it asked for is over.
    const closed = new Promise<void>((resolve) => response.once('close', resolve));
    await this.#answer(request, response, admitted);
    await closed;
    this.#requests -= 1;
    if (this.#requests === 0) this.#settled?.();
  }

  async #answer(request: IncomingMessage, response: ServerResponse, { call, name, query }: Admitted): Promise<void> {
    try {
      const body = await this.#readBody(request, response);
      if (this.#host.drained) throw goesAway();
      const traceparent = String(request.headers.traceparent ?? '');
      const answer = await call.answer({ name, query, body, traceparent }, this.#host);
      if (!response.destroyed) answerJson(response.setTimeout(ANSWER_TIMEOUT_MS), 200, answer);
    } catch (error) {
      this.#fail(response, error, call.path);
    }
  }

  async #readBody(request: IncomingMessage, response: ServerResponse): Promise<Buffer> {
    try {
      return await readRequestBody(request);
    } catch (error) {
      // What is left of the body can't be told from another request.
      response.setHeader('Connection', 'close');
      if (!request.complete && !request.destroyed) await discardRest(request);
      throw error;
    }
  }

  #requireRoom(): void {
    if (this.#host.drained) throw goesAway();
    if (this.#requests >= this.#settings.requestsMax) {
      throw new CommandError('overloaded', 'too many requests are under way', OVERLOADED_RETRY_MS);
    }
  }

  #fail(response: ServerResponse, failure: unknown, path: string): void {
    const error = commandErrorOf(failure, this.#logger, { path });
    const { code, retryAfterMs } = error;
    if (response.destroyed) return;
    answerJson(response.setTimeout(ANSWER_TIMEOUT_MS), ERRORS[code].status, writeErrorAnswer(error), {
      ...(code === 'unauthorized' && { 'WWW-Authenticate': 'Bearer' }),
      ...(retryAfterMs !== undefined && { 'Retry-After': String(Math.ceil(retryAfterMs / 1_000)) }),
    });
  }
}

function goesAway(): CommandError {
  return new CommandError('unavailable', 'this node goes away');
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
