// The plain chat page: one room over one WebSocket, by the rules of the protocol's version 1.

const HISTORY = 50;
const PAGE_LIMIT = 300;
/** Messages kept on the page; older ones go. */
const SHOWN_MAX = 1_000;
/** Wall time for which a publish without an answer is sent again. */
const RETRY_FOR_MS = 60_000;
const RETRYABLE = ['rate_limited', 'overloaded', 'unknown_outcome', 'unavailable', 'internal'];
const RETRY_AFTER_MS = 1_000;
const BACKOFF_MIN_MS = 500;
const BACKOFF_MAX_MS = 15_000;
const CONNECT_TIMEOUT_MS = 15_000;

const byId = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const user = query.get('user');
const room = query.get('room');
const device = tabDevice();

let socket = null;
/** Whether `connect` was answered on this socket. */
let connected = false;
/** Set for good: nothing is tried again. */
let stopped = false;
/** The `disconnect` push of this socket. */
let farewell = null;
let failures = 0;
let retryWindowMs = BACKOFF_MIN_MS;
/** Milliseconds without a byte after which the socket is given up; 0: it may be silent. */
let silenceMaxMs = 0;
let silence;
let nextId = 0;
/** What to do with replies, by id. */
const calls = new Map();
/** Up to where the room is shown; null before the first join. */
let position = null;
/** Elements of the log by the identity of their publication, oldest first. */
const shown = new Map();
/** Own messages without an `ok`, by mid, oldest first; those that failed stay as a notice. */
const outgoing = new Map();
/** One publish at a time is under way, so that a failed one is never overtaken. */
let publishing = false;

begin();

function begin() {
  const form = byId('enter');
  for (const [name, value] of query) if (form.elements[name]) form.elements[name].value = value;
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    location.search = String(new URLSearchParams(new FormData(form)));
  });
  if (user === null || room === null || !form.checkValidity()) {
    byId('entrance').hidden = false;
    form.elements.user.focus();
    return;
  }
  byId('compose').addEventListener('submit', (event) => {
    event.preventDefault();
    publish(byId('text').value);
    byId('text').value = '';
  });
  document.title = `${room} · tidegate`;
  byId('room').textContent = room;
  byId('leave').href = `?${new URLSearchParams({ room })}`;
  byId('chat').hidden = false;
  byId('text').focus();
  open();
}

function open() {
  connected = false;
  publishing = false;
  farewell = null;
  showState('waiting', 'Connecting…');
  const url = new URL('ws', location.href);
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  url.search = '';
  socket = new WebSocket(url, 'tidegate.v1');
  silenceMaxMs = CONNECT_TIMEOUT_MS;
  expectSound();
  socket.onopen = () => call({ op: 'connect', user, device, client: 'tidegate-page/1' }, welcomed, open);
  socket.onmessage = ({ data }) => {
    expectSound();
    for (const line of data.split('\n')) if (line !== '') hear(JSON.parse(line));
  };
  socket.onclose = closed;
}

function welcomed(reply) {
  connected = true;
  failures = 0;
  retryWindowMs = Math.max(reply.retryWindowMs, BACKOFF_MIN_MS);
  silenceMaxMs = reply.heartbeatMs > 0 ? 1.5 * reply.heartbeatMs + 10_000 : 0;
  expectSound();
  join();
  publishNext();
}

function closed({ code, reason }) {
  clearTimeout(silence);
  calls.clear();
  connected = false;
  if (stopped) return;
  const isFinal = farewell === null ? code >= 3500 && code <= 3999 : farewell.reconnect === null;
  if (isFinal) {
    stop(`Closed by the server: ${farewell?.reason ?? reason}`);
    return;
  }
  // Spread over the whole window, so that the clients of a lost node do not come back as one.
  const backoffMs = Math.random() * Math.min(retryWindowMs * 2 ** failures, BACKOFF_MAX_MS);
  failures += 1;
  showState('waiting', 'Connection lost, trying again…');
  setTimeout(open, farewell?.reconnect?.afterMs ?? backoffMs);
}

function stop(why) {
  stopped = true;
  socket.close();
  byId('controls').disabled = true;
  for (const mid of outgoing.keys()) fail(mid, why);
  showState('stopped', why);
}

function expectSound() {
  clearTimeout(silence);
  if (silenceMaxMs > 0) silence = setTimeout(() => socket.close(), silenceMaxMs);
}

/** Sends a command. After a retryable error `again` is called in time, unless the connection has ended. */
function call(command, onOk, again, onRefused = (error) => stop(`Refused by the server: ${error.message}`)) {
  const id = nextId++;
  const on = socket;
  calls.set(id, ({ ok, error }) => {
    if (ok) onOk(ok);
    else if (!RETRYABLE.includes(error.code)) onRefused(error);
    else setTimeout(() => calls.get(id) && on === socket && again(), error.retryAfterMs ?? RETRY_AFTER_MS);
  });
  socket.send(JSON.stringify({ ...command, id }));
}
