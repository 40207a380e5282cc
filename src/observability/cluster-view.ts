import type { Figures, Reach, View } from './figures.ts';
import type { FiguresExchange } from './figures-exchange.ts';
import { writeFigures } from './figures-text.ts';

export interface ClusterViewSettings {
  /** Milliseconds between two views, and between what replicas tell while somebody looks. */
  readonly intervalMs: number;
  /** Milliseconds for which a replica that tells nothing any more is shown, as gone. */
  readonly forgetMs: number;
  /** Other replicas that are kept; more are not shown. */
  readonly replicasMax: number;
  /** Whether views have the names of rooms, which are what users have written. */
  readonly showsRooms: boolean;
  /** There are other replicas, whether or not there is an exchange with them. */
  readonly hasOthers: boolean;
}

export const CLUSTER_VIEW_DEFAULTS = { intervalMs: 1_000, forgetMs: 30_000, replicasMax: 63 } as const;

interface Told {
  readonly id: string;
  readonly json: string;
  readonly atMs: number;
}

/** Takes own figures. */
export interface FiguresSource {
  take(): Figures;
  /** Lets go of what is measured for figures alone. */
  stop(): void;
}

/** A multiple of the interval, after which nobody looks any more, or a replica counts as gone. */
const PATIENCE = 5;

/**
 * What all replicas tell of themselves, for those who look here, and what is told of this one to those who look elsewhere. While
 * nobody does, nothing is measured, told or heard.
 */
export class ClusterView {
  readonly #source: FiguresSource;
  readonly #exchange: FiguresExchange | null;
  readonly #settings: ClusterViewSettings;
  readonly #watchers = new Set<(view: Buffer) => void>();
  readonly #others = new Map<string, Told>();
  /** Heard of since the last view while there was no place for them. */
  readonly #omitted = new Set<string>();
  #ticking: NodeJS.Timeout | null = null;
  #own: { readonly figures: Figures; readonly atMs: number } | null = null;
  #toldMs = Number.NEGATIVE_INFINITY;
  /** Runs out when nobody has looked for a while. */
  #resting: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(source: FiguresSource, exchange: FiguresExchange | null, settings: ClusterViewSettings) {
    this.#source = source;
    this.#exchange = exchange;
    this.#settings = settings;
  }

  async open(): Promise<void> {
    await this.#exchange?.open({ onLook: () => this.#tell(), onFigures: (figures) => this.#hear(figures) });
  }

  /**
   * Calls `onView` with a line of JSON at once and then every interval, until what is returned is called. It must not throw.
   */
  watch(onView: (view: Buffer) => void): () => void {
    if (this.#closed) return () => {};
    this.#watchers.add(onView);
    onView(this.#write());
    if (this.#ticking === null) {
      this.#exchange?.setLooking(true);
      this.#ticking = setInterval(() => this.#tick(), this.#settings.intervalMs);
      this.#exchange?.look();
    }
    return () => {
      this.#watchers.delete(onView);
      if (this.#watchers.size === 0) this.#stopLooking();
    };
  }

  close(): void {
    this.#closed = true;
    this.#watchers.clear();
    this.#stopLooking();
    this.#exchange?.close();
    this.#rest();
  }

  #tick(): void {
    const view = this.#write();
    this.#omitted.clear();
    this.#exchange?.look();
    for (const onView of this.#watchers) onView(view);
  }

  #stopLooking(): void {
    if (this.#ticking === null) return;
    clearInterval(this.#ticking);
    this.#ticking = null;
    this.#exchange?.setLooking(false);
    this.#others.clear();
    this.#omitted.clear();
  }

  /** Once an interval, however many look. */
  #tell(): void {
    const nowMs = performance.now();
    if (this.#closed || nowMs - this.#toldMs < this.#settings.intervalMs / 2) return;
    this.#toldMs = nowMs;
    this.#exchange?.tell(this.#take(nowMs));
  }

  #hear(figures: Figures): void {
    if (this.#ticking === null) return;
    const nowMs = performance.now();
    const { id } = figures;
    if (!this.#others.has(id) && this.#others.size >= this.#settings.replicasMax && !this.#makePlace(nowMs)) {
      if (this.#omitted.size < this.#settings.replicasMax) this.#omitted.add(id);
      return;
    }
    this.#omitted.delete(id);
    this.#others.set(id, { id, json: this.#jsonOf(figures), atMs: nowMs });
  }

  /** Gives up one that is gone. */
  #makePlace(nowMs: number): boolean {
    const goneMs = PATIENCE * this.#settings.intervalMs;
    const gone = [...this.#others.values()].find(({ atMs }) => nowMs - atMs > goneMs);
    return gone !== undefined && this.#others.delete(gone.id);
  }

  /** Figures of this moment, or of one shortly before. */
  #take(nowMs: number): Figures {
    if (this.#own === null || nowMs - this.#own.atMs >= this.#settings.intervalMs / 2) {
      this.#own = { figures: this.#source.take(), atMs: nowMs };
    }
    if (this.#resting === null) {
      this.#resting = setTimeout(() => this.#rest(), PATIENCE * this.#settings.intervalMs);
    } else this.#resting.refresh();
    return this.#own.figures;
  }

  #rest(): void {
    if (this.#resting !== null) clearTimeout(this.#resting);
    this.#resting = null;
    this.#own = null;
    this.#source.stop();
  }

  #write(): Buffer {
    const nowMs = performance.now();
    const own = this.#take(nowMs);
    const { forgetMs, showsRooms } = this.#settings;
    for (const { id, atMs } of this.#others.values()) if (nowMs - atMs > forgetMs) this.#others.delete(id);
    const replicas = [{ json: this.#jsonOf(own), atMs: nowMs }, ...this.#others.values()].map(
      ({ json, atMs }) => `{"ageMs":${Math.round(nowMs - atMs)},"figures":${json}}`,
    );
    const head: Omit<View, 'replicas'> = {
      ...{ atMs: Date.now(), reach: this.#reach },
      ...{ showsRooms, omitted: this.#omitted.size },
    };
    return Buffer.from(`${JSON.stringify(head).slice(0, -1)},"replicas":[${replicas.join(',')}]}\n`);
  }

  #jsonOf(figures: Figures): string {
    return writeFigures(this.#settings.showsRooms ? figures : { ...figures, rooms: [] });
  }

  get #reach(): Reach {
    if (this.#exchange !== null) return this.#exchange.isUp ? 'heard' : 'unheard';
    return this.#settings.hasOthers ? 'unshared' : 'alone';
  }
}
