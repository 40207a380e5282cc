import { createServer, type Server } from 'node:http';

export interface Health {
  /** Why this replica should get no new sessions, or null if it is ready for them. */
  notReady(): string | null;
}

/** The port for operators and balancers; not for the public. */
export function createInternalServer(health: Health): Server {
  return createServer((request, response) => {
    const answer = (status: number, body: object) => {
      response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
      response.end(`${JSON.stringify(body)}\n`);
    };
    switch (request.url) {
      case '/health/live':
        // That this was answered shows that the loop turns.
        answer(200, { live: true });
        break;
      case '/health/ready': {
        const reason = health.notReady();
        answer(reason === null ? 200 : 503, reason === null ? { ready: true } : { ready: false, reason });
        break;
      }
      default:
        answer(404, { error: { code: 'bad_request', message: 'no such call' } });
    }
  });
}
