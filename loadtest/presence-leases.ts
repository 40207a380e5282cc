import type { MemberChange, PresenceBatch, PresenceReplica, SessionChange } from '../src/presence/presence-store.ts';
import type { Status } from '../src/protocol/presence-state.ts';
import { PRESENCE_DEFAULTS, type RedisPresenceSettings } from '../src/redis/presence-settings.ts';
import type { RedisLink } from '../src/redis/redis-link.ts';
import { RedisPresenceStore } from '../src/redis/redis-presence-store.ts';
import type { PresencePace } from './presence-plan.ts';
import type { SchemeReplica, SimulatedSession } from './presence-scheme.ts';
import { quietLink, SILENT } from './quiet-link.ts';

/** Of a room's users at a time; more than the bench's rooms have. */
const PAGE = 500;
const PREFIX = 'tidegate';
/** The sorted set in which Redis has leases with the time at which each lapses, in milliseconds since 1970. */
export const LEASES_KEY = `{${PREFIX}}:leases`;

/** tidegate's presence in Redis, as a gateway's replica has it, with sessions that have no connection. */
export class LeaseReplica implements SchemeReplica, PresenceReplica {
  readonly #link: RedisLink;
  readonly #store: RedisPresenceStore;
  readonly #sessions = new Map<string, SessionChange>();
  readonly #members: MemberChange[] = [];

  private constructor(url: string, settings: RedisPresenceSettings) {
    this.#link = quietLink(url, PREFIX);
    this.#store = new RedisPresenceStore(this.#link, settings, SILENT);
  }

  static async open(url: string, pace: PresencePace): Promise<LeaseReplica> {
    const replica = new LeaseReplica(url, presenceSettings(pace));
    await replica.#link.open();
    await replica.#store.open(replica);
    return replica;
  }

  async join(sessions: readonly SimulatedSession[]): Promise<void> {
    const changes = sessions.map((session): SessionChange => ({ ...changeOf(session, 'online'), isNew: true }));
    const members = sessions.map(({ room, user }): MemberChange => ({ room, user, present: true }));
    for (const change of changes) this.#sessions.set(change.session, change);
    this.#members.push(...members);
    await this.#store.write({ sessions: changes, members });
  }

  async setStatus(session: SimulatedSession, status: Status): Promise<void> {
    const change = changeOf(session, status);
    this.#sessions.set(change.session, change);
    await this.#store.write({ sessions: [change], members: [] });
  }

  async readRoom(room: string): Promise<readonly string[]> {
    const { users } = await this.#store.readRoom(room, undefined, PAGE);
    return users.map(({ user }) => user);
  }

  watch(room: string): Promise<void> {
    return this.#store.setInterest({ room }, true);
  }

  crash(): void {
    this.#link.close();
  }

  everything(): PresenceBatch {
    return { sessions: [...this.#sessions.values()], members: this.#members };
  }

  onRoomChange(): void {}

  onUserChange(): void {}

  onReplaced(): void {}
}

/** How long at least a replica's sessions outlive it: it may have crashed just before a renewal. */
export function outliveMsMin(pace: PresencePace): number {
  const { leaseMs, renewMs, graceMs } = presenceSettings(pace);
  return leaseMs - renewMs + graceMs;
}

/** For how long what a lapsed lease held is seen. */
export function graceMsOf(pace: PresencePace): number {
  return presenceSettings(pace).graceMs;
}

function presenceSettings({ haste }: PresencePace): RedisPresenceSettings {
  const { leaseMs, renewMs, fenceMs, graceMs } = PRESENCE_DEFAULTS;
  return {
    ...PRESENCE_DEFAULTS,
    leaseMs: leaseMs / haste,
    renewMs: renewMs / haste,
    fenceMs: fenceMs / haste,
    graceMs: graceMs / haste,
  };
}

function changeOf({ user, device, session }: SimulatedSession, status: Status): SessionChange {
  return { user, device, session, state: { status }, atMs: Date.now() };
}
