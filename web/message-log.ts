import type { Position } from '../src/protocol/position.ts';
import type { Conversation } from './conversation.ts';
import type { Conversations } from './conversations.ts';
import { arrange, byId, make, setText } from './dom.ts';
import { dayElement, messageElement, outgoingElement, tideMark } from './message-element.ts';
import { isFollowing, type Row, rowsOf } from './message-rows.ts';
import { oncePerFrame } from './once-per-frame.ts';
import { Scroller } from './scroller.ts';

/** Older messages are read when fewer pixels than these are left above. */
const AHEAD_PX = 600;

/** The messages of the conversation that is shown. */
export class MessageLog {
  readonly #log = byId('log', HTMLElement);
  readonly #outgoing = byId('outgoing', HTMLElement);
  readonly #beginning = byId('beginning', HTMLElement);
  readonly #older = byId('older', HTMLElement);
  readonly #olderFailed = byId('older-failed', HTMLElement);
  readonly #jump = byId('jump', HTMLButtonElement);
  readonly #scroller: Scroller;
  readonly #draw = oncePerFrame(() => this.#drawNow());
  /** Elements of the log by the key of their row. */
  #rows = new Map<string, HTMLElement>();
  /** Elements of one's own messages on their way, by key and state. */
  #outgoingElements = new Map<string, HTMLElement>();
  readonly #followed = new WeakSet<Conversation>();
  #shown: Conversation | null = null;
  /** What is unread is not looked for yet. */
  #isFresh = false;
  /** Where what is drawn begins. */
  #drawnFrom: Position | null = null;
  /** Messages of others that came while the reader was further up. */
  #missed = 0;

  constructor(conversations: Conversations) {
    this.#scroller = new Scroller(byId('scroller', HTMLElement), this.#log, () => this.#scrolled());
    this.#jump.addEventListener('click', () => this.#jumpToEnd());
    byId('older-again', HTMLButtonElement).addEventListener('click', () => void this.#shown?.loadOlder());
    conversations.opened.on((conversation) => this.#show(conversation));
  }

  #show(conversation: Conversation | null): void {
    if (conversation === this.#shown) {
      if (!this.#scroller.isAtEnd) this.#jumpToEnd();
      return;
    }
    this.#shown = conversation;
    this.#isFresh = true;
    this.#missed = 0;
    this.#rows = new Map();
    this.#outgoingElements = new Map();
    // What was there is not said anew, only what comes.
    this.#log.ariaBusy = 'true';
    this.#log.replaceChildren();
    this.#outgoing.replaceChildren();
    if (conversation !== null) this.#follow(conversation);
    this.#drawNow();
  }

  #follow(conversation: Conversation): void {
    if (this.#followed.has(conversation)) return;
    this.#followed.add(conversation);
    conversation.changes.on(() => {
      if (conversation === this.#shown) this.#draw();
    });
    conversation.arrived.on(({ from }) => {
      if (conversation === this.#shown && from !== conversation.me && !this.#scroller.isAtEnd) this.#missed += 1;
    });
    conversation.outgoing.added.on(() => {
      if (conversation === this.#shown) this.#jumpToEnd();
    });
  }

  #drawNow(): void {
    const shown = this.#shown;
    if (shown === null) return;
    // The log comes to be busy before what is old goes in, and is free again after.
    if (!shown.isLive || shown.loading === 'loading') this.#log.ariaBusy = 'true';
    this.#scroller.keep(() => {
      this.#drawRows(shown);
      this.#drawOutgoing(shown);
      this.#drawnFrom = shown.timeline.before;
      const { timeline, loading } = shown;
      this.#beginning.hidden = !timeline.isAtStart;
      this.#older.hidden = loading !== 'loading';
      this.#olderFailed.hidden = loading !== 'failed';
    });
    if (this.#isFresh && shown.isReady) {
      this.#isFresh = false;
      this.#scroller.toEndOr(this.#log.querySelector<HTMLElement>('.new'));
    }
    this.#scrolled();
    if (shown.isLive && shown.loading !== 'loading') {
      requestAnimationFrame(() => {
        this.#log.ariaBusy = 'false';
      });
    }
  }

  #drawRows({ timeline, divider, me }: Conversation): void {
    const rows = rowsOf(timeline.entries, divider, me);
    const elements = new Map<string, HTMLElement>();
    for (const row of rows) {
      const element = this.#rows.get(row.key) ?? rowElement(row, me);
      if (row.kind === 'message') element.classList.toggle('follows', row.follows);
      elements.set(row.key, element);
    }
    this.#rows = elements;
    arrange(this.#log, [...elements.values()]);
  }

  #drawOutgoing({ outgoing, timeline, me }: Conversation): void {
    const elements = new Map<string, HTMLElement>();
    const last = timeline.entries.at(-1);
    let before: { from: string; ts: number } | null = last?.kind === 'message' && !timeline.isDetached ? last : null;
    for (const message of outgoing.messages) {
      const { key, state, ts } = message;
      const again = () => outgoing.retry(key);
      const discard = () => outgoing.discard(key);
      const id = `${key} ${state}`;
      const element = this.#outgoingElements.get(id) ?? outgoingElement(message, me, again, discard);
      element.classList.toggle('follows', before !== null && isFollowing(before, { from: me, ts }));
      elements.set(id, element);
      before = { from: me, ts };
    }
    this.#outgoingElements = elements;
    arrange(this.#outgoing, [...elements.values()]);
  }

  #scrolled(): void {
    const shown = this.#shown;
    if (shown === null) return;
    const { isDetached } = shown.timeline;
    shown.isReadingBack = !this.#scroller.isAtEnd;
    if (this.#scroller.isAtEnd && !isDetached) this.#missed = 0;
    this.#jump.hidden = this.#missed === 0 && !isDetached && !this.#scroller.isFar;
    const messages = this.#missed === 1 ? '1 new message' : `${this.#missed} new messages`;
    setText(this.#jump.firstElementChild as Element, this.#missed === 0 ? 'Jump to latest' : messages);
    // A page that has come and is not drawn yet makes room above.
    const isDrawn = this.#drawnFrom === shown.timeline.before;
    if (isDrawn && this.#scroller.above < AHEAD_PX && shown.loading === 'idle') void shown.loadOlder();
  }

  #jumpToEnd(): void {
    const shown = this.#shown;
    if (shown === null) return;
    this.#missed = 0;
    if (shown.timeline.isDetached) {
      shown.timeline.attach();
      this.#scroller.toEnd();
      this.#drawNow();
    }
    this.#scroller.toEnd();
  }
}

function rowElement(row: Row, me: string): HTMLElement {
  switch (row.kind) {
    case 'message':
      return messageElement(row.entry, me);
    case 'day':
      return dayElement(row.ts);
    case 'gap':
      return make('p', 'gap', make('span', '', 'Messages may be missing here'));
    case 'new':
      return make('p', 'new', tideMark(), make('span', '', 'New'));
  }
}
