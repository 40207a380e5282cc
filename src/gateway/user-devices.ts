import type { DeviceState, PresenceStore } from '../presence/presence-store.ts';
import type { PresenceTracker } from '../presence/presence-tracker.ts';
import { CommandError } from '../protocol/errors.ts';
import type { SessionRegistry } from './session-registry.ts';

/** Milliseconds that a session's reply waits for the others to know of it. */
const TOLD_MS_MAX = 1_000;
/** Users that are asked about at once. */
const USERS_MAX = 200;

type Known = readonly DeviceState[];

interface Asking {
  readonly users: string[];
  /** For each of the users, in order. */
  readonly answer: Promise<readonly Known[]>;
}

/**
 * A user's devices when another one of them connects: how many may be connected, and how the same one was elsewhere. They
 * count on this replica exactly, and over all of them where presence is shared, as far as it is known. Sessions that connect
 * at the same moment on several replicas don't know of one another, so that there may be more for once; never more than the
 * cap on each.
 */
export class UserDevices {
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

  /** Whether there may be others than this replica's, so that the store is to be asked before somebody is let in. */
  get areShared(): boolean {
    return this.#sharedStore !== null;
  }

  /** A user's devices on whichever replica. None where they are not known of all: then this one's count. */
  async of(user: string, device: string): Promise<Known> {
    const known = await this.#ask(user);
    if (this.#hasRoom(user, device, known)) return known;
    // What has ended here may not be written yet.
    await this.#tracker.written().catch(() => {});
    return this.#ask(user);
  }

  /** Resolves when other replicas know of who has connected here before, and after a second at the latest. */
  async told(): Promise<void> {
    if (this.#sharedStore === null) return;
    let timer: NodeJS.Timeout | undefined;
    const waited = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, TOLD_MS_MAX);
    });
    await Promise.race([this.#tracker.written().catch(() => {}), waited]);
    clearTimeout(timer);
  }

  /** Whether there is room for a session of this device beside those here and elsewhere. @throws CommandError `limit_exceeded` */
  requireRoom(user: string, device: string, known: Known): void {
    if (this.#hasRoom(user, device, known)) return;
    throw new CommandError('limit_exceeded', `user: ${this.#max} sessions are connected already`);
  }

  #hasRoom(user: string, device: string, known: Known): boolean {
    if (this.#max === 0) return true;
    const others = new Set<string>();
    for (const each of known) if (each.isConnected) others.add(each.device);
    for (const { identity } of this.#registry.ofUser(user)) others.add(identity.device);
    others.delete(device);
    return others.size < this.#max;
  }

  /** Those who ask in one turn of the loop are asked for together. */
  async #ask(user: string): Promise<Known> {
    if (this.#sharedStore === null) return [];
    if (this.#asking === null || this.#asking.users.length >= USERS_MAX) {
      const users: string[] = [];
      this.#asking = { users, answer: this.#read(this.#sharedStore, users) };
    }
    const { users, answer } = this.#asking;
    const at = users.push(user) - 1;
    return (await answer)[at] ?? [];
  }

  async #read(store: Pick<PresenceStore, 'readUsers'>, users: readonly string[]): Asking['answer'] {
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (this.#asking?.users === users) this.#asking = null;
    try {
      const known = await store.readUsers(users, []);
      return known.map(({ deviceStates, partial }) => (partial ? [] : deviceStates));
    } catch (error) {
      if (error instanceof CommandError && error.code === 'unavailable') return [];
      throw error;
    }
  }
}
