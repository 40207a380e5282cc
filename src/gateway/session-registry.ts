import type { Session } from './session.ts';

/** Every session of this node: by itself, by user and device, and by address. */
export class SessionRegistry {
  readonly #sessions = new Set<Session>();
  /** Most users have one session; a map is made for the second one. */
  readonly #byUser = new Map<string, Session | Map<string, Session>>();
  readonly #connectedByAddress = new Map<string, number>();
  #connectedCount = 0;

  get size(): number {
    return this.#sessions.size;
  }

  /** Of those that have said `connect`. */
  get connectedCount(): number {
    return this.#connectedCount;
  }

  get userCount(): number {
    return this.#byUser.size;
  }

  [Symbol.iterator](): IterableIterator<Session> {
    return this.#sessions[Symbol.iterator]();
  }

  /** The live session of a user's device, if there is one. */
  get(user: string, device: string): Session | undefined {
    const known = this.#byUser.get(user);
    if (known instanceof Map) return known.get(device);
    return known?.identity.device === device ? known : undefined;
  }

  /** A user's live sessions. */
  ofUser(user: string): readonly Session[] {
    const known = this.#byUser.get(user);
    if (known === undefined) return [];
    return known instanceof Map ? [...known.values()] : [known];
  }

  countOfUser(user: string): number {
    const known = this.#byUser.get(user);
    if (known === undefined) return 0;
    return known instanceof Map ? known.size : 1;
  }

  /** Connected sessions of an address, as `addressKey` names it. */
  countOfAddress(address: string): number {
    return this.#connectedByAddress.get(address) ?? 0;
  }

  add(session: Session): void {
    this.#sessions.add(session);
  }

  /** The session has its user and device now; no other one has both. */
  connected(session: Session): void {
    const { user, device } = session.identity;
    const known = this.#byUser.get(user);
    if (known === undefined) this.#byUser.set(user, session);
    else if (known instanceof Map) known.set(device, session);
    else {
      const both = new Map([
        [known.identity.device, known],
        [device, session],
      ]);
      this.#byUser.set(user, both);
    }
    const address = addressKey(session.remoteAddress);
    this.#connectedByAddress.set(address, this.countOfAddress(address) + 1);
    this.#connectedCount += 1;
  }

  delete(session: Session): void {
    this.#sessions.delete(session);
    if (!session.wasConnected) return;
    const { user, device } = session.identity;
    const known = this.#byUser.get(user);
    if (known instanceof Map) {
      known.delete(device);
      if (known.size === 0) this.#byUser.delete(user);
    } else {
      this.#byUser.delete(user);
    }
    const address = addressKey(session.remoteAddress);
    const left = this.countOfAddress(address) - 1;
    if (left > 0) this.#connectedByAddress.set(address, left);
    else this.#connectedByAddress.delete(address);
    this.#connectedCount -= 1;
  }
}

/**
 * What counts as one address, of a plain one: an IPv4 address; of IPv6 the /64 that one customer is given as the least
 * (RFC 6177), or whoever has one could take a fresh address for each connection.
 */
export function addressKey(address: string): string {
  if (!address.includes(':')) return address;
  const [head = '', tail] = address.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  return [...before, ...new Array<string>(Math.max(zeros, 0)).fill('0'), ...after].slice(0, 4).join(':');
}
