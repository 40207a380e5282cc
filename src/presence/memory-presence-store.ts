import { CommandError } from '../protocol/errors.ts';
import { Announcer } from './announcer.ts';
import { type Holder, MemoryRoster } from './memory-roster.ts';
import type {
  KnownUser,
  PresenceBatch,
  PresenceReplica,
  PresenceStore,
  RoomPresence,
  Subject,
} from './presence-store.ts';
import { RosterEdit } from './roster-edit.ts';

/** A lease is renewed this many times while it would last, so that one late renewal doesn't lose it. */
const RENEWALS_PER_LEASE = 5;

const NOTHING: PresenceBatch = { sessions: [], members: [] };

export interface MemoryPresenceSettings {
  /** Milliseconds for which a lease lasts without being renewed. */
  readonly leaseMs: number;
  /** Milliseconds for which what a lapsed lease held is still seen. */
  readonly graceMs: number;
  /** Users without a session whose last seen is kept; the oldest are forgotten first. */
  readonly lastSeenMax: number;
  /** There are replicas elsewhere that this memory knows nothing of; false if not given. */
  readonly partial?: boolean;
  /** Milliseconds since 1970. */
  readonly nowMs?: () => number;
}

/**
 * Presence in this process's memory. A gateway has one replica of it; several share it as they would share a store
 * elsewhere. Nothing outlives the process, but versions go on rising behind those of an earlier one.
 */
export class MemoryPresence {
  readonly #shared: Shared;

  constructor(settings: MemoryPresenceSettings) {
    this.#shared = new Shared(settings);
  }

  /** A store to be opened by one replica. */
  replica(): PresenceStore {
    return new MemoryPresenceStore(this.#shared);
  }

  get sessionCount(): number {
    return this.#shared.roster.sessionCount;
  }

  /** A user's devices, each once whatever its sessions. */
  get deviceCount(): number {
    return this.#shared.roster.deviceCount;
  }

  /** Users with a session. */
  get userCount(): number {
    return this.#shared.roster.onlineCount;
  }

  /** Rooms with somebody in them. */
  get roomCount(): number {
    return this.#shared.roster.roomCount;
  }
}

class Lease implements Holder {
  heardAtMs: number;
  /** From then on nothing is written under it; a grace later it is reaped. */
  endsAtMs: number;
  readonly #replica: PresenceReplica;
  readonly #nowMs: () => number;

  constructor(replica: PresenceReplica, nowMs: () => number, leaseMs: number) {
    this.#replica = replica;
    this.#nowMs = nowMs;
    this.heardAtMs = nowMs();
    this.endsAtMs = this.heardAtMs + leaseMs;
  }

  isOver(): boolean {
    return this.#nowMs() >= this.endsAtMs;
  }

  onReplaced(user: string, session: string): void {
    this.#replica.onReplaced(user, session);
  }
}

/** What the replicas share. */
class Shared {
  readonly leaseMs: number;
  readonly roster: MemoryRoster;
  readonly announcer = new Announcer();
  readonly #graceMs: number;
  readonly #nowMs: () => number;
  /** Those that hold something still. */
  readonly #leases = new Set<Lease>();

  constructor({ leaseMs, graceMs, lastSeenMax, partial = false, nowMs = () => Date.now() }: MemoryPresenceSettings) {
    this.leaseMs = leaseMs;
    this.#graceMs = graceMs;
    this.#nowMs = nowMs;
    this.roster = new MemoryRoster(lastSeenMax, nowMs, partial);
  }

  takeLease(replica: PresenceReplica): Lease {
    const lease = new Lease(replica, this.#nowMs, this.leaseMs);
    this.#leases.add(lease);
    return lease;
  }

  isValid(lease: Lease): boolean {
    return !lease.isOver() && this.#leases.has(lease);
  }

  renew(lease: Lease): void {
    lease.heardAtMs = this.#nowMs();
    lease.endsAtMs = lease.heardAtMs + this.leaseMs;
  }

  end(lease: Lease): void {
    // One that lapsed is not made to last longer.
    if (lease.isOver()) return;
    const now = this.#nowMs();
    lease.heardAtMs = now;
    lease.endsAtMs = now;
  }

  edit(change: (edit: RosterEdit) => void): void {
    const edit = new RosterEdit(this.roster);
    change(edit);
    this.announcer.announce(edit.commit(this.announcer));
    edit.tellReplaced();
  }

  /** Of a lease that another one takes the place of. */
  retire(lease: Lease): void {
    this.#leases.delete(lease);
  }

  /** Drops what leases hold whose grace has passed. */
  reap(): void {
    const now = this.#nowMs();
    const dead = new Set<Lease>();
    for (const lease of this.#leases) if (now >= lease.endsAtMs + this.#graceMs) dead.add(lease);
    if (dead.size === 0) return;
    for (const lease of dead) this.#leases.delete(lease);
    this.edit((edit) => edit.dropAllOf(dead));
  }
}

/** An open store's side of the bargain. */
interface Opened {
  readonly replica: PresenceReplica;
  readonly renewal: NodeJS.Timeout;
  lease: Lease;
}

class MemoryPresenceStore implements PresenceStore {
  readonly #shared: Shared;
  #opened: Opened | null = null;

  constructor(shared: Shared) {
    this.#shared = shared;
  }

  async open(replica: PresenceReplica): Promise<void> {
    const renewal = setInterval(() => this.#renew(), this.#shared.leaseMs / RENEWALS_PER_LEASE);
    renewal.unref();
    this.#opened = { replica, renewal, lease: this.#shared.takeLease(replica) };
  }

  async write(batch: PresenceBatch): Promise<void> {
    const opened = this.#open();
    const { lease } = opened;
    if (this.#shared.isValid(lease)) this.#shared.edit((edit) => edit.apply(batch, lease));
    else this.#beginAnew(opened, batch);
  }

  async readRoom(room: string, after: string | undefined, limit: number): Promise<RoomPresence> {
    this.#open();
    return this.#shared.roster.readRoom(room, after, limit);
  }

  async readUsers(users: readonly string[], rooms: Iterable<string>): Promise<readonly KnownUser[]> {
    this.#open();
    return this.#shared.roster.readUsers(users, rooms);
  }

  async setInterest(subject: Subject, isInterested: boolean): Promise<void> {
    // Who ends an interest late, while a gateway stops, has what it wants.
    if (this.#opened === null && !isInterested) return;
    this.#shared.announcer.setInterest(this.#open().replica, subject, isInterested);
  }

  async close(): Promise<void> {
    if (this.#opened === null) return;
    const { replica, renewal, lease } = this.#opened;
    this.#opened = null;
    clearInterval(renewal);
    this.#shared.announcer.remove(replica);
    this.#shared.end(lease);
  }

  #open(): Opened {
    if (this.#opened === null) throw new CommandError('unavailable', 'presence is not open');
    return this.#opened;
  }

  #renew(): void {
    const opened = this.#open();
    if (this.#shared.isValid(opened.lease)) this.#shared.renew(opened.lease);
    else this.#beginAnew(opened, NOTHING);
    this.#shared.reap();
  }

  /**
   * Begins anew under another lease, in one edit, so that others see no more than what is different by now. The
   * batch that was being written is older than what the replica says now, and goes with the former lease; what it
   * says of when sessions ended stays.
   */
  #beginAnew(opened: Opened, unwritten: PresenceBatch): void {
    const former = opened.lease;
    const everything = opened.replica.everything();
    const lease = this.#shared.takeLease(opened.replica);
    opened.lease = lease;
    this.#shared.retire(former);
    this.#shared.edit((edit) => {
      edit.apply(unwritten, former);
      edit.apply(everything, lease);
      edit.dropAllOf(new Set([former]));
    });
  }
}
