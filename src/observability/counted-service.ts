import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Service } from '../gateway/internal-server.ts';
import type { Tally } from './tally.ts';

/** The server API's calls as the metrics name them, by the method and the path without its name. */
const CALLS: Readonly<Record<string, Tally['api'][number]['call']>> = {
  'POST rooms/{}/publish': 'publish',
  'GET rooms/{}/presence': 'room_presence',
  'GET rooms/{}/history': 'history',
  'POST rooms/{}/kick': 'kick',
  'GET users/{}/presence': 'user_presence',
  'POST users/{}/disconnect': 'disconnect',
  'GET openapi.json': 'document',
};

/** Counts the requests of the server API and how long they take; nothing of a path but the call's name is kept. */
export class CountedService implements Service {
  readonly #service: Service;
  readonly #tally: Tally;

  constructor(service: Service, tally: Tally) {
    this.#service = service;
    this.#tally = tally;
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    const startedMs = performance.now();
    response.once('close', () => {
      const counts = this.#countsOf(request);
      const status = response.writableFinished ? String(response.statusCode) : 'other';
      if (status in counts.statuses) counts.statuses[status as keyof typeof counts.statuses] += 1;
      else counts.statuses.other += 1;
      counts.took.observeMs(performance.now() - startedMs);
    });
    this.#service.handle(request, response);
  }

  #countsOf({ method, url = '' }: IncomingMessage): Tally['api'][number] {
    const path = url.replace(/\?.*$/, '').replace(/^\/api\/v1\//, '');
    const key = `${method} ${path.replace(/^(rooms|users)\/[^/]*\//, '$1/{}/')}`;
    const call = Object.hasOwn(CALLS, key) ? CALLS[key] : 'unknown';
    const counts = this.#tally.api.find((known) => known.call === call);
    if (counts === undefined) throw new Error(`no counts for the call ${call}`);
    return counts;
  }
}
