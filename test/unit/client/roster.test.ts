import { describe, expect, it } from 'vitest';
import { Roster } from '../../../src/client/roster.ts';
import type { UserState } from '../../../src/protocol/presence-state.ts';

function user(name: string, more: Partial<UserState> = {}): UserState {
  return { user: name, status: 'online', devices: 1, ...more };
}

const ann = user('ann');
const bob = user('bob');
const cat = user('cat');
const NOBODY = { joined: [], left: [], changed: [] };

/** One that knows of ann and bob at version 5. */
function rosterOfTwo(): Roster {
  const roster = new Roster();
  roster.read({ version: 5, count: 2, users: [ann, bob] }, false);
  return roster;
}

function namesIn(roster: Roster): string[] {
  return [...roster.users.keys()];
}

describe('a snapshot', () => {
  it('tells who is there', () => {
    const roster = new Roster();
    const change = roster.read({ version: 5, count: 2, users: [ann, bob] }, false);
    expect(change).toEqual({ joined: [ann, bob], left: [], changed: [] });
    expect(roster.count).toBe(2);
    expect([...roster.users]).toEqual([
      ['ann', ann],
      ['bob', bob],
    ]);
  });

  it('tells what is other than before', () => {
    const roster = rosterOfTwo();
    const away = user('bob', { status: 'away' });
    const change = roster.read({ version: 6, count: 2, users: [away, cat] }, true);
    expect(change).toEqual({ joined: [cat], left: [ann], changed: [away] });
    expect(roster.users.get('bob')).toEqual(away);
  });

  it('of the same version is taken', () => {
    expect(rosterOfTwo().read({ version: 5, count: 3, users: [ann, bob, cat] }, true)?.joined).toEqual([cat]);
  });

  it('that is older than what is known is not taken', () => {
    const roster = rosterOfTwo();
    expect(roster.read({ version: 4, count: 1, users: [ann] }, true)).toBeNull();
    expect(roster.count).toBe(2);
    expect(namesIn(roster)).toEqual(['ann', 'bob']);
  });

  it('of another session is taken, whatever its version', () => {
    const roster = rosterOfTwo();
    expect(roster.read({ version: 1, count: 1, users: [ann] }, false)?.left).toEqual([bob]);
    expect(roster.hear({ version: 2, count: 2, joined: [bob] })?.joined).toEqual([bob]);
  });

  it('without names is a count', () => {
    const roster = new Roster();
    expect(roster.read({ version: 5, count: 700 }, false)).toEqual(NOBODY);
    expect(roster.count).toBe(700);
    expect(roster.hear({ version: 5, count: 1 })).toBeNull();
    expect(roster.count).toBe(700);
  });
});

describe('a push', () => {
  it('adds those who came, and removes those who left', () => {
    const roster = rosterOfTwo();
    expect(roster.hear({ version: 6, count: 2, joined: [cat], left: [ann] })).toEqual({
      joined: [cat],
      left: [ann],
      changed: [],
    });
    expect(namesIn(roster)).toEqual(['bob', 'cat']);
    expect(roster.count).toBe(2);
  });

  it.each([user('bob', { status: 'dnd' }), user('bob', { text: 'lunch' }), user('bob', { devices: 2 })])(
    'tells of a change: %j',
    (changed) => {
      const roster = rosterOfTwo();
      expect(roster.hear({ version: 6, count: 2, changed: [changed] })).toEqual({ ...NOBODY, changed: [changed] });
      expect(roster.users.get('bob')).toBe(changed);
    },
  );

  it('tells of nothing that is known', () => {
    const roster = rosterOfTwo();
    const said = { joined: [user('ann')], left: [cat], changed: [user('bob')] };
    expect(roster.hear({ version: 6, count: 2, ...said })).toEqual(NOBODY);
    expect(roster.isStale).toBe(false);
  });

  it('takes one who changed and is not known for one who came, and the other way about', () => {
    const roster = rosterOfTwo();
    const busy = user('ann', { status: 'dnd' });
    const change = roster.hear({ version: 6, count: 3, joined: [busy], changed: [cat] });
    expect(change).toEqual({ joined: [cat], left: [], changed: [busy] });
  });

  it('may come first', () => {
    const roster = new Roster();
    expect(roster.hear({ version: 1, count: 1, joined: [ann] })?.joined).toEqual([ann]);
    expect(roster.isStale).toBe(false);
  });

  it.each([5, 4])('of version %i says nothing that is new', (version) => {
    const roster = rosterOfTwo();
    expect(roster.hear({ version, count: 3, joined: [cat] })).toBeNull();
    expect(roster.count).toBe(2);
    expect(namesIn(roster)).toEqual(['ann', 'bob']);
  });

  it('without names makes the names stale, until they are read anew', () => {
    const roster = rosterOfTwo();
    expect(roster.isStale).toBe(false);
    expect(roster.hear({ version: 6, count: 300 })).toEqual(NOBODY);
    expect(roster.count).toBe(300);
    expect(roster.isStale).toBe(true);
    roster.read({ version: 5, count: 2, users: [ann] }, true);
    expect(roster.isStale).toBe(true);
    roster.read({ version: 6, count: 2, users: [ann] }, true);
    expect(roster.isStale).toBe(false);
  });

  it.each(['joined', 'left', 'changed'])('with %s alone has names', (list) => {
    const roster = rosterOfTwo();
    roster.hear({ version: 6, count: 2, [list]: [] });
    expect(roster.isStale).toBe(false);
  });
});

describe('a crowd', () => {
  const crowd = Array.from({ length: 501 }, (_, i) => user(`u${i}`));

  it('is known by 500 names', () => {
    const roster = new Roster();
    const change = roster.read({ version: 1, count: 501, users: crowd }, false);
    expect(change?.joined).toHaveLength(500);
    expect(roster.users.size).toBe(500);
    expect(roster.count).toBe(501);
  });

  it('takes another name when one has left', () => {
    const roster = new Roster();
    roster.read({ version: 1, count: 500, users: crowd.slice(0, 500) }, false);
    expect(roster.hear({ version: 2, count: 501, joined: [user('x')] })).toEqual(NOBODY);
    expect(roster.hear({ version: 3, count: 501, changed: [user('u7', { devices: 2 })] })?.changed).toHaveLength(1);
    const left = crowd.slice(0, 1);
    expect(roster.hear({ version: 4, count: 501, left, joined: [user('x')] })).toEqual({
      joined: [user('x')],
      left,
      changed: [],
    });
    expect(roster.users.size).toBe(500);
  });
});
