import { Client, type PresenceMode } from '../../src/client/client.ts';
import type { Recorder } from '../recorder.ts';
import type { Fault, FaultCount } from './fault-count.ts';
import type { Line, Network } from './network.ts';
import type { PastReader, SharedPast } from './shared-past.ts';

/** What members publish: whose publication it is, and the how-manyeth. */
interface Data {
  readonly publisher: number;
  readonly sequence: number;
}

/** When the newest publications of a room were due, by publisher and sequence; µs. */
export type DueTimes = Map<string, number>;

/** Of a room; what is delivered later than that many others has no latency. */
const DUE_MAX = 1_000;

/** What members of a room, in one load process, have in common. */
export interface CrowdRoom {
  readonly name: string;
  readonly past: SharedPast;
  readonly due: DueTimes;
}

/** What the members of a crowd have in common. */
export interface CrowdWays {
  readonly network: Network;
  readonly recorder: Recorder;
  readonly faults: FaultCount;
  /** Of the gateway, for those who come by no entrance of ours. */
  readonly url: string;
  /** What members hear of who is in their room. */
  readonly presence: PresenceMode;
  /** A member was told that this user is not in its room any more. */
  hearLeft(user: string): void;
}

/** A user with one device and the real client in one room, which publishes now and then. */
export class Member {
  readonly index: number;
  readonly user: string;
  readonly room: CrowdRoom;
  readonly line: Line;
  readonly client: Client;
  readonly #ways: CrowdWays;
  readonly #reader: PastReader;
  #epoch: string | undefined;
  #sequence = 0;
  #lostMs: number | undefined;
  #isLeaving = false;
  /** Has been online, and has not lost that since. */
  #isHere = false;
  /** When it was online again after it had lost its connection for the last time; undefined: it never lost one. */
  backAtMs: number | undefined;

  constructor(index: number, prefix: string, room: CrowdRoom, ways: CrowdWays) {
    this.index = index;
    this.user = `${prefix}.${index}`;
    this.room = room;
    this.#ways = ways;
    this.line = ways.network.line();
    this.#reader = room.past.addReader(this.user);
    this.client = new Client({ url: ways.url, user: this.user, device: 'load', environment: this.line.environment });
    this.client.on('state', ({ name }) => this.#hear(name));
    const joined = this.client.room(room.name);
    joined.on('state', (state) => {
      // Before anything can come that the room's members must see.
      if (state === 'live') this.#begin(joined.position);
    });
    joined.on('message', (message) => this.#see(message.epoch, message.offset, message.data as Data));
    joined.on('presence', ({ left }) => {
      if (!this.#isLeaving) for (const { user } of left) ways.hearLeft(user);
    });
    joined.on('gap', ({ from, to }) => {
      ways.recorder.count('gaps');
      this.#fault('lost', `a gap from ${from?.offset ?? 'another epoch'} to ${to.offset}`);
    });
    joined.on('left', ({ code }) => this.#fault('lost', `it was taken out of the room: ${code}`));
  }

  get isOnline(): boolean {
    return this.client.state.name === 'online';
  }

  /** Whether it has lost its connection since this moment, by the clock of `performance`. */
  hasLostSince(sinceMs: number): boolean {
    return this.#lostMs !== undefined && this.#lostMs >= sinceMs;
  }

  /** Resolves when it is in its room for the first time. @throws ClientError where the server does not want it */
  async come(): Promise<void> {
    const startMs = performance.now();
    const room = this.client.room(this.room.name);
    // Both at once, as a page does: the join goes out in the session that comes to be.
    await Promise.all([this.client.connect(), room.join({ presence: this.#ways.presence })]);
    this.#ways.recorder.latency('connect', (performance.now() - startMs) * 1000);
  }

  /** Publishes once, as of `dueUs`. Resolves with whether it was acknowledged. */
  async publish(dueUs: number): Promise<boolean> {
    const { recorder } = this.#ways;
    const { name, due, past } = this.room;
    const sequence = this.#sequence++;
    due.set(dueKey(this.index, sequence), dueUs);
    if (due.size > DUE_MAX) due.delete(due.keys().next().value as string);
    recorder.count('publications');
    try {
      const data: Data = { publisher: this.index, sequence };
      const { offset, duplicate } = await this.client.room(name).publish(data);
      recorder.count(duplicate ? 'acknowledged as duplicates' : 'acknowledged at once');
      recorder.latency('acknowledge', performance.now() * 1000 - dueUs);
      past.acknowledge(this.index, sequence, offset);
      return true;
    } catch (error) {
      // Who says goodbye waits for no answers.
      if (this.#isLeaving) recorder.count('unanswered at the goodbye');
      else recorder.count(`publish failed: ${(error as { code?: string }).code}`);
      return false;
    }
  }

  /** Says goodbye. Resolves when the connection is gone. */
  leave(): Promise<void> {
    this.#goAway();
    return this.client.close();
  }

  /** Is gone without a word: its connection stands, and nothing comes from it any more. */
  vanish(): void {
    this.#goAway();
    this.line.vanish();
    void this.client.close();
  }

  #goAway(): void {
    this.#isLeaving = true;
    this.room.past.removeReader(this.#reader);
  }

  #hear(state: string): void {
    const { recorder } = this.#ways;
    if (state === 'online' && !this.#isHere) {
      this.#isHere = true;
      recorder.count('came online');
      if (this.#lostMs !== undefined) {
        this.backAtMs = performance.now();
        recorder.latency('away', (this.backAtMs - this.#lostMs) * 1000);
      }
    } else if (state === 'waiting' && this.#isHere) {
      this.#isHere = false;
      recorder.count('went offline');
      this.#lostMs = performance.now();
      this.backAtMs = undefined;
    } else if (state === 'closed') {
      if (this.#isHere) recorder.count('went offline');
      if (!this.#isLeaving) recorder.count('sent away for good');
      this.#isHere = false;
    }
  }

  #begin(position: { readonly epoch: string; readonly offset: number } | null): void {
    if (this.#reader.next !== undefined || position === null) return;
    this.#epoch = position.epoch;
    this.room.past.begin(this.#reader, position.offset);
  }

  #see(epoch: string, offset: number, { publisher, sequence }: Data): void {
    if (this.#isLeaving) return;
    this.#ways.recorder.count('deliveries');
    const dueUs = this.room.due.get(dueKey(publisher, sequence));
    if (dueUs !== undefined) this.#ways.recorder.latency('deliver', performance.now() * 1000 - dueUs);
    if (epoch !== this.#epoch) this.#fault('reordered', `epoch ${epoch} behind ${this.#epoch}`);
    this.#epoch = epoch;
    this.room.past.see(this.#reader, { offset, publisher, sequence });
  }

  #fault(kind: Fault, words: string): void {
    this.#ways.faults.add(kind, 1, `${this.room.name}: ${this.user}: ${words}`);
  }
}

function dueKey(publisher: number, sequence: number): string {
  return `${publisher}/${sequence}`;
}
