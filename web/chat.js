// The plain chat page: one room of the gateway that serves it.

import { Connection, makeId } from './connection.js';

const HISTORY = 50;
const PAGE_LIMIT = 300;
/** Messages kept on the page; older ones go. */
const SHOWN_MAX = 1_000;
/** Wall time for which a publish without an answer is sent again. */
const RETRY_FOR_MS = 60_000;
const UNCONFIRMED = 'Not confirmed by the server in time';

const byId = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const user = query.get('user');
const room = query.get('room');

/** Up to where the room is shown; null before the first join. */
let position = null;
/** Elements of the log by the identity of their publication, oldest first. */
const shown = new Map();
/** Own messages without an `ok`, by mid, oldest first; those that failed stay as a notice. */
const outgoing = new Map();
/** One publish at a time is under way, so that a failed one is never overtaken. */
let publishing = false;

const connection = new Connection(user, {
  connecting: () => showState('waiting', position === null ? 'Connecting…' : 'Reconnecting…'),
  connected() {
    publishing = false;
    join();
    publishNext();
  },
  lost: () => showState('waiting', 'Reconnecting…'),
  stopped(why) {
    showState('stopped', why);
    byId('controls').disabled = true;
    for (const mid of outgoing.keys()) fail(mid, `Not confirmed: ${why}`);
  },
  pushed(said) {
    if (said.push === 'message') show([said]);
    if (said.push === 'left') connection.stop(`No longer in this room: ${said.code}`);
    if (said.push === 'resync') {
      if (said.gap) showGap(said.gap);
      join();
    }
  },
});

const form = byId('enter');
for (const name of ['user', 'room']) if (query.has(name)) form.elements[name].value = query.get(name);
form.addEventListener('submit', (event) => {
  event.preventDefault();
  location.search = String(new URLSearchParams(new FormData(form)));
});
if (user !== null && room !== null && form.checkValidity()) {
  enter();
} else {
  byId('entrance').hidden = false;
  form.elements.user.focus();
}

function enter() {
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
  connection.open();
}

function join() {
  showState('waiting', 'Catching up…');
  const from = position === null ? { history: HISTORY } : { since: position };
  connection.call({ op: 'join', room, ...from }, showPage, join);
}

function nextPage() {
  connection.call({ op: 'history', room, after: position, limit: PAGE_LIMIT }, showPage, nextPage);
}

function showPage({ messages, gap, more, position: to }) {
  // Read backwards, a page may have its gap behind messages.
  const isBefore = ({ offset }) => gap !== undefined && offset <= gap.to.offset;
  show(messages.filter(isBefore));
  if (gap) showGap(gap);
  show(messages.filter((message) => !isBefore(message)));
  if (isNewer(to)) position = to;
  if (more) nextPage();
  else showState('connected', `Connected as ${user}`);
}

function isNewer({ epoch, offset }) {
  return position === null || position.epoch !== epoch || offset > position.offset;
}

function show(messages) {
  for (const message of messages) {
    const { epoch, offset, from, mid, ts } = message;
    if (!isNewer(message)) continue;
    position = { epoch, offset };
    // Another epoch brings back what a restored log held already.
    const identity = `${ts} ${from} ${mid}`;
    if (!shown.has(identity)) addToLog(identity, messageElement(message));
    if (from === user) settle(mid);
  }
}

function showGap({ from, to }) {
  if (from === null || isNewer(to)) position = to;
  addToLog(`gap ${to.epoch} ${to.offset}`, make('p', 'gap', 'Messages may be missing here'));
}

function addToLog(identity, element) {
  shown.set(identity, element);
  byId('log').append(element);
  if (shown.size <= SHOWN_MAX) return;
  const [[oldest, first]] = shown;
  first.remove();
  shown.delete(oldest);
}

function publish(text) {
  // Half a surrogate pair is no text that could be sent.
  const data = { text: text.toWellFormed() };
  const mid = makeId();
  const element = messageElement({ from: user, ts: Date.now(), data });
  element.classList.add('waiting');
  byId('outgoing').append(element);
  byId('scroller').scrollTop = 0;
  outgoing.set(mid, { data, element, sinceMs: Date.now(), hasFailed: false });
  setTimeout(fail, RETRY_FOR_MS, mid, UNCONFIRMED);
  publishNext();
}

function publishNext() {
  if (!connection.isConnected || publishing) return;
  for (const [mid, { data, sinceMs, hasFailed }] of outgoing) {
    if (hasFailed) continue;
    // Timers stand still while a computer sleeps.
    if (Date.now() - sinceMs >= RETRY_FOR_MS) {
      fail(mid, UNCONFIRMED);
      continue;
    }
    publishing = true;
    const ended = (done) => (reply) => {
      publishing = false;
      done(reply);
      publishNext();
    };
    const refused = ended(({ message }) => fail(mid, `Not sent: ${message}`));
    const settled = ended(() => settle(mid));
    const again = ended(() => {});
    connection.call({ op: 'publish', room, mid, data }, settled, again, refused);
    return;
  }
}

/** The message is in the room: its reply came, or itself. */
function settle(mid) {
  outgoing.get(mid)?.element.remove();
  outgoing.delete(mid);
}

function fail(mid, why) {
  const entry = outgoing.get(mid);
  if (entry === undefined || entry.hasFailed) return;
  entry.hasFailed = true;
  entry.element.classList.remove('waiting');
  const notice = make('div', 'failure', why);
  notice.role = 'alert';
  entry.element.append(notice);
}

function messageElement({ from, ts, data }) {
  const element = make('div', from === user ? 'message own' : 'message');
  const head = make('div', 'head');
  const time = new Date(ts);
  const isToday = time.toDateString() === new Date().toDateString();
  const format = { timeStyle: 'short', ...(!isToday && { dateStyle: 'short' }) };
  head.append(make('span', 'from', from), make('time', '', time.toLocaleString([], format)));
  const isText = typeof data?.text === 'string';
  const text = make('div', isText ? 'text' : 'text json', isText ? data.text : JSON.stringify(data));
  text.dir = 'auto';
  element.append(head, text);
  return element;
}

function make(tag, className, text = '') {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function showState(kind, text) {
  byId('state').dataset.kind = kind;
  byId('state').textContent = text;
  // Screen readers need not read out what is only caught up with.
  byId('log').ariaBusy = String(kind === 'waiting');
}
