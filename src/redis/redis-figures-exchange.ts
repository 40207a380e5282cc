import type { Figures } from '../observability/figures.ts';
import type { FiguresExchange, FiguresListener } from '../observability/figures-exchange.ts';
import { readFigures, writeFigures } from '../observability/figures-text.ts';
import type { RedisLink } from './redis-link.ts';
import { RedisUnavailableError } from './redis-unavailable-error.ts';

const LOOK = /^\{"v":1,"by":"([\w-]{16})"\}$/;

/**
 * Figures over two channels of Redis: all replicas hear the one for looks, and those at which somebody looks the one for
 * figures. Nothing is kept there.
 */
export class RedisFiguresExchange implements FiguresExchange {
  readonly #link: RedisLink;
  /** As which the others know this replica's figures. */
  readonly #id: string;
  #listener: FiguresListener | null = null;
  #isLooking = false;
  #unreadable = 0;

  constructor(link: RedisLink, id: string) {
    this.#link = link;
    this.#id = id;
  }

  /** Messages that were no replica's. */
  get unreadable(): number {
    return this.#unreadable;
  }

  get isUp(): boolean {
    return this.#link.isUp && this.#link.isHearing;
  }

  async open(listener: FiguresListener): Promise<void> {
    this.#listener = listener;
    try {
      await this.#link.subscribe(this.#looks, (text) => this.#onLook(text));
    } catch (error) {
      // They are heard once Redis is back.
      if (!(error instanceof RedisUnavailableError)) throw error;
    }
  }

  setLooking(isLooking: boolean): void {
    if (this.#listener === null || isLooking === this.#isLooking) return;
    this.#isLooking = isLooking;
    // Where Redis does not answer, they are heard once it does.
    if (isLooking) this.#link.subscribe(this.#figures, (text) => this.#onFigures(text)).catch(() => {});
    else this.#link.unsubscribe(this.#figures);
  }

  look(): void {
    if (this.#listener !== null) this.#link.publish(this.#looks, `{"v":1,"by":"${this.#id}"}`);
  }

  tell(figures: Figures): void {
    if (this.#listener !== null) this.#link.publish(this.#figures, writeFigures(figures));
  }

  close(): void {
    if (this.#listener === null) return;
    this.setLooking(false);
    this.#link.unsubscribe(this.#looks);
    this.#listener = null;
  }

  #onLook(text: string): void {
    const by = LOOK.exec(text)?.[1];
    if (by === undefined) this.#unreadable += 1;
    else if (by !== this.#id) this.#listener?.onLook();
  }

  #onFigures(text: string): void {
    const figures = readFigures(text);
    if (figures === null) this.#unreadable += 1;
    else if (figures.id !== this.#id) this.#listener?.onFigures(figures);
  }

  get #looks(): string {
    return this.#link.key('l');
  }

  get #figures(): string {
    return this.#link.key('f');
  }
}
