import type { Client, Message, UserPresence } from '../src/client/client.ts';
import { Changes } from './changes.ts';
import type { Conversation } from './conversation.ts';
import { DirectConversation, inboxOf, partnerOf } from './direct-conversation.ts';
import { Inbox } from './inbox.ts';
import { isBehind, type ReadMark } from './read-mark.ts';
import { RoomConversation } from './room-conversation.ts';
import { directKey, REMEMBERED_MAX, type Store } from './store.ts';

/** Read marks are written to storage together, this long after the first. */
const SAVE_DELAY_MS = 300;

/** All conversations of the user, and the one that is shown. */
export class Conversations {
  /** The list, or something of one in it, is different. */
  readonly changes = new Changes();
  /** Another one is shown, or none. */
  readonly opened = new Changes<Conversation | null>();
  readonly #client: Client;
  readonly #store: Store;
  readonly #me: string;
  readonly #inbox: Inbox;
  readonly #rooms = new Map<string, RoomConversation>();
  readonly #directs = new Map<string, DirectConversation>();
  readonly #unsaved = new Map<string, ReadMark>();
  #current: Conversation | null = null;
  /** What is unread when the current one is seen next begins behind a line. */
  #isToDivide = false;

  constructor(client: Client, store: Store, me: string) {
    this.#client = client;
    this.#store = store;
    this.#me = me;
    this.#inbox = new Inbox(client, inboxOf(me), me);
    this.#inbox.messages.on((message) => this.#take(message));
    this.#inbox.gaps.on((gap) => {
      for (const direct of this.#directs.values()) direct.takeGap(gap);
    });
    for (const room of store.remembered.rooms) this.#addRoom(room);
    for (const partner of store.remembered.partners) this.#addDirect(partner);
    this.#inbox.join();
    client.on('presence', (presence) => this.#hear(presence));
    client.on('state', ({ name }) => {
      if (name === 'online') this.#watch(this.directs.filter(({ partner }) => partner === null));
    });
    document.addEventListener('visibilitychange', () => this.#seen());
    addEventListener('pagehide', () => this.#save());
    store.onOtherTab(() => {
      for (const conversation of this.all) {
        const mark = store.mark(conversation.key);
        if (mark !== null) conversation.markReadTo(mark);
      }
    });
  }

  get current(): Conversation | null {
    return this.#current;
  }

  /** By name. */
  get rooms(): readonly RoomConversation[] {
    return [...this.#rooms.values()].sort((a, b) => a.name.localeCompare(b.name));
  }

  /** The one with the newest message first. */
  get directs(): readonly DirectConversation[] {
    const newestTs = ({ timeline }: Conversation) => timeline.newest?.ts ?? 0;
    return [...this.#directs.values()].sort((a, b) => newestTs(b) - newestTs(a) || a.name.localeCompare(b.name));
  }

  get all(): readonly Conversation[] {
    return [...this.rooms, ...this.directs];
  }

  get isFull(): boolean {
    return this.#rooms.size >= REMEMBERED_MAX;
  }

  /** Shows a room, and joins it before where it is not joined yet. */
  openRoom(name: string): void {
    const known = this.#rooms.get(name);
    if (known === undefined) this.#store.add('rooms', name);
    this.#open(known ?? this.#addRoom(name));
  }

  /** Shows what was said with a user, if anything was. */
  openDirect(partner: string): void {
    this.#open(this.#directs.get(partner) ?? this.#newDirect(partner));
  }

  open(conversation: Conversation): void {
    if (conversation.kind === 'room') this.openRoom(conversation.name);
    else this.openDirect(conversation.name);
  }

  /** Leaves a room, or puts a direct conversation out of sight until something is said in it. */
  leave(conversation: Conversation): void {
    if (conversation instanceof RoomConversation) {
      conversation.leave();
      this.#rooms.delete(conversation.name);
      this.#store.remove('rooms', conversation.name);
    } else {
      this.#directs.delete(conversation.name);
      this.#store.remove('partners', conversation.name);
      this.#client.unwatch([conversation.name]).catch(() => {
        // Without a connection it is not watched either.
      });
    }
    if (conversation === this.#current) this.#open(this.all[0] ?? null);
    this.changes.tell();
  }

  #open(conversation: Conversation | null): void {
    const before = this.#current;
    if (conversation !== before) {
      if (before !== null) {
        before.isReadingBack = false;
        before.divider = null;
        before.timeline.shrink();
      }
      this.#current = conversation;
      this.#isToDivide = true;
    }
    this.#seen();
    this.opened.tell(conversation);
    this.changes.tell();
  }

  #take(message: Message): void {
    const partner = partnerOf(message, this.#me);
    const known = this.#directs.get(partner);
    // A conversation that was closed comes back with the first message that was not seen in it.
    if (known === undefined && !isBehind(this.#store.mark(directKey(partner)), message)) return;
    (known ?? this.#newDirect(partner)).take(message);
  }

  #newDirect(partner: string): DirectConversation {
    this.#store.add('partners', partner);
    const direct = this.#addDirect(partner);
    if (this.#directs.size > REMEMBERED_MAX) {
      const last = this.directs.findLast((each) => each !== direct && each !== this.#current);
      if (last !== undefined) this.leave(last);
    }
    return direct;
  }

  #addRoom(name: string): RoomConversation {
    const room = new RoomConversation(this.#client, name, this.#me, this.#store.mark(name));
    this.#rooms.set(name, room);
    this.#follow(room);
    return room;
  }

  #addDirect(partner: string): DirectConversation {
    const mark = this.#store.mark(directKey(partner));
    const direct = new DirectConversation(this.#client, this.#inbox, partner, mark);
    this.#directs.set(partner, direct);
    this.#follow(direct);
    this.#watch([direct]);
    return direct;
  }

  /** Asks how partners are, and hears of it from then on. */
  #watch(directs: readonly DirectConversation[]): void {
    if (directs.length === 0 || this.#client.state.name !== 'online') return;
    this.#client.watch(directs.map(({ name }) => name)).then(
      (found) => {
        for (const presence of found) this.#hear(presence);
      },
      () => {
        // Not everybody may be watched.
      },
    );
  }

  #hear(presence: UserPresence): void {
    const direct = this.#directs.get(presence.user);
    if (direct !== undefined) direct.partner = presence;
  }

  #follow(conversation: Conversation): void {
    conversation.changes.on(() => {
      if (conversation === this.#current) this.#seen();
      this.changes.tell();
    });
    conversation.read.on((mark) => {
      if (this.#unsaved.size === 0) setTimeout(() => this.#save(), SAVE_DELAY_MS);
      this.#unsaved.set(conversation.key, mark);
    });
  }

  /** The current conversation is read while it can be seen. */
  #seen(): void {
    const current = this.#current;
    if (current === null || !current.isReady) return;
    if (document.visibilityState !== 'visible') {
      this.#isToDivide = true;
      return;
    }
    if (this.#isToDivide) current.divide();
    this.#isToDivide = false;
    current.markRead();
  }

  #save(): void {
    if (this.#unsaved.size === 0) return;
    this.#store.saveMarks(Object.fromEntries(this.#unsaved));
    this.#unsaved.clear();
  }
}
