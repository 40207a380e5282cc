import type { Figures, View } from '../../src/observability/figures.ts';
import { arrange, byId, make, setText } from '../dom.ts';
import { COLUMN_NAMES, type Column, columnsOf } from './columns.ts';
import { ErrorsList } from './errors-list.ts';
import { History } from './history.ts';
import { KeyForm } from './key-form.ts';
import { Meters } from './meters.ts';
import { COLOURS, type Line, Panel } from './panel.ts';
import { Partitions } from './partitions.ts';
import { ReplicasTable } from './replicas-table.ts';
import { Rooms } from './rooms.ts';
import { RoomsTable } from './rooms-table.ts';
import { type Replica, Scope } from './scope.ts';
import { StandingChip } from './standing-chip.ts';
import { States } from './states.ts';
import { Track } from './track.ts';
import { bytes, bytesPerSecond, count, milliseconds, perSecond, processors } from './units.ts';
import { Views } from './views.ts';

/** Milliseconds after which a replica that tells nothing any more counts as gone. */
const GONE_MS = 4_000;
const ALL = 'all';

const history = new History<Column>(COLUMN_NAMES);
const tracks = new Map<string, Track>();
const rooms = new Rooms();
let replicas: readonly Replica[] = [];
let view: View | null = null;
/** The replica that the page is about; null: all of them. */
let chosen: string | null = null;

const panels = {
  ack: panel('latency', 'Publish to acknowledgement', milliseconds, 'until the log has it; of the last 10 seconds'),
  deliver: panel('latency', 'Append to delivery', milliseconds, 'until sockets have it; of the last 10 seconds'),
  publishes: panel('traffic', 'Publishes and commands', perSecond, 'publishes acknowledged, and commands of all kinds'),
  deliveries: panel('traffic', 'Deliveries', perSecond, 'messages handed to members of rooms'),
  bytes: panel('traffic', 'Bytes', bytesPerSecond, 'of commands received, and of replies and pushes sent'),
  errors: panel('errors', 'What went wrong', perSecond, 'error replies, sessions that ended, connections refused'),
  loop: panel('saturation', 'Event loop lag', milliseconds, 'by which 1 % of the loop’s turns were late, at least'),
  cpu: panel(
    'saturation',
    'Processors',
    processors,
    'processors in use, and the share of time in which the loop is busy',
  ),
  memory: panel('saturation', 'Memory', bytes, 'resident bytes'),
  status: panel('sessions', 'Sessions by status', count, 'what people say of themselves'),
  replicas: panel('sessions', 'Sessions by replica', count, 'the eight replicas with the most'),
  lag: panel('log', 'Records behind', count, 'of the partition that is farthest behind'),
};
const states = new States(byId('states', HTMLUListElement));
const meters = new Meters(byId('meters', HTMLUListElement));
const errors = new ErrorsList(byId('error-rows', HTMLTableSectionElement), byId('no-errors', HTMLElement));
const partitions = new Partitions(byId('partitions-words', HTMLElement), byId('partitions', HTMLElement));
const roomsTable = new RoomsTable(byId('room-rows', HTMLTableSectionElement), byId('no-rooms', HTMLElement), {
  members: byId('by-members', HTMLButtonElement),
  perSecond: byId('by-pace', HTMLButtonElement),
});
const replicasTable = new ReplicasTable(byId('replica-rows', HTMLTableSectionElement), (id) => {
  choose(id === chosen ? null : id);
});
const select = byId('scope', HTMLSelectElement);
const notice = byId('notice', HTMLElement);
const figuresPart = byId('figures', HTMLElement);

const views = new Views(
  {
    onView(told) {
      view = told;
      take(told);
      draw();
    },
    onStanding(standing) {
      chip.show(standing);
      keyForm.show(standing);
      figuresPart.classList.toggle('stale', standing.is !== 'live');
    },
  },
  KeyForm.key,
);
const chip = new StandingChip(byId('standing', HTMLElement));
const keyForm = new KeyForm((key) => views.open(key));

select.addEventListener('change', () => choose(select.value === ALL ? null : select.value));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  for (const each of Object.values(panels)) each.redraw();
});
views.open();

function panel(section: string, title: string, unit: (value: number | null) => string, hint: string): Panel {
  const made = new Panel({ title, unit, hint, isWhole: unit === count });
  const place = byId(`${section}-panels`, HTMLElement);
  place.insertBefore(made.element, place.querySelector('.panel.apart'));
  return made;
}

/** Keeps what a view has for the plots. */
function take({ atMs, replicas: told }: View): void {
  const named = [...told].sort((a, b) => byName(a.figures, b.figures));
  replicas = named.map(({ figures, ageMs }) => {
    const track = tracks.get(figures.id) ?? new Track();
    tracks.set(figures.id, track);
    track.add(figures);
    return { figures, ageMs, isGone: ageMs > GONE_MS, pace: track.pace };
  });
  for (const id of tracks.keys()) if (!replicas.some(({ figures }) => figures.id === id)) tracks.delete(id);
  const values = new Map([[ALL, columnsOf(new Scope(replicas))]]);
  for (const replica of replicas) {
    if (!replica.isGone) values.set(replica.figures.id, columnsOf(new Scope([replica])));
  }
  history.add(atMs / 1_000, values);
  if (chosen !== null && !tracks.has(chosen)) chosen = null;
  rooms.add(looked());
}

function choose(id: string | null): void {
  chosen = id;
  rooms.clear();
  rooms.add(looked());
  draw();
}

/** The replicas that the page is about. */
function looked(): readonly Replica[] {
  return replicas.filter(({ figures, isGone }) => !isGone && (chosen === null || figures.id === chosen));
}

function draw(): void {
  if (view === null) return;
  const scope = new Scope(looked());
  figuresPart.hidden = false;
  showScopes();
  showNotice(view);
  const bad = states.show(scope);
  document.title = `${bad > 0 ? '⚠ ' : ''}${count(scope.total('sessions'))} sessions · tidegate`;
  meters.show(scope);
  errors.show(scope);
  partitions.show(scope);
  roomsTable.show(rooms, view.showsRooms);
  replicasTable.show(replicas, chosen);
  plot(scope);
}

function plot(scope: Scope): void {
  const { times } = history;
  const of = (column: Column, label: string, note?: string): Line => {
    return { label, values: history.column(chosen ?? ALL, column), ...(note !== undefined && { note }) };
  };
  const since = (total: number, write = count) => `${write(total)} since start`;
  panels.ack.show(times, [of('ackP50', 'p50'), of('ackP99', 'p99')]);
  panels.deliver.show(times, [of('deliverP50', 'p50'), of('deliverP99', 'p99')]);
  panels.publishes.show(times, [
    of('publishes', 'Publishes', since(scope.publishes)),
    of('commands', 'Commands', since(scope.totalOf('commands'))),
  ]);
  panels.deliveries.show(times, [of('deliveries', 'Deliveries', since(scope.total('deliveries')))]);
  panels.bytes.show(times, [
    of('bytesSent', 'Sent', since(scope.total('bytesSent'), bytes)),
    of('bytesReceived', 'Received', since(scope.total('bytesReceived'), bytes)),
  ]);
  panels.errors.show(times, [
    of('errors', 'Errors', since(scope.totalOf('errors'))),
    of('disconnects', 'Ended', since(scope.totalOf('disconnects'))),
    of('refused', 'Refused', since(scope.totalOf('connectionsRefused'))),
  ]);
  panels.loop.show(times, [of('loopLag', scope.replicas.length > 1 ? 'p99, the worst' : 'p99')]);
  panels.cpu.show(times, [of('cpu', 'In use'), of('loopBusy', 'Loop busy')]);
  panels.memory.show(times, [of('memory', 'Resident')]);
  panels.status.show(times, [of('online', 'Online'), of('away', 'Away'), of('dnd', 'Do not disturb')]);
  panels.replicas.show(times, byReplica());
  panels.lag.show(times, [of('lag', 'Records')]);
}

function byName(a: Figures, b: Figures): number {
  return a.node.localeCompare(b.node) || a.id.localeCompare(b.id);
}

/** The same lines in the same colours, for as long as the same replicas are there. */
function byReplica(): Line[] {
  const sessionsOf = ({ figures }: Replica) => figures.numbers.sessions ?? 0;
  const most = [...replicas].sort((a, b) => sessionsOf(b) - sessionsOf(a)).slice(0, COLOURS);
  most.sort((a, b) => byName(a.figures, b.figures));
  return most.map(({ figures }) => ({ label: figures.node, values: history.column(figures.id, 'sessions') }));
}

function showScopes(): void {
  const options = [
    { value: ALL, label: replicas.length === 1 ? 'This replica' : `All ${replicas.length} replicas` },
    ...(replicas.length === 1 ? [] : replicas.map(({ figures }) => ({ value: figures.id, label: figures.node }))),
  ].map(({ value, label }) => {
    const option = [...select.options].find((each) => each.value === value) ?? make('option');
    option.value = value;
    setText(option, label);
    return option;
  });
  arrange(select, options);
  select.value = chosen ?? ALL;
}

/** What the page does not show, and why. */
function showNotice({ reach, omitted }: View): void {
  const words = [];
  if (reach === 'unshared') {
    words.push('Only this replica is shown: without TIDEGATE_REDIS_URL replicas know nothing of one another.');
  }
  if (reach === 'unheard') {
    words.push('Redis is not there, through which replicas tell one another: what is shown of the others is old.');
  }
  if (omitted > 0) words.push(`There are more replicas than the ${replicas.length} shown.`);
  setText(notice, words.join(' '));
}
