import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import {
  CLUSTER_VIEW_DEFAULTS,
  ClusterView,
  type ClusterViewSettings,
} from '../../../src/observability/cluster-view.ts';
import type { Figures, View } from '../../../src/observability/figures.ts';
import type { FiguresExchange, FiguresListener } from '../../../src/observability/figures-exchange.ts';
import { someFigures } from './some-figures.ts';

const SETTINGS: ClusterViewSettings = { ...CLUSTER_VIEW_DEFAULTS, replicasMax: 3, showsRooms: true, hasOthers: true };

/** What replicas say to one another, at once. */
class FakeNetwork {
  readonly ends: FakeExchange[] = [];
  looks = 0;
  told = 0;
}

class FakeExchange implements FiguresExchange {
  readonly #network: FakeNetwork;
  isUp = true;
  isLooking = false;
  listener: FiguresListener | null = null;

  constructor(network: FakeNetwork) {
    this.#network = network;
    network.ends.push(this);
  }

  async open(listener: FiguresListener): Promise<void> {
    this.listener = listener;
  }

  setLooking(isLooking: boolean): void {
    this.isLooking = isLooking;
  }

  look(): void {
    this.#network.looks += 1;
    for (const other of this.#others) other.listener?.onLook();
  }

  tell(figures: Figures): void {
    this.#network.told += 1;
    for (const other of this.#others) if (other.isLooking) other.listener?.onFigures(figures);
  }

  close(): void {
    this.listener = null;
  }

  get #others(): readonly FakeExchange[] {
    return this.isUp ? this.#network.ends.filter((end) => end !== this && end.isUp) : [];
  }
}

let network: FakeNetwork;
let open: { readonly view: ClusterView; readonly exchange: FakeExchange; taken: number; stopped: number }[];

beforeEach(() => {
  vi.useFakeTimers();
  network = new FakeNetwork();
  open = [];
});

afterEach(() => {
  for (const { view } of open) view.close();
  vi.useRealTimers();
});

async function replica(settings: Partial<ClusterViewSettings> = {}) {
  const id = `replica-${open.length}`.padEnd(16, '0');
  const exchange = new FakeExchange(network);
  const source = {
    take() {
      made.taken += 1;
      return someFigures({ id, node: `n${id[8]}`, upMs: performance.now() });
    },
    stop() {
      made.stopped += 1;
    },
  };
  const view = new ClusterView(source, exchange, { ...SETTINGS, ...settings });
  const made = { view, exchange, taken: 0, stopped: 0 };
  open.push(made);
  await view.open();
  return made;
}

/** Notes what a watcher is told. */
function watch(view: ClusterView) {
  const views: View[] = [];
  const stop = view.watch((line) => views.push(JSON.parse(line.toString()) as View));
  return { views, stop };
}

const nodes = (view: View | undefined) => view?.replicas.map(({ figures }) => figures.node);
const ages = (view: View | undefined) => view?.replicas.map(({ ageMs }) => ageMs);

test('while nobody looks nothing is taken, asked or told', async () => {
  const [a, b] = [await replica(), await replica()];
  await vi.advanceTimersByTimeAsync(60_000);
  expect([a.taken, b.taken, network.looks, network.told]).toEqual([0, 0, 0, 0]);
});

test('who looks is told at once of the replica itself, and from then on of all', async () => {
  const [a, b] = [await replica(), await replica()];
  const { views } = watch(a.view);
  expect(views.map(nodes)).toEqual([['n0']]);
  await vi.advanceTimersByTimeAsync(3_000);
  expect(views.map(nodes)).toEqual([['n0'], ['n0', 'n1'], ['n0', 'n1'], ['n0', 'n1']]);
  expect(views.every(({ reach }) => reach === 'heard')).toBe(true);
  expect(ages(views.at(-1))).toEqual([0, 1_000]);
  expect([a.taken, b.taken]).toEqual([4, 4]);
});

test('however many look, each replica tells once an interval', async () => {
  const [a, b, c] = [await replica(), await replica(), await replica()];
  const watchers = [a, a, b].map(({ view }) => watch(view));
  await vi.advanceTimersByTimeAsync(10_000);
  for (const { views } of watchers) expect(nodes(views.at(-1))?.sort()).toEqual(['n0', 'n1', 'n2']);
  expect(c.taken).toBeLessThanOrEqual(11);
  expect(network.told).toBeLessThanOrEqual(33);
});

test('when nobody looks any more all rest, after a moment', async () => {
  const [a, b] = [await replica(), await replica()];
  const first = watch(a.view);
  const second = watch(a.view);
  await vi.advanceTimersByTimeAsync(2_000);
  first.stop();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(second.views).toHaveLength(4);
  second.stop();
  second.stop();
  const { looks } = network;
  await vi.advanceTimersByTimeAsync(4_000);
  expect([a.stopped, b.stopped]).toEqual([0, 0]);
  await vi.advanceTimersByTimeAsync(2_000);
  expect([a.stopped, b.stopped]).toEqual([1, 1]);
  expect([network.looks, a.exchange.isLooking]).toEqual([looks, false]);
});

test('a replica that tells nothing any more gets older, and is forgotten', async () => {
  const [a, b] = [await replica(), await replica()];
  const { views } = watch(a.view);
  await vi.advanceTimersByTimeAsync(1_000);
  b.view.close();
  await vi.advanceTimersByTimeAsync(20_000);
  expect(ages(views.at(-1))).toEqual([0, 20_000]);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(nodes(views.at(-1))).toEqual(['n0']);
});

test('more replicas than there is place for are counted, until one of the others is gone', async () => {
  const all = await Promise.all(Array.from({ length: 5 }, () => replica()));
  const { views } = watch(all[0]?.view as ClusterView);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(nodes(views.at(-1))).toEqual(['n0', 'n1', 'n2', 'n3']);
  expect(views.at(-1)?.omitted).toBe(1);
  all[2]?.view.close();
  await vi.advanceTimersByTimeAsync(8_000);
  expect(nodes(views.at(-1))?.sort()).toEqual(['n0', 'n1', 'n3', 'n4']);
  expect(views.at(-1)?.omitted).toBe(0);
});

test('names of rooms are told where they may be, and to the other replicas always', async () => {
  const open = await replica();
  const secret = await replica({ showsRooms: false });
  const [shown, hidden] = [watch(open.view), watch(secret.view)];
  await vi.advanceTimersByTimeAsync(1_000);
  const rooms = ({ views }: ReturnType<typeof watch>) =>
    views.at(-1)?.replicas.map(({ figures }) => figures.rooms.length);
  expect([rooms(shown), shown.views.at(-1)?.showsRooms]).toEqual([[1, 1], true]);
  expect([rooms(hidden), hidden.views.at(-1)?.showsRooms]).toEqual([[0, 0], false]);
});

test('it says how far it sees', async () => {
  const a = await replica();
  const { views } = watch(a.view);
  a.exchange.isUp = false;
  await vi.advanceTimersByTimeAsync(1_000);
  expect(views.map(({ reach }) => reach)).toEqual(['heard', 'unheard']);
  const source = { take: () => someFigures(), stop() {} };
  for (const hasOthers of [true, false]) {
    const view = new ClusterView(source, null, { ...SETTINGS, hasOthers });
    await view.open();
    const alone = watch(view);
    expect(alone.views[0]?.reach).toBe(hasOthers ? 'unshared' : 'alone');
    view.close();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(alone.views).toHaveLength(1);
  }
});
