import type { Client, Message, Page, UserPresence } from '../src/client/client.ts';
import type { Gap, Position } from '../src/protocol/position.ts';
import { Conversation, pageBefore } from './conversation.ts';
import type { Inbox } from './inbox.ts';
import { Outgoing, type Step } from './outgoing.ts';
import type { ReadMark } from './read-mark.ts';
import { directKey } from './store.ts';

/** Pages of the inbox that are read in one go, to find something of this conversation. */
const PAGES_MAX = 5;
const INBOX_PAGE_LIMIT = 300;

export function inboxOf(user: string): string {
  return `@user/${user}`;
}

/** With whom a message of the inbox was exchanged. Only of one's own copies it is known to whom they went. */
export function partnerOf({ from, data }: Message, me: string): string {
  const to = (data as { to?: unknown } | null)?.to;
  return from === me && typeof to === 'string' ? to : from;
}

/**
 * What was said with one user: that part of one's own inbox. The other's inbox is closed to everybody else, so that what
 * is sent there is copied to one's own, for one's other devices and for later.
 */
export class DirectConversation extends Conversation {
  readonly kind = 'direct';
  readonly key: string;
  readonly name: string;
  readonly outgoing: Outgoing;
  readonly #inbox: Inbox;
  /** How the partner is; null where that is not known. */
  #partner: UserPresence | null = null;

  constructor(client: Client, inbox: Inbox, name: string, mark: ReadMark | null) {
    super(inbox.me, mark);
    this.key = directKey(name);
    this.name = name;
    this.#inbox = inbox;
    const keep: Step = (text) => client.room(inboxOf(inbox.me)).publish({ text, to: name });
    const deliver: Step = (text) => client.room(inboxOf(name)).publish({ text });
    this.outgoing = new Outgoing(name === inbox.me ? [keep] : [deliver, keep]);
    this.outgoing.changes.on(() => this.changes.tell());
    inbox.changes.on(() => this.changes.tell());
  }

  override get ended(): string {
    return '';
  }

  override get isLive(): boolean {
    return this.#inbox.isLive;
  }

  override get isReady(): boolean {
    return this.#inbox.isReady;
  }

  get partner(): UserPresence | null {
    return this.#partner;
  }

  set partner(partner: UserPresence) {
    this.#partner = partner;
    this.changes.tell();
  }

  take(message: Message): void {
    this.receive(message);
  }

  /** Something of the inbox is missing, which may have been of this conversation. */
  takeGap(gap: Gap): void {
    if (this.timeline.entries.length > 0) this.receiveGap(gap);
  }

  override rejoin(): void {}

  override notice(): void {
    // Nobody can hear it there.
  }

  protected override async page(before: Position | null): Promise<Page> {
    let found = await this.#inbox.page(before, INBOX_PAGE_LIMIT);
    const messages: Message[] = [];
    for (let pages = 1; ; pages += 1) {
      messages.unshift(...found.messages.filter((message) => partnerOf(message, this.me) === this.name));
      const position = pageBefore(found);
      if (messages.length > 0 || found.gap !== undefined || !found.more || pages === PAGES_MAX) {
        return { ...found, messages, position };
      }
      found = await this.#inbox.page(position, INBOX_PAGE_LIMIT);
    }
  }
}
