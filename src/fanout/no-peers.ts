import type { Peers, Removed } from './peers.ts';

/** For a replica that has nobody to tell. */
export class NoPeers implements Peers {
  readonly #nobody: Removed;

  /** @param partial there are other replicas, and no way to tell them; false if not given */
  constructor(partial = false) {
    this.#nobody = { sessions: 0, partial };
  }

  async open(): Promise<void> {}

  setInterest(): void {}

  signal(): void {}

  async remove(): Promise<Removed> {
    return this.#nobody;
  }

  close(): void {}
}
