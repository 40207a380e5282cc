import { createHmac } from 'node:crypto';
import { DATA_BYTES, writeData, writeDigits } from '../publication-data.ts';
import { type Greeting, type Incoming, unexpected, type Wire } from './wire.ts';

/** Command ids of a session: 1 is connect, joins follow, and publication n has n + FIRST_PUBLISH_ID. */
const CONNECT_ID = 1;
const FIRST_JOIN_ID = 2;
const FIRST_PUBLISH_ID = 300;

/** The bytes between `mid` and `data`. */
const BEFORE_DATA = Buffer.from('","data":');

/** A mid has the shape and length of a UUID: the publisher in its first group, the sequence in its last. */
const MID = Buffer.from('00000000-0000-4000-8000-000000000000');
const MID_PUBLISHER_DIGITS = 8;
const MID_SEQUENCE_AT = 24;
const MID_SEQUENCE_DIGITS = 12;

/** Of commands beside a session's publications: more than it ever publishes. */
const PRESENCE_ID = 2 ** 40;
const QUIT_ID = PRESENCE_ID + 1;

const ROOM_KEY = '"room":"';
const QUOTE = '"';
const TOKEN_HEADER = Buffer.from('{"alg":"HS256","typ":"JWT"}').toString('base64url');
const TOKEN_SECONDS = 3_600;

/**
 * How sessions take part in presence:
 * - `full`: they are seen, and told who comes and goes;
 * - `off`: they are seen, as by default, and told nothing;
 * - `hidden`: neither.
 */
export const PRESENCES = ['full', 'off', 'hidden'] as const;
export type Presence = (typeof PRESENCES)[number];

export interface TidegateWireOptions {
  /** By default `off`. */
  readonly presence?: Presence;
  /** With what each session signs a token of its own; without, sessions are anonymous. */
  readonly jwtSecret?: string;
}

/** tidegate's protocol, version 1, over either transport. */
export class TidegateWire implements Wire {
  readonly framing: 'lines' | 'websocket';
  readonly onePublicationAFrame = false;
  readonly path = '/ws';
  readonly publishBytesMax = 320;
  readonly goodbye = `{"op":"quit","id":${QUIT_ID}}`;
  readonly #presence: Presence;
  readonly #jwtSecret: string | undefined;

  constructor(framing: 'lines' | 'websocket', { presence = 'off', jwtSecret }: TidegateWireOptions) {
    this.framing = framing;
    this.#presence = presence;
    this.#jwtSecret = jwtSecret;
  }

  async greet(greeting: Greeting, sessionIndex: number, rooms: readonly string[]): Promise<void> {
    const user = userOf(sessionIndex);
    const identity = this.#jwtSecret === undefined ? `"user":"${user}"` : `"token":"${tokenOf(user, this.#jwtSecret)}"`;
    greeting.send(`{"op":"connect","id":${CONNECT_ID},${identity}}`);
    await this.#receiveOk(greeting, CONNECT_ID);
    const presence = { full: ',"presence":"full"', off: '', hidden: ',"visible":false' }[this.#presence];
    for (const [index, room] of rooms.entries()) {
      greeting.send(`{"op":"join","id":${FIRST_JOIN_ID + index},"room":"${room}"${presence}}`);
      await this.#receiveOk(greeting, FIRST_JOIN_ID + index);
    }
  }

  roomOf(line: Buffer): string | undefined {
    const at = line.indexOf(ROOM_KEY);
    if (at < 0) return undefined;
    const start = at + ROOM_KEY.length;
    return line.toString('latin1', start, line.indexOf(QUOTE, start));
  }

  async checkPresence(greeting: Greeting, room: string, sessionIndexes: readonly number[]): Promise<void> {
    greeting.send(`{"op":"presence","id":${PRESENCE_ID},"room":"${room}"}`);
    const { count, users } = (await this.#receiveOk(greeting, PRESENCE_ID)) as {
      count: number;
      users: { user: string }[];
    };
    const expected = this.#presence === 'hidden' ? [] : sessionIndexes.map(userOf);
    const isSame = users.map(({ user }) => user).join() === expected.toSorted().join();
    if (count === expected.length && isSame) return;
    throw new Error(`${room} has ${count} users, ${JSON.stringify(users)}; expected ${expected}`);
  }

  writePublish(target: Buffer, at: number, room: string, publisher: number, sequence: number, sentUs: number): number {
    const id = sequence + FIRST_PUBLISH_ID;
    let end = at + target.write(`{"op":"publish","id":${id},"room":"${room}","mid":"`, at, 'latin1');
    MID.copy(target, end);
    writeDigits(target, end, MID_PUBLISHER_DIGITS, publisher);
    writeDigits(target, end + MID_SEQUENCE_AT, MID_SEQUENCE_DIGITS, sequence);
    end += MID.length;
    end += BEFORE_DATA.copy(target, end);
    writeData(target, end, publisher, sequence, sentUs);
    end += DATA_BYTES;
    target[end] = 0x7d; // }
    return end + 1;
  }

  read(line: Buffer, room: string): Incoming {
    const message: unknown = JSON.parse(line.toString('latin1'));
    if (typeof message !== 'object' || message === null) throw unexpected(line);
    if ('push' in message) return this.#readPush(message, room, line);
    if (!('id' in message) || !('ok' in message)) throw unexpected(line);
    const { id, ok } = message;
    const isAnswer = typeof id === 'number' && id >= FIRST_PUBLISH_ID && typeof ok === 'object' && ok !== null;
    // A duplicate would mean that the log had this mid before: the run sends each one once.
    if (!isAnswer || !('duplicate' in ok) || ok.duplicate !== false) throw unexpected(line);
    return { kind: 'answer', sequence: id - FIRST_PUBLISH_ID };
  }

  #readPush(message: { push: unknown }, room: string, line: Buffer): Incoming {
    if (message.push === 'heartbeat') return { kind: 'heartbeat', text: '{"op":"pong"}' };
    if (message.push === 'presence' && this.#presence === 'full') return { kind: 'presence' };
    if (!('room' in message) || message.room !== room) throw unexpected(line);
    if (message.push !== 'message') throw unexpected(line);
    if (!('epoch' in message && 'offset' in message && 'mid' in message)) throw unexpected(line);
    const { epoch, offset } = message;
    if (typeof epoch !== 'string' || typeof offset !== 'number') throw unexpected(line);
    return { kind: 'publication', epoch, offset };
  }

  /** The `ok` of the command with this id. What else may come meanwhile is dealt with. */
  async #receiveOk(greeting: Greeting, id: number): Promise<unknown> {
    for (;;) {
      const text = await greeting.receive();
      // The words for a person that a TCP session gets if the server read nothing from it for a while.
      if (text.startsWith('#')) continue;
      const message: unknown = JSON.parse(text);
      if (typeof message !== 'object' || message === null) throw unexpected(text);
      if ('push' in message) {
        const incoming = this.#readPush(message, '', Buffer.from(text));
        if (incoming.kind === 'heartbeat') greeting.send(incoming.text);
        else if (incoming.kind !== 'presence') throw unexpected(text);
      } else if ('id' in message && message.id === id && 'ok' in message) {
        return message.ok;
      } else {
        throw unexpected(text);
      }
    }
  }
}

/** A token of HS256 that grants everything, for an hour. */
function tokenOf(user: string, secret: string): string {
  const everything = { join: ['**'], publish: ['**'], presence: ['**'] };
  const claims = { sub: user, exp: Math.floor(Date.now() / 1000) + TOKEN_SECONDS, tidegate: everything };
  const body = `${TOKEN_HEADER}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`;
  return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
}

/** Every session is a user of its own. */
function userOf(sessionIndex: number): string {
  return `u${sessionIndex}`;
}
