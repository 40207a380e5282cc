import { randomUUID } from 'node:crypto';
import type { Message } from '../e2e/clients.ts';

/** A publish that some client wants to be in the log, once. */
export interface Published {
  readonly user: string;
  readonly room: string;
  readonly mid: string;
  readonly data: unknown;
  /** Counts up from 0 in what one user publishes to one room. */
  readonly index: number;
  ackedAt: { readonly epoch: string; readonly offset: number } | null;
}

/** What one client has been given of one room. */
export interface Reading {
  readonly user: string;
  readonly room: string;
  /** Where it joined first: everything behind this must come. */
  readonly from: { readonly epoch: string; readonly offset: number };
  readonly messages: Message[];
}

/**
 * Knows what was published, acknowledged and received, and notes everything that no client may ever see: a
 * message twice, out of order, at two offsets, or one behind a gap.
 */
export class Oracle {
  readonly violations: string[] = [];
  readonly published = new Map<string, Published>();
  readonly readings: Reading[] = [];
  readonly #counts = new Map<string, number>();
  readonly #ends = new Map<string, number>();
  ackedCount = 0;
  /** Acks that said that the message had been there before: retries of what an answer was lost for. */
  duplicateCount = 0;

  publish(user: string, room: string, data: unknown): Published {
    const index = this.#counts.get(`${user} ${room}`) ?? 0;
    this.#counts.set(`${user} ${room}`, index + 1);
    const published: Published = { user, room, mid: randomUUID(), data, index, ackedAt: null };
    this.published.set(published.mid, published);
    return published;
  }

  acked(published: Published, epoch: string, offset: number, duplicate: boolean): void {
    if (duplicate) this.duplicateCount += 1;
    const { ackedAt, mid } = published;
    if (ackedAt !== null && (ackedAt.epoch !== epoch || ackedAt.offset !== offset)) {
      this.violate(`${mid} was acknowledged at ${ackedAt.offset} and at ${offset}`);
    }
    if (ackedAt === null) this.ackedCount += 1;
    published.ackedAt ??= { epoch, offset };
    this.#ends.set(published.room, Math.max(offset, this.#ends.get(published.room) ?? -1));
  }

  received(reading: Reading, message: Message): void {
    const { user, from, messages } = reading;
    const last = messages.at(-1)?.offset ?? from.offset;
    const at = `${message.room}/${message.offset} to ${user}`;
    if (message.epoch !== from.epoch) this.violate(`${at}: epoch ${message.epoch} instead of ${from.epoch}`);
    if (message.offset <= last) this.violate(`${at}: it came behind ${last}`);
    messages.push(message);
  }

  violate(what: string): void {
    this.violations.push(what);
  }

  /** The greatest offset at which a publish to the room was acknowledged. */
  end(room: string): number {
    return this.#ends.get(room) ?? -1;
  }

  ackedSoFar(): Published[] {
    return [...this.published.values()].filter(({ ackedAt }) => ackedAt !== null);
  }

  /** Those of `acked` that the log does not have where they were acknowledged. */
  lost(log: ReadonlyMap<string, readonly Message[]>, acked: readonly Published[]): Published[] {
    const places = new Set([...log.values()].flat().map(({ mid, offset, epoch }) => `${mid} ${epoch} ${offset}`));
    return acked.filter(({ mid, ackedAt }) => !places.has(`${mid} ${ackedAt?.epoch} ${ackedAt?.offset}`));
  }

  /** Everything that is wrong with a log, and with what was received, when all is settled. */
  judge(log: ReadonlyMap<string, readonly Message[]>): string[] {
    const wrong = [...this.violations, ...this.judgeLog(log)];
    for (const { mid } of this.lost(log, this.ackedSoFar())) wrong.push(`${mid} was acknowledged and is lost`);
    for (const { user, room, from, messages } of this.readings) {
      const expected = (log.get(room) ?? []).filter(({ offset }) => offset > from.offset);
      const at = expected.findIndex(({ mid, offset }, i) => messages[i]?.mid !== mid || messages[i]?.offset !== offset);
      if (at !== -1) {
        const was = messages[at];
        wrong.push(`${user} got ${was?.mid}/${was?.offset} instead of ${room}/${expected[at]?.offset}`);
      } else if (messages.length !== expected.length) {
        wrong.push(`${user} got ${messages.length} messages of ${room} instead of ${expected.length}`);
      }
      for (const { mid, data } of messages) this.#judgeData(mid, data, wrong);
    }
    return wrong;
  }

  /** What is wrong with a log by itself: foreign or doubled messages, offsets or publishers out of order. */
  judgeLog(log: ReadonlyMap<string, readonly Message[]>): string[] {
    const wrong: string[] = [];
    const seen = new Set<string>();
    for (const [room, messages] of log) {
      let last = -1;
      const indexes = new Map<string, number>();
      for (const message of messages) {
        const { mid, offset, from, data } = message;
        const published = this.published.get(mid);
        if (offset <= last) wrong.push(`${room}/${offset} stands behind ${last}`);
        if (seen.has(mid)) wrong.push(`${mid} is there twice, again at ${room}/${offset}`);
        if (published?.room !== room || published.user !== from || message.room !== room) {
          wrong.push(`${room}/${offset} was never published`);
        } else {
          const before = indexes.get(from) ?? -1;
          if (published.index !== before + 1) {
            wrong.push(`${room}/${offset} is number ${published.index} of ${from}, behind number ${before}`);
          }
          indexes.set(from, published.index);
          this.#judgeData(mid, data, wrong);
        }
        seen.add(mid);
        last = offset;
      }
    }
    return wrong;
  }

  #judgeData(mid: string, data: unknown, wrong: string[]): void {
    const published = this.published.get(mid);
    if (JSON.stringify(published?.data) !== JSON.stringify(data)) wrong.push(`the data of ${mid} changed`);
  }
}
