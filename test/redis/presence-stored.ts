import type { RedisPair } from './redis-pair.ts';

/** All there is, at one moment: of each key its milliseconds to live, and its value as it is listed. */
const DUMP = `
local all = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local type = redis.call('TYPE', key).ok
  local value
  if type == 'string' then value = { redis.call('GET', key) } end
  if type == 'hash' then value = redis.call('HGETALL', key) end
  if type == 'set' then value = redis.call('SMEMBERS', key) end
  if type == 'zset' then value = redis.call('ZRANGE', key, 0, -1) end
  all[#all + 1] = { key, redis.call('PTTL', key), cjson.encode(value or { type }) }
end
return all`;

/** What presence has stored, with its keys without the prefix. */
export class Stored {
  readonly #values = new Map<string, readonly string[]>();
  readonly #lasting: string[] = [];

  static async read(pair: RedisPair, prefix: string): Promise<Stored> {
    const stored = new Stored();
    const head = `{${prefix}}:`;
    for (const [key, ttlMs, value] of (await pair.ask('EVAL', DUMP, 0)) as [string, number, string][]) {
      if (!key.startsWith(head)) throw new Error(`a key without the prefix: ${key}`);
      if (ttlMs < 0) stored.#lasting.push(key);
      const list = JSON.parse(value) as readonly string[];
      // An empty table is an object there.
      stored.#values.set(key.slice(head.length), Array.isArray(list) ? list : []);
    }
    return stored;
  }

  /** Leases that hold something or could. */
  get leases(): readonly string[] {
    return this.#of('leases');
  }

  /**
   * What of it contradicts itself, or would never go.
   *
   * @param hasLostKeys keys were deleted: what then is only missed, or has to wait for its time to live, is left out
   */
  inconsistencies(hasLostKeys: boolean): string[] {
    const wrong = this.#lasting.map((key) => `${key} has no time to live`);
    const claim = (isSo: boolean, what: string) => void (isSo || wrong.push(what));
    const leases = new Set(this.leases);
    const users = this.#named('u:').map((name) => this.#user(name));
    const rooms = new Map<string, Set<string>>();
    const holding = new Map<string, Set<string>>();
    for (const { name, leasesOf, roomsOf } of users) {
      for (const lease of leasesOf) {
        claim(leases.has(lease), `${name} is held by ${lease}, which is no lease`);
        add(holding, lease, name);
      }
      for (const room of roomsOf) add(rooms, room, name);
      const isGone = leasesOf.size === 0;
      if (isGone && hasLostKeys) continue;
      claim(isGone === this.#of('gone').includes(name), `${name} is ${isGone ? 'not ' : ''}among those gone`);
    }
    for (const lease of new Set([...leases, ...this.#named('x:'), ...holding.keys()])) {
      const held = [...(holding.get(lease) ?? [])].sort().join();
      const indexed = [...this.#of(`x:${lease}`)].sort().join();
      if (held === '' && !leases.has(lease) && hasLostKeys) continue;
      claim(held === indexed, `lease ${lease} holds ${held}; its index names ${indexed}`);
      claim(leases.has(lease), `there is an index of ${lease}, which is no lease`);
    }
    for (const room of new Set([...rooms.keys(), ...this.#named('r:')])) {
      const present = [...(rooms.get(room) ?? [])].sort().join();
      const listed = [...this.#of(`r:${room}`)].sort().join();
      claim(present === listed, `in room ${room} are ${present}; listed are ${listed}`);
    }
    if (hasLostKeys) return wrong;
    for (const lease of this.#named('l:')) claim(leases.has(lease), `l:${lease} is of no lease`);
    const versioned = [...this.#fields('rv').keys()].sort().join();
    const there = this.#named('r:').sort().join();
    claim(versioned === there, `rooms with a version are ${versioned}; with somebody in them ${there}`);
    return wrong;
  }

  /** The names of the keys that begin so. */
  #named(head: string): string[] {
    return [...this.#values.keys()].filter((key) => key.startsWith(head)).map((key) => key.slice(head.length));
  }

  #of(key: string): readonly string[] {
    return this.#values.get(key) ?? [];
  }

  #fields(key: string): Map<string, string> {
    const list = this.#of(key);
    return new Map(list.flatMap((field, i) => (i % 2 === 0 ? [[field, list[i + 1] ?? '']] : [])));
  }

  #user(name: string): { name: string; leasesOf: Set<string>; roomsOf: Set<string> } {
    const leasesOf = new Set<string>();
    const roomsOf = new Set<string>();
    for (const [field, value] of this.#fields(`u:${name}`)) {
      const [kind, lease = '', room = ''] = field.split(':');
      if (kind === 's') leasesOf.add(value.split('|')[0] ?? '');
      if (kind !== 'm') continue;
      leasesOf.add(lease);
      roomsOf.add(room);
    }
    return { name, leasesOf, roomsOf };
  }
}

function add(sets: Map<string, Set<string>>, key: string, value: string): void {
  const set = sets.get(key);
  if (set === undefined) sets.set(key, new Set([value]));
  else set.add(value);
}
