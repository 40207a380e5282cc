import type { SecureContextOptions } from 'node:tls';
import type { HostRules } from './host-rules.ts';
import { type Answer, inWords } from './http-answer.ts';
import type { WebPage } from './web-page.ts';

/** The public HTTP port, whichever WebSocket library serves it: WebSockets at `/ws`, the chat page at `/`. */
export interface PublicServer {
  /**
   * Resolves with the port in use, once it listens. `backlog`: connections that the kernel queues, as far as the
   * library lets that be chosen.
   *
   * @throws Error with `syscall` `listen` where the port can't be had.
   */
  listen(port: number, host: string, backlog: number): Promise<number>;
  /** Has new connections use another certificate and key, just read from the same files. @throws if they don't fit */
  setCertificate(pair: SecureContextOptions): void;
  /** Stops accepting; sessions are the gateway's to end. */
  close(): void;
  /** Resolves when what sessions were told last has left: to be awaited before the process ends. */
  settled(): Promise<void>;
}

/** What the public port knows of a request, by its headers. */
export interface PublicRequest {
  readonly method: string;
  /** Without query and fragment. */
  readonly path: string;
  readonly host: string | undefined;
  readonly ifNoneMatch: string | undefined;
}

/** What a WebSocket's handshake says of its client. */
export interface Handshake {
  /** Without query and fragment. */
  readonly path: string;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  /** The subprotocols that the client offers, as its header lists them. */
  readonly protocols: string | undefined;
}

export const WS_PATH = '/ws';
export const SUBPROTOCOL = 'tidegate.v1';
const FORBIDDEN = '403 Forbidden';

/** What is decided before a session is made, the same for every library. */
export class PublicRules {
  readonly #hosts: HostRules;
  readonly #page: WebPage;

  constructor(hosts: HostRules, page: WebPage) {
    this.#hosts = hosts;
    this.#page = page;
  }

  /** Answers a request that is no WebSocket's handshake. */
  answer({ method, path, host, ifNoneMatch }: PublicRequest): Answer {
    if (!this.#hosts.allowsHost(host)) return inWords(403, 'This host name is not allowed (TIDEGATE_HOSTS).');
    if (path === WS_PATH) return inWords(426, 'This is a WebSocket.', { Upgrade: 'websocket' });
    return this.#page.answer(path, method, ifNoneMatch) ?? inWords(404, 'There is nothing here.');
  }

  /** The HTTP status line with which a handshake of what is no client of ours is refused, or null. */
  handshakeRefusal({ path, host, origin, protocols }: Handshake): string | null {
    if (path !== WS_PATH) return '404 Not Found';
    if (!this.#hosts.allowsHost(host) || !this.#hosts.allowsOrigin(origin, host)) return FORBIDDEN;
    return speaksOurs(protocols) ? null : '400 Bad Request';
  }
}

/** How a refused handshake is counted. */
export function refusalKind(status: string): 'forbidden' | 'bad_handshake' {
  return status === FORBIDDEN ? 'forbidden' : 'bad_handshake';
}

/** Whether a client has offered our subprotocol among others. */
export function offersOurs(protocols: string | undefined): boolean {
  return protocols?.split(',').some((name) => name.trim() === SUBPROTOCOL) ?? false;
}

/** Whether the client asked for no subprotocol, or for ours among others. */
function speaksOurs(protocols: string | undefined): boolean {
  return protocols === undefined || offersOurs(protocols);
}
