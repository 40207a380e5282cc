import type { Session } from './session.ts';

/** Every session of this node. */
export class SessionRegistry {
  readonly #sessions = new Set<Session>();
  readonly #byDevice = new Map<string, Session>();

  get size(): number {
    return this.#sessions.size;
  }

  [Symbol.iterator](): IterableIterator<Session> {
    return this.#sessions[Symbol.iterator]();
  }

  /** The live session of a user's device, if there is one. */
  get(user: string, device: string): Session | undefined {
    return this.#byDevice.get(key(user, device));
  }

  add(session: Session): void {
    this.#sessions.add(session);
  }

  /** The session has its user and device now. */
  connected(session: Session): void {
    this.#byDevice.set(key(session.user, session.device), session);
  }

  delete(session: Session): void {
    this.#sessions.delete(session);
    const ofDevice = key(session.user, session.device);
    if (this.#byDevice.get(ofDevice) === session) this.#byDevice.delete(ofDevice);
  }
}

function key(user: string, device: string): string {
  return `${user} ${device}`;
}
