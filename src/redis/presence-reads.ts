import type { KnownUser, RoomPresence } from '../presence/presence-store.ts';
import type { Compared, Told } from './presence-hearing.ts';
import type { PresenceScripts } from './presence-scripts.ts';
import { deviceStatesOf, readState, stateOf } from './presence-words.ts';
import type { RedisLink } from './redis-link.ts';

const ROOM_HEAD = 5;
const ROOM_ROW = 2;
const USERS_HEAD = 2;
const USER_ROW = 7;

type Word = string | number;

export interface Read<T> {
  /** Of what is stored. */
  readonly generation: string;
  readonly found: T;
}

/** Reads what is stored, together with the generation that it is of. All throw RedisUnavailableError. */
export class PresenceReads {
  readonly #link: RedisLink;
  readonly #scripts: PresenceScripts;

  constructor(link: RedisLink, scripts: PresenceScripts) {
    this.#link = link;
    this.#scripts = scripts;
  }

  async readRoom(room: string, after: string | undefined, limit: number): Promise<Read<RoomPresence>> {
    const page = (await this.#link.run(this.#scripts.readRoom, room, after ?? '', limit)) as Word[];
    const [generation, partial, version, count, more] = page;
    const users = rows(page.slice(ROOM_HEAD), ROOM_ROW).map(([user, seen]) => {
      return readState(String(user), String(seen));
    });
    const found = { count: Number(count), version: Number(version), users, more: more === 1, partial: partial === 1 };
    return { generation: String(generation), found };
  }

  async readKnownUsers(users: readonly string[], rooms: readonly string[]): Promise<Read<readonly KnownUser[]>> {
    const names = JSON.stringify(users);
    const page = (await this.#link.run(this.#scripts.readUsers, names, JSON.stringify(rooms))) as Word[];
    const [generation, partial] = page;
    const found = rows(page.slice(USERS_HEAD), USER_ROW).map((row, i): KnownUser => {
      const [version, lastSeenMs, status, devices, text, isTogether, deviceStates] = row;
      return {
        ...stateOf(users[i] ?? '', String(status), Number(devices), String(text)),
        lastSeenMs: Number(lastSeenMs),
        version: Number(version),
        deviceStates: deviceStatesOf(String(deviceStates)),
        isTogether: isTogether === 1,
        partial: partial === 1,
      };
    });
    return { generation: String(generation), found };
  }

  async compare(rooms: readonly Told[], users: readonly Told[]): Promise<Read<Compared>> {
    const args = [JSON.stringify(rooms), JSON.stringify(users)];
    const [generation, partial, ...all] = (await this.#link.run(this.#scripts.compare, ...args)) as Word[];
    const found = {
      partial: partial === 1,
      rooms: rows(all.slice(0, 2 * rooms.length), 2).map(([version, count]) => {
        return { version: Number(version), count: Number(count) };
      }),
      users: all.slice(2 * rooms.length).map(Number),
    };
    return { generation: String(generation), found };
  }
}

function rows(words: readonly Word[], width: number): Word[][] {
  return Array.from({ length: words.length / width }, (_, i) => words.slice(i * width, (i + 1) * width));
}
