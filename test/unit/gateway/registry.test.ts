import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Session } from '../../../src/gateway/session.ts';
import { addressKey, SessionRegistry } from '../../../src/gateway/session-registry.ts';

/** What the registry looks at. */
class FakeSession {
  wasConnected = false;
  readonly remoteAddress: string;
  readonly identity: { readonly user: string; readonly device: string };

  constructor(user: string, device: string, remoteAddress = '192.0.2.1') {
    this.identity = { user, device };
    this.remoteAddress = remoteAddress;
  }
}

function sessionOf(...args: ConstructorParameters<typeof FakeSession>): Session {
  return new FakeSession(...args) as unknown as Session;
}

function connect(registry: SessionRegistry, session: Session): Session {
  registry.add(session);
  (session as unknown as FakeSession).wasConnected = true;
  registry.connected(session);
  return session;
}

describe('SessionRegistry', () => {
  it('knows a session by itself before it has connected', () => {
    const registry = new SessionRegistry();
    const session = sessionOf('ann', 'phone');
    registry.add(session);
    expect([registry.size, registry.connectedCount, registry.userCount]).toEqual([1, 0, 0]);
    expect([...registry]).toEqual([session]);
    expect(registry.get('ann', 'phone')).toBe(undefined);
    expect(registry.countOfAddress('192.0.2.1')).toBe(0);
    registry.delete(session);
    expect(registry.size).toBe(0);
  });

  it('knows a connected one by its user, device and address', () => {
    const registry = new SessionRegistry();
    const phone = connect(registry, sessionOf('ann', 'phone'));
    expect(registry.get('ann', 'phone')).toBe(phone);
    expect(registry.get('ann', 'tv')).toBe(undefined);
    expect(registry.get('bob', 'phone')).toBe(undefined);
    const tv = connect(registry, sessionOf('ann', 'tv', '192.0.2.1'));
    const pad = connect(registry, sessionOf('ann', 'pad', '192.0.2.2'));
    expect(registry.get('ann', 'phone')).toBe(phone);
    expect(registry.get('ann', 'tv')).toBe(tv);
    expect(registry.ofUser('ann')).toEqual([phone, tv, pad]);
    expect(registry.countOfUser('ann')).toBe(3);
    expect([registry.size, registry.connectedCount, registry.userCount]).toEqual([3, 3, 1]);
    expect(registry.countOfAddress('192.0.2.1')).toBe(2);
    registry.delete(phone);
    expect(registry.ofUser('ann')).toEqual([tv, pad]);
    registry.delete(pad);
    registry.delete(tv);
    expect(registry.ofUser('ann')).toEqual([]);
    expect([registry.size, registry.connectedCount, registry.userCount]).toEqual([0, 0, 0]);
    expect(registry.countOfUser('ann')).toBe(0);
    expect(registry.countOfAddress('192.0.2.1')).toBe(0);
  });

  it('is not confused by names that every object has', () => {
    const registry = new SessionRegistry();
    expect(registry.get('constructor', '__proto__')).toBe(undefined);
    const session = connect(registry, sessionOf('__proto__', 'constructor'));
    expect(registry.get('__proto__', 'constructor')).toBe(session);
    expect(registry.ofUser('__proto__')).toEqual([session]);
  });

  it('may be changed while a user’s sessions are gone through', () => {
    const registry = new SessionRegistry();
    for (const device of ['a', 'b', 'c']) connect(registry, sessionOf('ann', device));
    for (const session of registry.ofUser('ann')) registry.delete(session);
    expect(registry.countOfUser('ann')).toBe(0);
  });

  it('knows what is there, in whatever order sessions come and go', () => {
    const step = fc.tuple(
      fc.constantFrom('ann', 'bob'),
      fc.constantFrom('a', 'b', 'c'),
      fc.constantFrom('192.0.2.1', '2001:db8::1', '2001:db8::2'),
      fc.boolean(),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const registry = new SessionRegistry();
        const live = new Map<string, Session>();
        for (const [user, device, address, isConnecting] of steps) {
          const key = `${user} ${device}`;
          const known = live.get(key);
          // As `connect` does: the older one of the same two goes first.
          if (known !== undefined) registry.delete(known);
          live.delete(key);
          if (isConnecting) live.set(key, connect(registry, sessionOf(user, device, address)));
        }
        const all = [...live.values()];
        expect([...registry]).toEqual(all);
        expect(registry.connectedCount).toBe(all.length);
        expect(registry.userCount).toBe(new Set(all.map(({ identity }) => identity.user)).size);
        for (const user of ['ann', 'bob']) {
          const own = all.filter(({ identity }) => identity.user === user);
          expect(new Set(registry.ofUser(user))).toEqual(new Set(own));
          expect(registry.countOfUser(user)).toBe(own.length);
          for (const device of ['a', 'b', 'c']) expect(registry.get(user, device)).toBe(live.get(`${user} ${device}`));
        }
        for (const key of ['192.0.2.1', '2001:db8:0:0']) {
          const own = all.filter(({ remoteAddress }) => addressKey(remoteAddress) === key);
          expect(registry.countOfAddress(key)).toBe(own.length);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('addressKey', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8:1:2::', '2001:db8:1:2'],
    ['2001:db8:1:2::6', '2001:db8:1:2'],
    ['2001:db8::3:4:5:6', '2001:db8:0:0'],
    ['2001:db8::6', '2001:db8:0:0'],
    ['2001:db8::', '2001:db8:0:0'],
    ['2001::2:3:4:5:6:7', '2001:0:2:3'],
    ['::1', '0:0:0:0'],
    ['::', '0:0:0:0'],
    ['::2:3:4:5:6:7:8', '0:2:3:4'],
    ['1:2:3:4:5:6:7::', '1:2:3:4'],
    ['fe80::1', 'fe80:0:0:0'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0'],
  ])('of %s is %s', (address, key) => {
    expect(addressKey(address)).toBe(key);
  });

  it('is the first four groups, however the kernel shortens the address', () => {
    const group = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max: 0xffff }));
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        const long = groups.map((number) => number.toString(16)).join(':');
        // As RFC 5952 and inet_ntop have it: URLs are written so.
        const short = new URL(`http://[${long}]/`).hostname.slice(1, -1);
        const key = groups
          .slice(0, 4)
          .map((number) => number.toString(16))
          .join(':');
        expect(addressKey(long)).toBe(key);
        expect(addressKey(short)).toBe(key);
      }),
      { numRuns: 1_000 },
    );
  });
});
