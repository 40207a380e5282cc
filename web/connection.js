const CONNECT_TIMEOUT_MS = 15_000;
const BACKOFF_MIN_MS = 500;
const BACKOFF_MAX_MS = 15_000;
const RETRY_AFTER_MS = 1_000;
/** Any code that is no goodbye, as 1000 would be. */
const SILENCE_CODE = 4000;
const RETRYABLE = ['rate_limited', 'overloaded', 'unknown_outcome', 'unavailable', 'internal'];

/**
 * A session over WebSocket that comes back by itself until the server says not to. Its listener hears
 * `connecting()`, `connected()`, `lost()`, `stopped(why)` and `pushed(push)`.
 */
export class Connection {
  /** Whether commands may be sent. */
  isConnected = false;
  #user;
  #listener;
  #device = tabDevice();
  #socket = null;
  #isStopped = false;
  /** The last push of this socket, which says whether and when to come back. */
  #farewell = null;
  #failures = 0;
  #retryWindowMs = BACKOFF_MIN_MS;
  /** Milliseconds without a word after which the socket is given up; 0: it may be silent. */
  #silenceMaxMs = 0;
  #silence;
  #nextId = 0;
  /** What to do with replies, by id. */
  #calls = new Map();

  constructor(user, listener) {
    this.#user = user;
    this.#listener = listener;
  }

  open() {
    this.#listener.connecting();
    const url = new URL('ws', location.href);
    url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
    url.search = '';
    this.#farewell = null;
    this.#silenceMaxMs = CONNECT_TIMEOUT_MS;
    this.#socket = new WebSocket(url, 'tidegate.v1');
    this.#socket.onopen = () => this.#connect();
    this.#socket.onmessage = ({ data }) => {
      this.#expectSound();
      for (const line of data.split('\n')) if (line !== '') this.#hear(JSON.parse(line));
    };
    this.#socket.onclose = (event) => this.#closed(event);
    this.#expectSound();
  }

  /** Sends a command. After a retryable error `again` is called in time, unless the connection has ended. */
  call(command, onOk, again, onRefused = ({ message }) => this.stop(`Refused by the server: ${message}`)) {
    const socket = this.#socket;
    const isOpen = () => socket === this.#socket && socket.readyState === WebSocket.OPEN;
    this.#calls.set(this.#nextId, ({ ok, error }) => {
      if (ok) onOk(ok);
      else if (!RETRYABLE.includes(error.code)) onRefused(error);
      else setTimeout(() => isOpen() && again(), error.retryAfterMs ?? RETRY_AFTER_MS);
    });
    socket.send(JSON.stringify({ ...command, id: this.#nextId }));
    this.#nextId += 1;
  }

  /** Ends it for good. */
  stop(why) {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.isConnected = false;
    this.#socket.close();
    this.#listener.stopped(why);
  }

  #connect() {
    const command = { op: 'connect', user: this.#user, device: this.#device, client: 'tidegate-page/1' };
    const welcomed = ({ retryWindowMs, heartbeatMs }) => {
      this.isConnected = true;
      this.#failures = 0;
      this.#retryWindowMs = Math.max(retryWindowMs, BACKOFF_MIN_MS);
      this.#silenceMaxMs = heartbeatMs > 0 ? 1.5 * heartbeatMs + 10_000 : 0;
      this.#expectSound();
      this.#listener.connected();
    };
    this.call(command, welcomed, () => this.#connect());
  }

  #hear(said) {
    if (this.#isStopped) return;
    if (said.push === undefined) {
      this.#calls.get(said.id)?.(said);
      this.#calls.delete(said.id);
    } else if (said.push === 'heartbeat') {
      this.#socket.send('{"op":"pong"}');
    } else if (said.push === 'disconnect') {
      this.#farewell = said;
    } else {
      this.#listener.pushed(said);
    }
  }

  #closed({ code, reason }) {
    clearTimeout(this.#silence);
    this.#calls.clear();
    this.isConnected = false;
    if (this.#isStopped) return;
    const farewell = this.#farewell;
    const isFinal = farewell === null ? code >= 3500 && code <= 3999 : farewell.reconnect === null;
    if (isFinal) {
      this.stop(`Closed by the server: ${farewell?.reason ?? reason}`);
      return;
    }
    // Spread over the whole window, so that the clients of a lost node do not come back as one.
    const backoffMs = Math.random() * Math.min(this.#retryWindowMs * 2 ** this.#failures, BACKOFF_MAX_MS);
    this.#failures += 1;
    this.#listener.lost();
    setTimeout(() => this.open(), farewell?.reconnect.afterMs ?? backoffMs);
  }

  /** A server that is gone says no goodbye, and neither do we: whoever is cut off is present for a while. */
  #giveUp() {
    const socket = this.#socket;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close(SILENCE_CODE, 'silence');
    this.#closed({ code: SILENCE_CODE, reason: 'silence' });
  }

  #expectSound() {
    clearTimeout(this.#silence);
    if (this.#silenceMaxMs > 0) this.#silence = setTimeout(() => this.#giveUp(), this.#silenceMaxMs);
  }
}

/** One a tab. It is away while the page lives, so that a duplicated tab gets one of its own. */
function tabDevice() {
  const device = sessionStorage.getItem('device') ?? makeId();
  sessionStorage.removeItem('device');
  addEventListener('pagehide', () => sessionStorage.setItem('device', device));
  return device;
}

/** A UUID, or outside of secure contexts as much randomness in hex. */
export function makeId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
