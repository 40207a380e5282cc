import type { Message } from '../src/client/client.ts';
import type { Gap, Position } from '../src/protocol/position.ts';
import { isBehind, type ReadMark } from './read-mark.ts';

export interface MessageEntry {
  readonly kind: 'message';
  readonly key: string;
  readonly epoch: string;
  readonly offset: number;
  readonly from: string;
  readonly mid: string;
  readonly ts: number;
  readonly data: unknown;
}

/** Messages may be missing before the place where it stands. */
export interface GapEntry {
  readonly kind: 'gap';
  readonly key: string;
  readonly epoch: string;
  readonly offset: number;
}

export type Entry = MessageEntry | GapEntry;

/** Entries that can be scrolled through; beyond it the far end goes. */
export const ENTRIES_MAX = 1_000;
/** Entries of a conversation that nobody looks at. */
const HIDDEN_MAX = 200;
/** The newest entries, kept aside while older ones are looked at. */
const TAIL_MAX = 200;
/** Unread messages are counted up to this many. */
export const UNREAD_MAX = 100;

export function messageEntry({ epoch, offset, from, mid, ts, data }: Message): MessageEntry {
  // Another epoch brings back what a restored log held already, under other offsets.
  return { kind: 'message', key: `${ts} ${from} ${mid}`, epoch, offset, from, mid, ts, data };
}

export function gapEntry({ to: { epoch, offset } }: Gap): GapEntry {
  return { kind: 'gap', key: `gap ${epoch} ${offset}`, epoch, offset };
}

/** A page of history in the order to be shown: its gap may lie behind messages of its own. */
export function pageEntries(messages: readonly Message[], gap: Gap | undefined): Entry[] {
  if (gap === undefined) return messages.map(messageEntry);
  const isBefore = ({ offset }: Message) => offset <= gap.to.offset;
  return [
    ...messages.filter(isBefore).map(messageEntry),
    gapEntry(gap),
    ...messages.filter((message) => !isBefore(message)).map(messageEntry),
  ];
}

/**
 * A window on a conversation, oldest first. It follows the newest end until older pages have pushed that out; then the
 * newest entries gather in a tail of their own, and `attach` comes back to them.
 */
export class Timeline {
  /** Whether nothing is older than the first entry. */
  isAtStart = false;
  /** Where history is to be read on, exclusive. null: from the newest message. */
  before: Position | null = null;
  #entries: Entry[] = [];
  #tail: Entry[] | null = null;
  readonly #keys = new Set<string>();

  get entries(): readonly Entry[] {
    return this.#entries;
  }

  get isDetached(): boolean {
    return this.#tail !== null;
  }

  /** The newest message, whether in the window or not. */
  get newest(): MessageEntry | null {
    const isMessage = (entry: Entry) => entry.kind === 'message';
    return (this.#tail?.findLast(isMessage) ?? this.#entries.findLast(isMessage) ?? null) as MessageEntry | null;
  }

  /** Messages of others behind the mark, up to `UNREAD_MAX`. */
  unread(mark: ReadMark | null, me: string): number {
    const entries = this.#tail ?? this.#entries;
    let count = 0;
    for (let i = entries.length - 1; i >= 0 && count < UNREAD_MAX; i -= 1) {
      const entry = entries[i];
      if (entry?.kind !== 'message') continue;
      if (!isBehind(mark, entry)) break;
      if (entry.from !== me) count += 1;
    }
    return count;
  }

  /**
   * Adds what is new, at the end. Returns whether it was.
   * @param keepsOldest the reader looks at older entries: these stay, and the window lets go of the newest end
   */
  append(entry: Entry, keepsOldest: boolean): boolean {
    if (this.#keys.has(entry.key) || this.#isReplayed(entry)) return false;
    this.#keys.add(entry.key);
    if (this.before?.epoch !== entry.epoch) this.before = { epoch: entry.epoch, offset: entry.offset };
    if (this.#tail !== null) {
      this.#tail.push(entry);
      this.#forget(this.#tail.splice(0, this.#tail.length - TAIL_MAX));
      return true;
    }
    this.#entries.push(entry);
    if (this.#entries.length > ENTRIES_MAX) {
      if (keepsOldest) this.#detach();
      else this.#dropOldest(ENTRIES_MAX);
    }
    return true;
  }

  /** Puts a page of history before the rest. @param before where the next page begins */
  prepend(page: readonly Entry[], before: Position | null, isAtStart: boolean): void {
    const added = page.filter(({ key }) => !this.#keys.has(key));
    for (const { key } of added) this.#keys.add(key);
    this.#entries.unshift(...added);
    this.before = before;
    this.isAtStart = isAtStart;
    if (this.#entries.length > ENTRIES_MAX) this.#detach();
  }

  /** Comes back to the newest end. */
  attach(): void {
    if (this.#tail === null) return;
    const tail = this.#tail;
    this.#tail = null;
    this.#forget(this.#entries);
    this.#entries = tail;
    for (const { key } of tail) this.#keys.add(key);
    this.#beginAt(tail[0]);
  }

  /** Nobody looks at it any more. */
  shrink(): void {
    this.attach();
    this.#dropOldest(HIDDEN_MAX);
  }

  /** After a change of epoch the log may come again from its beginning; what is older can be scrolled back to. */
  #isReplayed(entry: Entry): boolean {
    const [first] = this.#entries;
    return entry.kind === 'message' && first?.kind === 'message' && first.epoch !== entry.epoch && entry.ts < first.ts;
  }

  #detach(): void {
    this.#tail ??= this.#entries.slice(-TAIL_MAX);
    const kept = new Set(this.#tail.map(({ key }) => key));
    for (const { key } of this.#entries.splice(ENTRIES_MAX)) if (!kept.has(key)) this.#keys.delete(key);
  }

  #dropOldest(max: number): void {
    if (this.#entries.length <= max) return;
    this.#forget(this.#entries.splice(0, this.#entries.length - max));
    this.#beginAt(this.#entries[0]);
  }

  #beginAt(entry: Entry | undefined): void {
    if (entry === undefined) return;
    this.before = { epoch: entry.epoch, offset: entry.offset };
    this.isAtStart = false;
  }

  #forget(entries: readonly Entry[]): void {
    for (const { key } of entries) this.#keys.delete(key);
  }
}
