import type { Message } from '../../../src/client/client.ts';
import type { Gap, Position } from '../../../src/protocol/position.ts';

/** A page as the server gives it. */
export interface LogPage {
  readonly room: string;
  readonly messages: readonly Message[];
  readonly position: Position;
  readonly more: boolean;
  readonly gap?: Gap;
}

/** A room's log at the server: it grows, forgets what is old, and is restored from a backup. */
export class VirtualLog {
  readonly room: string;
  #entries: Message[] = [];
  /** By their mids, those that are not doubled, also when they cannot be had any more. */
  readonly #known = new Map<string, Message>();
  #epochs = 1;
  /** Up to here all is forgotten. */
  #cut = -1;
  #end = -1;
  readonly #everyMid: string[] = [];
  readonly #numbers = new Map<string, number>();

  constructor(room: string) {
    this.room = room;
  }

  get position(): Position {
    return { epoch: this.#epoch, offset: this.#end };
  }

  get #epoch(): string {
    return `e${this.#epochs}`;
  }

  /** Which one it was of all there ever were, from 1. */
  numberOf(mid: string): number {
    const number = this.#numbers.get(mid);
    if (number === undefined) throw new Error(`${mid} was never published in ${this.room}`);
    return number;
  }

  /** How many there ever were. */
  get count(): number {
    return this.#everyMid.length;
  }

  /** The mids of all there ever were. One that was lost and came again is there twice. */
  get everyMid(): readonly string[] {
    return this.#everyMid;
  }

  /** The mids of those that are there. */
  get mids(): string[] {
    return this.#entries.map(({ mid }) => mid);
  }

  append(from: string, mid: string, data: unknown): { readonly entry: Message; readonly isDuplicate: boolean } {
    const known = this.#known.get(mid);
    if (known !== undefined) return { entry: known, isDuplicate: true };
    this.#everyMid.push(mid);
    this.#numbers.set(mid, this.count);
    // Offsets are not dense.
    this.#end += 1 + (this.count % 3);
    const entry = { room: this.room, epoch: this.#epoch, offset: this.#end, from, mid, ts: 0, data };
    this.#entries.push(entry);
    this.#known.set(mid, entry);
    return { entry, isDuplicate: false };
  }

  /** The oldest so many cannot be had any more. */
  forget(count: number): void {
    const gone = this.#entries.splice(0, count);
    this.#cut = gone.at(-1)?.offset ?? this.#cut;
  }

  /** It comes back from a backup that is older by so many. */
  restore(lost: number): void {
    this.#epochs += 1;
    const kept = Math.max(0, this.#entries.length - lost);
    for (const { mid } of this.#entries.splice(kept)) this.#known.delete(mid);
    this.#entries = this.#entries.map((entry) => ({ ...entry, epoch: this.#epoch }));
    this.#end = this.#entries.at(-1)?.offset ?? this.#cut;
  }

  newest(count: number): LogPage {
    const messages = count === 0 ? [] : this.#entries.slice(-count);
    return { room: this.room, messages, position: this.position, more: false };
  }

  after(since: Position, limit: number): LogPage {
    const isElsewhere = since.epoch !== this.#epoch || since.offset > this.#end;
    const from = isElsewhere ? this.#cut : Math.max(since.offset, this.#cut);
    const rest = this.#entries.filter(({ offset }) => offset > from);
    const messages = rest.slice(0, limit);
    const more = rest.length > limit;
    const offset = more ? (messages.at(-1)?.offset ?? from) : this.#end;
    const isCut = isElsewhere || since.offset < this.#cut;
    const gap = { from: isElsewhere ? null : since, to: { epoch: this.#epoch, offset: from } };
    return { room: this.room, messages, position: { epoch: this.#epoch, offset }, more, ...(isCut && { gap }) };
  }
}
