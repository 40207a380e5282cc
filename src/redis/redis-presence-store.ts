import type { LogLines } from '../fanout/log-lines.ts';
import { LocalPresence } from '../presence/local-presence.ts';
import type {
  KnownUser,
  PresenceBatch,
  PresenceReplica,
  PresenceStore,
  RoomPresence,
  Subject,
} from '../presence/presence-store.ts';
import { CommandError } from '../protocol/errors.ts';
import { randomName } from '../random-name.ts';
import { PresenceHearing, type PresenceNow } from './presence-hearing.ts';
import { PresenceLease } from './presence-lease.ts';
import { PresenceReads, type Read } from './presence-reads.ts';
import { PresenceReaper } from './presence-reaper.ts';
import { loadPresenceScripts, type PresenceScripts } from './presence-scripts.ts';
import type { RedisPresenceSettings } from './presence-settings.ts';
import { byUser, type ChangesOfUser, parts, withEnds } from './presence-words.ts';
import type { RedisLink } from './redis-link.ts';
import { RedisUnavailableError } from './redis-unavailable-error.ts';

const NOTHING: PresenceBatch = { sessions: [], members: [] };
/** As long as it may be. */
const RENEWAL = Number.POSITIVE_INFINITY;
/** Between two attempts while Redis does not answer, at most. */
const RETRY_MS = 500;
/** Behind the end of what is partial, as clocks go. */
const HEALED_MS = 50;
const UNAVAILABLE_RETRY_MS = 1_000;
/** How often what is written is begun anew when what is stored changes hands meanwhile. */
const ATTEMPTS_MAX = 3;

/** What it has come to so far, for metrics. */
export interface PresenceStoreFigures {
  /** `up`: shared with the others; `down`: known from this replica alone. */
  readonly state: 'up' | 'down';
  /** Leases taken, the first one included; times that the others could not be asked any more. */
  readonly leasesTaken: number;
  readonly degraded: number;
  /** Users of whom what a dead lease held was dropped, and users that were looked through for such. */
  readonly reapedUsers: number;
  readonly sweptUsers: number;
  /** Rooms and users of which changes are heard. */
  readonly interests: number;
  /** Changes of users that wait for their turn to be said again. */
  readonly refreshing: number;
}

/**
 * Presence in Redis, shared by replicas: see `PresenceStore`, and docs/decisions/0013 for what is stored and why.
 *
 * A batch of more than `chunkChanges` changes is seen in parts, each user's changes together. While Redis does not answer,
 * what is read is what this replica knows by itself, and says so.
 */
export class RedisPresenceStore implements PresenceStore {
  readonly #link: RedisLink;
  readonly #settings: RedisPresenceSettings;
  readonly #logger: LogLines;
  readonly #scripts: PresenceScripts;
  readonly #boot = randomName(12, 'base64url');
  readonly #lease: PresenceLease;
  readonly #reads: PresenceReads;
  readonly #reaper: PresenceReaper;
  #opened: { readonly replica: PresenceReplica; readonly hearing: PresenceHearing } | null = null;
  /** While Redis does not answer. */
  #local: LocalPresence | null = null;
  /** Everything is being said, so that what is written comes behind it. */
  #isSaying = false;
  /** Resolved when the write before is done. */
  #turn: Promise<unknown> = Promise.resolve();
  /** By user, what is to be said again so that its keys are there and live on; what is written since counts instead. */
  #refreshing = new Map<string, ChangesOfUser>();
  #refreshedMs = performance.now();
  #ticking: Promise<void> | null = null;
  #tickTimer: NodeJS.Timeout | undefined;
  #compareTimer: NodeJS.Timeout | undefined;
  #healTimer: NodeJS.Timeout | undefined;
  /** The last comparison could not be made. */
  #isCompareDue = false;
  #degraded = 0;

  constructor(
    link: RedisLink,
    settings: RedisPresenceSettings,
    logger: LogLines,
    scripts: PresenceScripts = loadPresenceScripts(),
  ) {
    this.#link = link;
    this.#settings = settings;
    this.#logger = logger;
    this.#scripts = scripts;
    this.#lease = new PresenceLease(link, scripts, settings, this.#boot);
    this.#reads = new PresenceReads(link, scripts);
    this.#reaper = new PresenceReaper(link, scripts, settings, this.#lease);
    link.listen({
      onReady: () => this.#tickSoon(),
      onHearing: () => this.#compareSoon(),
    });
  }

  get figures(): PresenceStoreFigures {
    return {
      state: this.#local === null ? 'up' : 'down',
      leasesTaken: this.#lease.taken,
      degraded: this.#degraded,
      reapedUsers: this.#reaper.reapedUsers,
      sweptUsers: this.#reaper.sweptUsers,
      interests: this.#opened?.hearing.size ?? 0,
      refreshing: this.#refreshing.size,
    };
  }

  /** Begins, also where Redis does not answer. */
  async open(replica: PresenceReplica): Promise<void> {
    const now: PresenceNow = {
      compare: (rooms, users) => this.#ofThisGeneration(() => this.#reads.compare(rooms, users)),
      readUsers: (users) => this.#ofThisGeneration(() => this.#reads.readKnownUsers(users, [])),
    };
    const hearing = new PresenceHearing(this.#link, now, replica);
    this.#opened = { replica, hearing };
    const onReplaced = (message: string) => {
      const [user, session] = JSON.parse(message) as [string, string];
      replica.onReplaced(user, session);
    };
    await this.#link.subscribe(this.#link.key('n', this.#boot), onReplaced).catch(() => {});
    try {
      await this.#renew();
      // Nothing is on this replica yet.
      this.#lease.said(this.#lease.id);
    } catch {
      this.#degrade();
    }
    void this.#tickSoon();
    this.#compareTimer = setInterval(() => this.#compareSoon(), this.#settings.compareMs);
    this.#compareTimer.unref();
  }

  async write(batch: PresenceBatch): Promise<void> {
    this.#open();
    if (this.#local !== null && !this.#isSaying) {
      this.#local.write(batch);
      return;
    }
    await this.#orUnavailable(() => this.#inTurn(() => this.#write(batch)));
  }

  async readRoom(room: string, after: string | undefined, limit: number): Promise<RoomPresence> {
    this.#open();
    if (this.#local !== null) return this.#local.readRoom(room, after, limit);
    return this.#orUnavailable(() => this.#ofThisGeneration(() => this.#reads.readRoom(room, after, limit)));
  }

  async readUsers(users: readonly string[], rooms: Iterable<string>): Promise<readonly KnownUser[]> {
    this.#open();
    if (this.#local !== null) return this.#local.readUsers(users, rooms);
    if (users.length === 0) return [];
    const asked = [...rooms];
    return this.#orUnavailable(() => this.#ofThisGeneration(() => this.#reads.readKnownUsers(users, asked)));
  }

  async setInterest(subject: Subject, isInterested: boolean): Promise<void> {
    // Who ends an interest late, while a gateway stops, has what it wants.
    if (this.#opened === null && !isInterested) return;
    const { hearing } = this.#open();
    if (isInterested) await hearing.begin(subject);
    else hearing.end(subject);
  }

  async close(): Promise<void> {
    if (this.#opened === null) return;
    const { hearing } = this.#opened;
    this.#opened = null;
    clearTimeout(this.#tickTimer);
    clearInterval(this.#compareTimer);
    clearTimeout(this.#healTimer);
    hearing.close();
    this.#link.unsubscribe(this.#link.key('n', this.#boot));
    // Where Redis does not answer, it lapses by itself.
    await this.#inTurn(() => this.#lease.release()).catch(() => {});
  }

  #open(): { readonly replica: PresenceReplica; readonly hearing: PresenceHearing } {
    if (this.#opened === null) throw new CommandError('unavailable', 'presence is not open');
    return this.#opened;
  }

  /** What is written is written one after the other: seen in the order of the calls. */
  #inTurn<T>(step: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(step);
    this.#turn = done.catch(() => {});
    return done;
  }

  async #write(batch: PresenceBatch): Promise<void> {
    if (this.#local !== null) {
      this.#local.write(batch);
      return;
    }
    const users = byUser(batch);
    for (const { user } of users) this.#refreshing.delete(user);
    if (this.#lease.isFenced) await this.#renew();
    if (!this.#lease.isSaid || !(await this.#writeParts(users))) await this.#sayEverything(batch);
  }

  /** False: the lease is not held any more. */
  async #writeParts(users: readonly ChangesOfUser[]): Promise<boolean> {
    for (const part of parts(users, this.#settings.chunkChanges)) {
      const [outcome] = (await this.#link.run(this.#scripts.write, ...this.#lease.head(), part)) as [string];
      if (outcome !== 'ok') return false;
    }
    return true;
  }

  /**
   * Says under a lease what is so on the replica, and drops what former ones held; in its turn. What was to be written is
   * older, but knows when those who are gone have ended.
   */
  async #sayEverything(unwritten: PresenceBatch): Promise<void> {
    const { replica, hearing } = this.#open();
    this.#isSaying = true;
    try {
      for (let attempt = 1; ; attempt += 1) {
        await this.#renew();
        const { id } = this.#lease;
        const users = byUser(withEnds(replica.everything(), unwritten));
        if ((await this.#sayParts(users)) && this.#lease.said(id)) break;
        if (attempt === ATTEMPTS_MAX) throw new RedisUnavailableError('what is stored changes hands all the time');
      }
      if (this.#local !== null) {
        hearing.hearAgain(this.#local.version);
        this.#local = null;
        this.#logger.info({}, 'presence is shared with the other replicas');
      }
      this.#refreshing.clear();
      this.#refreshedMs = performance.now();
    } catch (error) {
      // Each attempt is under a lease of its own, as what is so then may be less than what was said.
      this.#lease.drop();
      throw error;
    } finally {
      this.#isSaying = false;
    }
    this.#compareSoon();
    this.#compareWhenHealed();
  }

  /** False: the lease is not held any more. */
  async #sayParts(users: readonly ChangesOfUser[]): Promise<boolean> {
    const { leaseMs, chunkChanges, reapChunk } = this.#settings;
    const all = [...parts(users, chunkChanges)];
    if (all.length === 0) all.push('[]');
    for (let i = 0; i < all.length; ) {
      const isLast = i === all.length - 1;
      const args = [...this.#lease.head(), all[i] ?? '[]', leaseMs, isLast ? 1 : 0, reapChunk, ...this.#lease.formers];
      const [outcome] = (await this.#link.run(this.#scripts.anew, ...args)) as [string];
      if (outcome !== 'ok' && outcome !== 'more') {
        this.#lease.drop();
        return false;
      }
      if (isLast && outcome === 'more') all[i] = '[]';
      else i += 1;
    }
    return true;
  }

  #renew(): Promise<void> {
    return this.#lease.renew(this.#opened?.hearing.highest ?? 0);
  }

  /** Reads, where what is stored is what this replica has written to; else it is said anew first. */
  async #ofThisGeneration<T>(read: () => Promise<Read<T>>): Promise<T> {
    const first = await read();
    if (first.generation === this.#lease.generation) return first.found;
    await this.#inTurn(() => this.#sayWhereNeeded());
    const second = await read();
    if (second.generation === this.#lease.generation) return second.found;
    throw new RedisUnavailableError('what is stored has just been lost');
  }

  async #sayWhereNeeded(): Promise<void> {
    await this.#renew();
    if (!this.#lease.isSaid && this.#opened !== null) await this.#sayEverything(NOTHING);
  }

  /** @throws CommandError `unavailable` where Redis does not answer; and looks into it */
  async #orUnavailable<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof RedisUnavailableError)) throw error;
      void this.#tickSoon();
      throw new CommandError('unavailable', 'presence: the other replicas cannot be asked', UNAVAILABLE_RETRY_MS);
    }
  }

  /** Renews the lease now, and from then on in time. Resolves when that is done. */
  #tickSoon(): Promise<void> {
    if (this.#opened === null) return Promise.resolve();
    this.#ticking ??= this.#tick().finally(() => {
      this.#ticking = null;
      if (this.#opened === null) return;
      clearTimeout(this.#tickTimer);
      const isUrgent = this.#lease.failingMs > 0 || !this.#lease.isSaid || this.#reaper.hasMore;
      // What is due before the next renewal is not left until then; what is due already, but may not be done yet, is.
      const waitMs = Math.min(this.#settings.renewMs, isUrgent ? RETRY_MS : this.#lease.due.reapMs || RENEWAL);
      this.#tickTimer = setTimeout(() => void this.#tickSoon(), waitMs);
      this.#tickTimer.unref();
    });
    return this.#ticking;
  }

  async #tick(): Promise<void> {
    try {
      await this.#renew();
      if (!this.#lease.isSaid) await this.#inTurn(() => this.#sayWhereNeeded());
      if (this.#isCompareDue || (this.#lease.healingMs <= 0 && this.#opened?.hearing.hasPartial)) {
        this.#isCompareDue = false;
        this.#compareSoon();
      }
      this.#refreshWhereDue();
      await this.#refresh();
      await this.#reaper.work();
    } catch (error) {
      if (!(error instanceof RedisUnavailableError)) {
        this.#logger.error({ error: (error as Error).message }, 'presence in Redis fails');
      }
      if (this.#lease.isFailing) this.#degrade();
    }
  }

  /** From now on this replica tells what it knows by itself. */
  #degrade(): void {
    if (this.#local !== null || this.#opened === null) return;
    const { replica, hearing } = this.#opened;
    this.#lease.drop();
    this.#degraded += 1;
    this.#logger.warn({}, 'presence is known from this replica alone: Redis does not answer');
    const local = new LocalPresence(replica.everything(), this.#settings.lastSeenMax, hearing.highest + 1, {
      hearsRoom: (room) => hearing.hearsRoom(room),
      hearsUser: (user) => hearing.hearsUser(user),
      tell({ rooms, users }) {
        for (const change of rooms) hearing.tellRoom(change);
        for (const user of users) hearing.tellUser(user);
      },
    });
    this.#local = local;
    hearing.deafen();
    for (const room of hearing.rooms) {
      const { count, version } = local.readRoom(room, undefined, 1);
      hearing.tellRoom({ room, count, version, names: null, partial: true });
    }
  }

  #refreshWhereDue(): void {
    if (performance.now() - this.#refreshedMs < this.#settings.refreshMs || this.#opened === null) return;
    this.#refreshedMs = performance.now();
    const all = byUser(this.#opened.replica.everything());
    this.#refreshing = new Map(all.map((changes) => [changes.user, changes]));
  }

  /** Says again what is so, a part in each turn, so that what is written meanwhile does not wait. */
  async #refresh(): Promise<void> {
    // The lease is renewed in between.
    const untilMs = performance.now() + this.#settings.renewMs;
    while (this.#refreshing.size > 0 && this.#lease.isSaid && performance.now() < untilMs) {
      await this.#inTurn(async () => {
        const part: ChangesOfUser[] = [];
        let size = 0;
        for (const changes of this.#refreshing.values()) {
          if (size > 0 && size + changes.size > this.#settings.chunkChanges) break;
          part.push(changes);
          size += changes.size;
        }
        for (const { user } of part) this.#refreshing.delete(user);
        if (part.length > 0 && !(await this.#writeParts(part))) await this.#sayEverything(NOTHING);
      });
    }
  }

  /** What was told as partial is told as a whole, as soon as it is. */
  #compareWhenHealed(): void {
    const ms = this.#lease.healingMs;
    clearTimeout(this.#healTimer);
    if (ms <= 0) return;
    this.#healTimer = setTimeout(() => this.#compareSoon(), ms + HEALED_MS);
    this.#healTimer.unref();
  }

  #compareSoon(): void {
    if (this.#local !== null) return;
    this.#opened?.hearing.compareAll().catch(() => {
      this.#isCompareDue = true;
    });
  }
}
