import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { commandErrorOf } from './fault.ts';
import { answerJson } from './json-answer.ts';

export interface Health {
  /** Why this replica should get no new sessions, or null if it is ready for them. */
  notReady(): string | null;
}

/** Whether messages get through, as probes have found it. */
export interface Delivery {
  report(): { readonly delivering: boolean } & object;
}

/** What is measured, as one page of text. */
export interface MetricsPage {
  /** @param accepted the types that its reader takes, as in HTTP's `Accept` */
  render(accepted: string): Promise<{ readonly contentType: string; readonly text: string }>;
}

/** Everything below a path of its own, answered exactly once. */
export interface Service {
  handle(request: IncomingMessage, response: ServerResponse): void;
}

export interface InternalServices {
  readonly health: Health;
  /** At `/api/`. */
  readonly api?: Service;
  readonly delivery?: Delivery;
  readonly metrics?: MetricsPage;
}

/** Milliseconds for a request's headers, and for all of it: a body has less, and is told so by who reads it. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
const TIMEOUTS = {
  headersTimeout: HEADERS_TIMEOUT_MS,
  requestTimeout: REQUEST_TIMEOUT_MS,
  connectionsCheckingInterval: 1_000,
};

/** The port for operators, balancers and backends; not for the public. */
export function createInternalServer({ health, api, delivery, metrics }: InternalServices, logger: Logger): Server {
  return createServer(TIMEOUTS, (request, response) => {
    const path = (request.url ?? '').replace(/\?.*$/, '');
    if (path === '/health/live') {
      // That this was answered shows that the loop turns.
      answerJson(response, 200, { live: true });
    } else if (path === '/health/ready') {
      const reason = health.notReady();
      answerJson(response, reason === null ? 200 : 503, reason === null ? { ready: true } : { ready: false, reason });
    } else if (path === '/health/delivery' && delivery !== undefined) {
      const report = delivery.report();
      answerJson(response, report.delivering ? 200 : 503, report);
    } else if (path === '/metrics' && metrics !== undefined) {
      void answerMetrics(request, response, metrics, logger);
    } else if (path.startsWith('/api/') && api !== undefined) {
      api.handle(request, response);
    } else {
      answerJson(response, 404, { error: { code: 'bad_request', message: 'no such call' } });
    }
  });
}

async function answerMetrics(
  { headers }: IncomingMessage,
  response: ServerResponse,
  metrics: MetricsPage,
  logger: Logger,
): Promise<void> {
  try {
    const { contentType, text } = await metrics.render(headers.accept ?? '');
    response.writeHead(200, { 'Content-Type': contentType, 'Cache-Control': 'no-store' }).end(text);
  } catch (error) {
    const { code, message } = commandErrorOf(error, logger, { path: '/metrics' });
    answerJson(response, 500, { error: { code, message } });
  }
}
