/**
 * By which of several replicas a client comes: what a balancer before them decides. Clients take turns on the replicas
 * that are ready; one that is not, and has not been found out yet, refuses or keeps silent as it would behind a balancer.
 */
export class Entrance {
  readonly #urls: readonly string[];
  /** Places of those that are ready; all, where none is: somebody has to be asked. */
  #open: readonly number[];
  #turn = 0;

  /** @param turn of the first client, so that not all load processes begin with the same replica */
  constructor(urls: readonly string[], turn: number) {
    this.#urls = urls;
    this.#open = urls.map((_, place) => place);
    this.#turn = turn;
  }

  next(): string {
    const place = this.#open[this.#turn % this.#open.length] as number;
    this.#turn += 1;
    return this.#urls[place] as string;
  }

  /** @param areReady by place */
  update(areReady: readonly boolean[]): void {
    const all = this.#urls.map((_, place) => place);
    const open = all.filter((place) => areReady[place]);
    this.#open = open.length > 0 ? open : all;
  }
}
