import type { PresenceStore } from '../presence/presence-store.ts';
import type { PresenceTracker } from '../presence/presence-tracker.ts';
import { CommandError } from '../protocol/errors.ts';
import type { SessionRegistry } from './session-registry.ts';

/** Users that are asked about at once. */
const USERS_MAX = 200;

interface Asking {
  readonly users: string[];
  /** For each of the users, in order: devices that are connected; null: not known of all replicas. */
  readonly answer: Promise<readonly (readonly string[] | null)[]>;
}

/**
 * How many sessions a user may have at a time: on this replica exactly, and over all of them where they share presence,
 * as far as it is known. Sessions that connect at the same moment on several replicas don't know of one another, so that
 * there may be more for once; never more than the cap on each.
 */
export class UserCap {
  /** 0: as many as come. */
  readonly #max: number;
  readonly #registry: Pick<SessionRegistry, 'ofUser'>;
  readonly #tracker: Pick<PresenceTracker, 'written'>;
  /** null: there are no others. */
  readonly #sharedStore: Pick<PresenceStore, 'readUsers'> | null;
  /** Not sent yet. */
  #asking: Asking | null = null;

  constructor(
    max: number,
    registry: Pick<SessionRegistry, 'ofUser'>,
    tracker: Pick<PresenceTracker, 'written'>,
    sharedStore: Pick<PresenceStore, 'readUsers'> | null,
  ) {
    this.#max = max;
    this.#registry = registry;
    this.#tracker = tracker;
    this.#sharedStore = sharedStore;
  }

  /** Whether other replicas' sessions count, so that the store is to be asked before somebody is let in. */
  get isShared(): boolean {
    return this.#max > 0 && this.#sharedStore !== null;
  }

  /** Devices of a user that are connected, on whichever replica. None where that is not known of all: then this one's count. */
  async devicesOf(user: string, device: string): Promise<readonly string[]> {
    const devices = await this.#ask(user);
    if (!this.isReached(user, device, devices)) return devices;
    // What has ended here may not be written yet.
    await this.#tracker.written().catch(() => {});
    return this.#ask(user);
  }

  /** Whether there is no room for a session of this device beside those here, and those of these devices. */
  isReached(user: string, device: string, devices: readonly string[]): boolean {
    if (this.#max === 0) return false;
    const others = new Set(devices);
    for (const { identity } of this.#registry.ofUser(user)) others.add(identity.device);
    others.delete(device);
    return others.size >= this.#max;
  }

  /** @throws CommandError `limit_exceeded` */
  require(user: string, device: string, devices: readonly string[]): void {
    if (!this.isReached(user, device, devices)) return;
    throw new CommandError('limit_exceeded', `user: ${this.#max} sessions are connected already`);
  }

  /** Those who ask in one turn of the loop are asked for together. */
  async #ask(user: string): Promise<readonly string[]> {
    if (this.#sharedStore === null) return [];
    if (this.#asking === null || this.#asking.users.length >= USERS_MAX) this.#asking = this.#begin(this.#sharedStore);
    const { users, answer } = this.#asking;
    const at = users.push(user) - 1;
    return (await answer)[at] ?? [];
  }

  #begin(store: Pick<PresenceStore, 'readUsers'>): Asking {
    const users: string[] = [];
    return { users, answer: this.#read(store, users) };
  }

  async #read(store: Pick<PresenceStore, 'readUsers'>, users: readonly string[]): Asking['answer'] {
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (this.#asking?.users === users) this.#asking = null;
    try {
      const known = await store.readUsers(users, []);
      return known.map(({ connectedDevices, partial }) => (partial ? null : connectedDevices));
    } catch (error) {
      if (error instanceof CommandError && error.code === 'unavailable') return [];
      throw error;
    }
  }
}
