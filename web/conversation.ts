import type { Message, Page } from '../src/client/client.ts';
import type { Gap, Position } from '../src/protocol/position.ts';
import { Changes } from './changes.ts';
import type { Outgoing } from './outgoing.ts';
import { BEGINNING, isBehind, type ReadMark } from './read-mark.ts';
import { gapEntry, type MessageEntry, messageEntry, pageEntries, Timeline } from './timeline.ts';

const PAGE_LIMIT = 100;

export type Loading = 'idle' | 'loading' | 'failed';

/** A room, or what was said with one user directly: what is known of it, whether it is shown or not. */
export abstract class Conversation {
  /** Something about it is different. */
  readonly changes = new Changes();
  /** A message that came after the conversation had begun, not one of its past. */
  readonly arrived = new Changes<MessageEntry>();
  /** It was read up to there. */
  readonly read = new Changes<ReadMark>();
  readonly timeline = new Timeline();
  abstract readonly kind: 'room' | 'direct';
  /** Differs from that of every other conversation. */
  abstract readonly key: string;
  /** The room's or the partner's name. */
  abstract readonly name: string;
  abstract readonly outgoing: Outgoing;
  /** Why nothing more comes or can be said, in words; empty while all is well. */
  abstract readonly ended: string;
  /** Whether what comes now is new, and not what was missed. */
  abstract readonly isLive: boolean;
  /** Whether it has begun: what comes from now on is no history. */
  abstract readonly isReady: boolean;
  readonly me: string;
  /** Written while it is not shown. */
  draft = '';
  /** The reader has scrolled back, and what is there must not go. */
  isReadingBack = false;
  /** Unread began behind this mark when the conversation was opened; null: nothing was unread. */
  divider: ReadMark | null = null;
  #mark: ReadMark | null;
  #loading: Loading = 'idle';

  constructor(me: string, mark: ReadMark | null) {
    this.me = me;
    this.#mark = mark;
  }

  get mark(): ReadMark | null {
    return this.#mark;
  }

  get unread(): number {
    return this.timeline.unread(this.#mark, this.me);
  }

  get loading(): Loading {
    return this.#loading;
  }

  /** Says that one is typing, or not any more, where others can hear that. */
  abstract notice(isTyping: boolean): void;
  /** Joins again what has ended. */
  abstract rejoin(): void;

  /** Draws a line before what is unread, if anything is. */
  divide(): void {
    if (this.unread > 0) this.divider = this.#mark;
  }

  /** Everything that is here has been seen. */
  markRead(): void {
    this.markReadTo(this.timeline.newest ?? this.#mark ?? BEGINNING);
  }

  /** It has been read up to there, here or in another tab. */
  markReadTo({ epoch, offset, ts }: ReadMark): void {
    if (this.#mark !== null && !isBehind(this.#mark, { epoch, offset, ts })) return;
    this.#mark = { epoch, offset, ts };
    this.read.tell(this.#mark);
    this.changes.tell();
  }

  /** Reads the page before the oldest message, unless there is none or one is under way. */
  async loadOlder(): Promise<void> {
    if (this.#loading === 'loading' || this.timeline.isAtStart || !this.isReady) return;
    this.#loading = 'loading';
    this.changes.tell();
    try {
      const { before } = this.timeline;
      const { messages, gap, more, position } = await this.page(before, PAGE_LIMIT);
      this.#loading = 'idle';
      // The window may be somewhere else by now.
      if (before === null || this.timeline.before === before) {
        this.timeline.prepend(pageEntries(messages, gap), position, !more);
      }
    } catch {
      this.#loading = 'failed';
    }
    this.changes.tell();
  }

  /** A page of history; `position` is where the next one ends, exclusive. */
  protected abstract page(before: Position | null, limit: number): Promise<Page>;

  /** Takes in what the client hands on, in its order. */
  protected receive(message: Message): void {
    const entry = messageEntry(message);
    if (!this.timeline.append(entry, this.isReadingBack)) return;
    if (entry.from === this.me) {
      this.outgoing.arrived(entry.mid);
      // Who has answered, here or elsewhere, has read.
      this.markReadTo(entry);
    }
    this.outgoing.passed(entry);
    if (this.isReady) this.arrived.tell(entry);
    this.changes.tell();
  }

  protected receiveGap(gap: Gap): void {
    this.timeline.append(gapEntry(gap), this.isReadingBack);
    this.outgoing.passed(gap.to);
    this.changes.tell();
  }
}

/** Where the page before this one ends: at its oldest message. */
export function pageBefore({ messages: [oldest], position }: Page): Position {
  return oldest === undefined ? position : { epoch: oldest.epoch, offset: oldest.offset };
}
