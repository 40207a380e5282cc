import type { Client, Message, Page, Room } from '../src/client/client.ts';
import type { Gap, Position } from '../src/protocol/position.ts';
import { Changes } from './changes.ts';

/** Messages of the inbox that come with the first join. */
const FIRST_MESSAGES = 300;

/** One's own room, where direct messages come in. */
export class Inbox {
  /** Its state has changed. */
  readonly changes = new Changes();
  readonly messages = new Changes<Message>();
  readonly gaps = new Changes<Gap>();
  readonly me: string;
  readonly #room: Room;
  #wasLive = false;

  constructor(client: Client, name: string, me: string) {
    this.me = me;
    this.#room = client.room(name);
    this.#room.on('message', (message) => this.messages.tell(message));
    this.#room.on('gap', (gap) => this.gaps.tell(gap));
    this.#room.on('state', (state) => {
      if (state === 'live') this.#wasLive = true;
      this.changes.tell();
    });
  }

  get isLive(): boolean {
    return this.#room.state === 'live';
  }

  get isReady(): boolean {
    return this.#wasLive;
  }

  join(): void {
    this.#room.join({ history: FIRST_MESSAGES, visible: false }).catch(() => {
      // Where an operator has taken this right, there are no direct messages.
    });
  }

  page(before: Position | null, limit: number): Promise<Page> {
    return this.#room.history({ ...(before && { before }), limit });
  }
}
