import type { Client, Page, Room } from '../src/client/client.ts';
import type { Position } from '../src/protocol/position.ts';
import type { UserState } from '../src/protocol/presence-state.ts';
import { Conversation, pageBefore } from './conversation.ts';
import { Outgoing } from './outgoing.ts';
import type { ReadMark } from './read-mark.ts';
import { TypingUsers } from './typing.ts';

/** Messages that come with the first join: as many as unread ones are counted. */
const FIRST_MESSAGES = 100;

/** A room that one is in. */
export class RoomConversation extends Conversation {
  readonly kind = 'room';
  readonly key: string;
  readonly name: string;
  readonly outgoing: Outgoing;
  readonly typing = new TypingUsers();
  readonly #room: Room;
  #ended = '';
  #wasLive = false;
  /** Who is here may not be heard in every room. */
  #isPresenceHeard = true;

  constructor(client: Client, name: string, me: string, mark: ReadMark | null) {
    super(me, mark);
    this.key = name;
    this.name = name;
    this.#room = client.room(name);
    this.outgoing = new Outgoing([(text) => this.#room.publish({ text })]);
    this.outgoing.changes.on(() => this.changes.tell());
    this.typing.changes.on(() => this.changes.tell());
    this.#room.on('message', (message) => {
      this.typing.stopped(message.from);
      this.receive(message);
    });
    this.#room.on('gap', (gap) => this.receiveGap(gap));
    this.#room.on('signal', ({ from, data }) => {
      const isTyping = (data as { typing?: unknown } | null)?.typing;
      if (from !== me && typeof isTyping === 'boolean') this.typing.heard(from, isTyping);
    });
    this.#room.on('presence', () => this.changes.tell());
    this.#room.on('state', (state) => {
      if (state === 'live') this.#wasLive = true;
      this.changes.tell();
    });
    this.#room.on('left', ({ code, message }) => this.#left(code, message));
    this.rejoin();
  }

  override get ended(): string {
    return this.#ended;
  }

  override get isLive(): boolean {
    return this.#room.state === 'live';
  }

  override get isReady(): boolean {
    return this.#wasLive;
  }

  get count(): number {
    return this.#room.count;
  }

  /** Who is here, as far as names are known. */
  get users(): ReadonlyMap<string, UserState> {
    return this.#room.users;
  }

  override rejoin(): void {
    this.#isPresenceHeard = true;
    this.#join();
  }

  leave(): void {
    this.#room.leave().catch(() => {
      // Without a connection it is left all the same.
    });
  }

  override notice(isTyping: boolean): void {
    this.#room.signal({ typing: isTyping }).catch(() => {
      // At most once, and worth no more.
    });
  }

  protected override async page(before: Position | null, limit: number): Promise<Page> {
    const page = await this.#room.history({ ...(before && { before }), limit });
    return { ...page, position: pageBefore(page) };
  }

  #join(): void {
    this.#ended = '';
    const since = this.#room.position;
    const presence = this.#isPresenceHeard ? 'full' : 'off';
    this.#room.join({ ...(since && { since }), history: FIRST_MESSAGES, presence }).catch(() => {
      // `left` tells why; a closed client its state.
    });
    this.changes.tell();
  }

  #left(code: string, message: string): void {
    if (code === 'forbidden' && this.#isPresenceHeard) {
      // Perhaps only that is not allowed.
      this.#isPresenceHeard = false;
      this.#join();
      return;
    }
    this.#ended = endWords(code, message.replace(`${code}: `, ''));
    this.changes.tell();
  }
}

function endWords(code: string, message: string): string {
  if (code === 'kicked') return 'You were taken out of this room.';
  if (code === 'forbidden') return 'You may not be in this room.';
  return `This room can’t be joined: ${message}`;
}
