import type { ClientError } from '../src/client/client.ts';
import type { Position } from '../src/protocol/position.ts';
import { Changes } from './changes.ts';

/** What a publish of the client gives. */
export interface Sending extends Promise<Position> {
  readonly mid: string;
}

/** One's own message that is not seen in the conversation yet. */
export interface OutgoingMessage {
  readonly key: string;
  readonly text: string;
  readonly ts: number;
  /** `sent`: acknowledged, and about to be seen. */
  readonly state: 'waiting' | 'sent' | 'failed';
  /** Why it failed. */
  readonly reason: string;
}

/** One step of sending; the last one's message is what shows in the conversation. */
export type Step = (text: string) => Sending;

interface Item extends OutgoingMessage {
  state: OutgoingMessage['state'];
  reason: string;
  /** Steps that were acknowledged. */
  done: number;
  mid: string;
  position: Position | null;
}

/** Own messages on their way, oldest first; those that failed stay until they are sent again or thrown away. */
export class Outgoing {
  readonly changes = new Changes();
  /** One was written just now. */
  readonly added = new Changes();
  readonly #steps: readonly Step[];
  #items: Item[] = [];
  #keys = 0;

  constructor(steps: readonly Step[]) {
    this.#steps = steps;
  }

  get messages(): readonly OutgoingMessage[] {
    return this.#items;
  }

  get isWaiting(): boolean {
    return this.#items.some(({ state }) => state === 'waiting');
  }

  add(text: string): void {
    this.#keys += 1;
    const item: Item = {
      ...{ key: `outgoing ${this.#keys}`, text, ts: Date.now(), state: 'waiting', reason: '' },
      ...{ done: 0, mid: '', position: null },
    };
    this.#items.push(item);
    this.#send(item);
    this.changes.tell();
    this.added.tell();
  }

  /** Sends a failed one again, behind what was written meanwhile. */
  retry(key: string): void {
    const item = this.#items.find((each) => each.key === key);
    if (item?.state !== 'failed') return;
    item.state = 'waiting';
    item.reason = '';
    this.#items = [...this.#items.filter((each) => each !== item), item];
    this.#send(item);
    this.changes.tell();
  }

  discard(key: string): void {
    this.#items = this.#items.filter((item) => item.key !== key);
    this.changes.tell();
  }

  /** A message of one's own is in the conversation. */
  arrived(mid: string): void {
    this.#remove((item) => item.mid === mid);
  }

  /** The conversation has gone on to there: what was acknowledged before will not be seen any more. */
  passed({ epoch, offset }: Position): void {
    this.#remove(({ position }) => position !== null && (position.epoch !== epoch || position.offset <= offset));
  }

  #remove(isGone: (item: Item) => boolean): void {
    const left = this.#items.filter((item) => !isGone(item));
    if (left.length === this.#items.length) return;
    this.#items = left;
    this.changes.tell();
  }

  #send(item: Item): void {
    const step = this.#steps[item.done];
    if (step === undefined) return;
    const sending = step(item.text);
    item.mid = sending.mid;
    sending.then(
      ({ epoch, offset }) => {
        item.done += 1;
        if (item.done < this.#steps.length) {
          this.#send(item);
          return;
        }
        item.position = { epoch, offset };
        item.state = 'sent';
        this.changes.tell();
      },
      (error: ClientError) => {
        item.state = 'failed';
        item.reason = item.done === 0 ? reasonOf(error) : `Delivered, but not kept here: ${wordsOf(error)}`;
        this.changes.tell();
      },
    );
  }
}

function reasonOf(error: ClientError): string {
  if (error.wasSent && ['closed', 'timed_out', 'unknown_outcome'].includes(error.code)) {
    return 'Not confirmed by the server in time: it may have arrived';
  }
  return `Not sent: ${wordsOf(error)}`;
}

/** An error's message in words, without its code in front. */
export function wordsOf({ code, message }: ClientError): string {
  if (code === 'queue_full') return 'too many messages wait already';
  if (code === 'closed') return 'the chat was closed';
  if (code === 'timed_out') return 'no answer from the server in time';
  return message.replace(`${code}: `, '');
}
