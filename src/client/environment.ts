/** What a client needs of the machine that it runs on. Tests bring a clock, a chance and a network of their own. */
export interface Environment {
  /** Milliseconds since 1970; goes on while the computer sleeps, and may be set back. */
  wallMs(): number;
  /** Milliseconds since some moment; never goes back, and may stand still while the computer sleeps. */
  monotonicMs(): number;
  /** Calls back once, not before `ms` have passed. Returns what calls it off. */
  schedule(callback: () => void, ms: number): () => void;
  /** A number from 0 to below 1. */
  random(): number;
  /** 1–64 printable ASCII characters that nobody has had or can guess. */
  makeId(): string;
  /** Opens a WebSocket. @throws where the URL or a subprotocol is malformed. */
  openSocket(url: string, subprotocols: readonly string[], events: SocketEvents): Socket;
  /** Tells when the computer has a network again. Returns what ends that. */
  onOnline(listener: () => void): () => void;
}

export interface Socket {
  send(text: string): void;
  close(code: number, reason: string): void;
}

/** What a socket tells, in order: `onOpen` at most once, `onClose` once. None is called before `openSocket` returns. */
export interface SocketEvents {
  onOpen(): void;
  /** `data` of a text message is a string. */
  onMessage(data: unknown): void;
  onClose(code: number, reason: string): void;
}

/** What a timer can count; longer waits end then. */
const TIMER_MAX_MS = 2_147_483_647;

/** The events of a page. Node has neither the events nor the functions. */
interface PageEvents {
  addEventListener?(type: 'online' | 'pageshow' | 'pagehide', listener: () => void): void;
  removeEventListener?(type: 'online', listener: () => void): void;
}

export const page = globalThis as PageEvents;

/** A browser, or Node ≥ 22. */
export const globalEnvironment: Environment = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  schedule(callback, ms) {
    const timer = setTimeout(callback, Math.min(ms, TIMER_MAX_MS));
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
  makeId,
  openSocket(url, subprotocols, events) {
    const socket = new WebSocket(url, [...subprotocols]);
    let hasOpened = false;
    let hasClosed = false;
    const close = (code: number, reason: string) => {
      if (!hasClosed) events.onClose(code, reason);
      hasClosed = true;
    };
    socket.addEventListener('open', () => {
      hasOpened = true;
      events.onOpen();
    });
    socket.addEventListener('message', ({ data }) => events.onMessage(data));
    socket.addEventListener('close', ({ code, reason }) => close(code, reason));
    // In Node 22, one that never opened tells of its error only; elsewhere a close follows.
    socket.addEventListener('error', () => hasOpened || close(1006, ''));
    return socket;
  },
  onOnline(listener) {
    page.addEventListener?.('online', listener);
    return () => page.removeEventListener?.('online', listener);
  },
};

/** A UUID, or outside of secure contexts as much randomness in hex. */
function makeId(): string {
  if (crypto.randomUUID !== undefined) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** A moment that can be looked back to, whatever clock was set or stood still. */
export interface Moment {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

export function momentOf(environment: Environment): Moment {
  return { wallMs: environment.wallMs(), monotonicMs: environment.monotonicMs() };
}

/** Milliseconds since then: those of sleep count, and those that the wall clock was set back do not. */
export function elapsedMs(environment: Environment, since: Moment): number {
  return Math.max(environment.wallMs() - since.wallMs, environment.monotonicMs() - since.monotonicMs);
}
