import type { Gap, Position } from '../protocol/position.ts';
import type { Message, Page } from './messages.ts';

/** Messages remembered by their ids, for when a restored log brings them back under another epoch. */
const REMEMBERED_MAX = 300;

/** A place in a room: behind the last message that was handed on. It lets each message through once. */
export class Place {
  position: Position | null;
  /** Offsets from here on do not compare with those before, whatever their epoch. */
  #isElsewhere = false;
  /** Ids of the last messages, oldest first. */
  #remembered = new Set<string>();
  /** The same, of when offsets ceased to compare. */
  #before = new Set<string>();

  constructor(position: Position | null) {
    this.position = position;
  }

  /** The server could not take up here: what it says next counts from a place of its own. */
  lose(): void {
    this.#isElsewhere = true;
  }

  /** Whether a pushed message is the next one. False: it is known. @throws where it is of another epoch */
  passes(message: Message): boolean {
    if (message.epoch !== this.position?.epoch) throw new Error('a message of another epoch');
    return this.#takes(message);
  }

  /**
   * What a page has to say, in order: messages that are not known yet, and its gap, which may lie behind messages. The
   * place moves with each that is taken out.
   */
  *read({ messages, gap, position }: Page): Generator<Message | Gap> {
    let untold = gap;
    for (const message of messages) {
      if (untold !== undefined && !isUpTo(message, untold.to)) {
        if (this.skip(untold)) yield untold;
        untold = undefined;
      }
      if (this.#takes(message)) yield message;
    }
    if (untold !== undefined && this.skip(untold)) yield untold;
    this.#move(position);
  }

  /** Steps over what cannot be had. False: the place is behind it already. */
  skip({ from, to }: Gap): boolean {
    if (from === null) this.lose();
    return this.#move(to);
  }

  /** Whether all up to there was handed on, or nobody can tell. */
  reaches(there: Position | null): boolean {
    const here = this.position;
    return there === null || here === null || (here.epoch === there.epoch && here.offset >= there.offset);
  }

  #takes(message: Message): boolean {
    const { epoch, offset, from, mid } = message;
    if (!this.#move({ epoch, offset })) return false;
    const id = `${from} ${mid}`;
    this.#remembered.add(id);
    forgetOldest(this.#remembered);
    return !this.#before.has(id);
  }

  /** Moves on to there; false if that is no newer place. */
  #move({ epoch, offset }: Position): boolean {
    if (typeof epoch !== 'string' || !Number.isSafeInteger(offset)) throw new Error('no position');
    const from = this.position;
    if (from !== null) {
      const isElsewhere = this.#isElsewhere || from.epoch !== epoch;
      if (!isElsewhere && offset <= from.offset) return false;
      if (isElsewhere) this.#lookBack();
    }
    this.#isElsewhere = false;
    this.position = { epoch, offset };
    return true;
  }

  #lookBack(): void {
    this.#before = new Set([...this.#before, ...this.#remembered]);
    forgetOldest(this.#before);
    this.#remembered = new Set();
  }
}

function forgetOldest(ids: Set<string>): void {
  for (const oldest of ids) {
    if (ids.size <= REMEMBERED_MAX) return;
    ids.delete(oldest);
  }
}

/** Whether the message lies within what the position speaks of. Of different epochs, neither is known to be first. */
function isUpTo({ epoch, offset }: Message, to: Position): boolean {
  return epoch === to.epoch && offset <= to.offset;
}
