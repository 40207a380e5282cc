import type { Gap, Position } from '../../../src/protocol/position.ts';

/** A message as the log has it. */
export interface Entry {
  readonly offset: number;
  readonly from: string;
  readonly mid: string;
  readonly ts: number;
  readonly data: unknown;
}

/** A page as the protocol has it. */
export interface ModelPage {
  readonly messages: readonly Entry[];
  readonly position: Position;
  readonly more: boolean;
  readonly gap: Gap | undefined;
}

/** A room's log between two losses of it. */
export class Incarnation {
  readonly epoch: string;
  /** All that ever stood in it, oldest first, whether it can still be had or not. */
  readonly entries: Entry[] = [];
  /** The end of the room's partition. */
  end = -1;
  /** The offset of the newest message that was deleted; -1: none. */
  deletedThrough = -1;
  readonly damaged = new Set<number>();

  constructor(epoch: string) {
    this.epoch = epoch;
  }
}

/** A room as a truthful server has it: sparse offsets, epochs, retention, damage, and the ids of what was published. */
export class ModelRoom {
  readonly name: string;
  readonly incarnations: Incarnation[];
  /** How many offsets of other rooms lie before the next message. */
  readonly #skip: () => number;
  #known = new Map<string, Entry>();
  /** The bytes of `data` that came with an id first, whatever became of it. */
  readonly #saidFirst = new Map<string, string>();

  constructor(name: string, skip: () => number) {
    this.name = name;
    this.#skip = skip;
    this.incarnations = [new Incarnation(`${name}.1`)];
  }

  /** The log as it is now. */
  get log(): Incarnation {
    return this.incarnations.at(-1) as Incarnation;
  }

  get end(): Position {
    return { epoch: this.log.epoch, offset: this.log.end };
  }

  get beginning(): Position {
    return { epoch: (this.incarnations[0] as Incarnation).epoch, offset: -1 };
  }

  /** Whether other bytes came with the same id before. */
  isConflict(from: string, mid: string, dataText: string): boolean {
    const id = idOf({ from, mid });
    const first = this.#saidFirst.get(id);
    if (first === undefined) this.#saidFirst.set(id, dataText);
    return first !== undefined && first !== dataText;
  }

  find(from: string, mid: string): Entry | undefined {
    return this.#known.get(idOf({ from, mid }));
  }

  append(from: string, mid: string, data: unknown): Entry {
    const { log } = this;
    const offset = log.end + 1 + this.#skip();
    const entry = { offset, from, mid, ts: 1_700_000_000_000 + offset, data };
    log.entries.push(entry);
    log.end = offset;
    this.#known.set(idOf(entry), entry);
    return entry;
  }

  /** Another room's messages move the end. */
  pass(): void {
    this.log.end += this.#skip();
  }

  /** Deletes the messages up to and with this offset. */
  deleteThrough(offset: number): void {
    const last = this.log.entries.findLast((entry) => entry.offset <= offset);
    if (last !== undefined) this.log.deletedThrough = Math.max(this.log.deletedThrough, last.offset);
  }

  /** The log is lost, and there is another one with what this one began with. `keep`: so many messages. */
  renew(keep: number): void {
    const { log } = this;
    const next = new Incarnation(`${this.name}.${this.incarnations.length + 1}`);
    next.entries.push(...log.entries.slice(0, keep));
    next.end = next.entries.at(-1)?.offset ?? -1;
    next.deletedThrough = Math.min(log.deletedThrough, next.end);
    for (const offset of log.damaged) if (offset <= next.end) next.damaged.add(offset);
    this.incarnations.push(next);
    this.#known = new Map(next.entries.map((entry) => [idOf(entry), entry]));
  }

  /** The newest messages are lost, and the epoch says nothing of it. */
  rollBack(lose: number): void {
    const { log } = this;
    for (const entry of log.entries.splice(-lose)) this.#known.delete(idOf(entry));
    log.end = log.entries.at(-1)?.offset ?? -1;
  }

  /** What a join with `since`, or a history with `after`, is told; at most `limit` messages. */
  read(after: Position, limit: number): ModelPage {
    const { log } = this;
    const { epoch, deletedThrough } = log;
    const isElsewhere = after.epoch !== epoch || after.offset > log.end;
    let offset = Math.max(isElsewhere ? -1 : after.offset, deletedThrough);
    let gap: Gap | undefined;
    if (isElsewhere) gap = { from: null, to: { epoch, offset } };
    else if (offset > after.offset) gap = { from: after, to: { epoch, offset } };
    const messages: Entry[] = [];
    for (const entry of log.entries.filter((entry) => entry.offset > offset)) {
      if (log.damaged.has(entry.offset)) {
        if (gap !== undefined && gap.to.offset !== offset)
          return { messages, position: { epoch, offset }, more: true, gap };
        gap = { from: gap === undefined ? { epoch, offset } : gap.from, to: { epoch, offset: entry.offset } };
      } else {
        if (messages.length >= limit) {
          return { messages, position: { epoch, offset: entry.offset - 1 }, more: true, gap };
        }
        messages.push(entry);
      }
      offset = entry.offset;
    }
    return { messages, position: this.end, more: false, gap };
  }

  /** The newest messages without a hole in them, `limit` at most. */
  newest(limit: number): ModelPage {
    const { log } = this;
    const lastLost = Math.max(log.deletedThrough, ...log.damaged);
    const there = log.entries.filter(({ offset }) => offset > lastLost);
    const messages = there.slice(Math.max(there.length - limit, 0));
    return { messages, position: this.end, more: false, gap: undefined };
  }
}

/** A message's id, over all epochs. */
export function idOf({ from, mid }: Pick<Entry, 'from' | 'mid'>): string {
  return `${from} ${mid}`;
}
