import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GRANT_BOUNDS, Grants, GrantsError } from '../../../src/identity/grants.ts';

function grant(pattern: string, user = 'ann'): Grants {
  return Grants.of({ join: [pattern], publish: [], presence: [] }, user);
}

/** The definition as it is written: exponential, and by other means than the one under test. */
function reference(pattern: string, room: string, user: string): boolean {
  if (pattern === '') return room === '';
  if (pattern.startsWith('{user}')) {
    return room.startsWith(user) && reference(pattern.slice(6), room.slice(user.length), user);
  }
  if (pattern.startsWith('**')) {
    return reference(pattern.slice(2), room, user) || (room !== '' && reference(pattern, room.slice(1), user));
  }
  if (pattern.startsWith('*')) {
    if (reference(pattern.slice(1), room, user)) return true;
    return room !== '' && room[0] !== '/' && reference(pattern, room.slice(1), user);
  }
  return room !== '' && pattern[0] === room[0] && reference(pattern.slice(1), room.slice(1), user);
}

describe('a pattern', () => {
  test.each([
    ['team', 'team', true],
    ['team', 'team/a', false],
    ['team', 'tea', false],
    ['team/*', 'team/', true],
    ['team/*', 'team/a', true],
    ['team/*', 'team/a/b', false],
    ['team/*', 'team', false],
    ['team/**', 'team/', true],
    ['team/**', 'team/a/b', true],
    ['team/**', 'team', false],
    ['**', 'any/thing', true],
    ['*', 'any', true],
    ['*', 'any/thing', false],
    ['***', 'any/thing', true],
    ['*/*', 'a/b', true],
    ['*/*', 'a/b/c', false],
    ['*/**/z', 'a/b/c/z', true],
    ['*/**/z', 'a/z', false],
    ['*a/b', 'xaa/b', true],
    ['a*b*c', 'abbc', true],
    ['a*b*c', 'abb/c', false],
    ['**/log', 'a/log/b/log', true],
    ['**/log', 'log', false],
    ['TEAM', 'team', false],
    ['a.b', 'axb', false],
    ['[a-z]+', 'team', false],
    ['{room}', 'team', false],
  ])('%s against %s: %s', (pattern, room, expected) => {
    expect(grant(pattern).allowsJoin(room)).toBe(expected);
    expect(reference(pattern, room, 'ann')).toBe(expected);
  });

  test('agrees with the definition', () => {
    const pieces = fc.array(fc.constantFrom('a', 'b', '/', '.', '*', '**', '{user}', 'ab'), {
      minLength: 1,
      maxLength: 7,
    });
    const rooms = fc.array(fc.constantFrom('a', 'b', '/', '.'), { maxLength: 9 }).map((parts) => parts.join(''));
    const users = fc.constantFrom('a', 'ab', 'a.b', 'a/b', '/', '*', '**', '{user}', 'a*');
    const property = fc.property(pieces, rooms, users, (parts, room, user) => {
      const pattern = parts.join('');
      expect(grant(pattern, user).allowsJoin(room)).toBe(reference(pattern, room, user));
    });
    fc.assert(property, { numRuns: 5_000 });
  });

  test('holds the user letter by letter', () => {
    expect(grant('@user/{user}', 'a.b').allowsJoin('@user/a.b')).toBe(true);
    expect(grant('@user/{user}', 'a.b').allowsJoin('@user/axb')).toBe(false);
    expect(grant('of/{user}/{user}', 'x/y').allowsJoin('of/x/y/x/y')).toBe(true);
    expect(grant('of/{user}/*', 'x/y').allowsJoin('of/x/y/z')).toBe(true);
    expect(grant('of/{user}/*', 'x').allowsJoin('of/x/y/z')).toBe(false);
    // Names that the protocol does not allow, and that would widen the grant if they were read as patterns.
    expect(grant('of/{user}', '**').allowsJoin('of/ann')).toBe(false);
    expect(grant('of/{user}', '**').allowsJoin('of/**')).toBe(true);
    expect(grant('of/*{user}', '*').allowsJoin('of/a/b')).toBe(false);
    expect(grant('{user}', '{user}').allowsJoin('{user}')).toBe(true);
  });

  test('takes no exponential time', () => {
    // A backtracking match would not be done before the sun is.
    for (const star of ['*', '**']) {
      const pattern = `${`${star}a`.repeat(60)}${star}b`;
      expect(grant(pattern).allowsJoin('a'.repeat(128))).toBe(false);
      expect(grant(pattern).allowsJoin(`${'a'.repeat(127)}b`)).toBe(true);
    }
    const mixed = '**a*a'.repeat(40);
    expect(grant(mixed).allowsJoin(`${'a/'.repeat(64)}`)).toBe(false);
  });

  test('matches names of the greatest length, and none that the user makes longer', () => {
    const user = 'u'.repeat(120);
    expect(grant('r/{user}/*', user).allowsJoin(`r/${user}/12345`)).toBe(true);
    expect(grant('r'.repeat(128)).allowsJoin('r'.repeat(128))).toBe(true);
    expect(grant('{user}{user}', user).allowsJoin(user + user)).toBe(false);
  });
});

describe('grants', () => {
  test('are apart for joining, publishing and presence', () => {
    const grants = Grants.of({ join: ['j', '**/all'], publish: ['p'], presence: ['**'] }, 'ann');
    expect([grants.allowsJoin('j'), grants.allowsPublish('j'), grants.allowsPresence('j')]).toEqual([
      true,
      false,
      true,
    ]);
    expect([grants.allowsJoin('p'), grants.allowsPublish('p'), grants.allowsPresence('p')]).toEqual([
      false,
      true,
      true,
    ]);
    expect(grants.allowsJoin('x/all')).toBe(true);
  });

  test.each([undefined, {}, { join: [] }, { rooms: ['**'] }])('are none for %j', (claim) => {
    const grants = Grants.fromClaim(claim, 'ann');
    for (const room of ['', 'a', '@user/ann']) {
      expect(grants.allowsJoin(room) || grants.allowsPublish(room) || grants.allowsPresence(room)).toBe(false);
    }
  });

  test('ignore keys that are not known', () => {
    const grants = Grants.fromClaim({ join: ['a'], admin: true, publish: ['b'] }, 'ann');
    expect([grants.allowsJoin('a'), grants.allowsPublish('b'), grants.allowsPresence('a')]).toEqual([
      true,
      true,
      false,
    ]);
  });

  test.each([
    null,
    true,
    '**',
    [],
    [['**']],
    { join: null },
    { join: '**' },
    { join: { 0: '**', length: 1 } },
    { publish: [1] },
    { presence: [['**']] },
    { join: ['a', null] },
    { join: [''] },
    { join: ['caf\u00e9'] },
    { join: ['a\n'] },
    { join: ['**', 7] },
    { join: ['a'.repeat(GRANT_BOUNDS.patternBytesMax + 1)] },
    { join: Array.from({ length: GRANT_BOUNDS.patternsMax + 1 }, () => '**') },
  ])('are refused as a whole where malformed: %j', (claim) => {
    expect(() => Grants.fromClaim(claim, 'ann')).toThrow(GrantsError);
  });

  test('may be as many and as long as the bounds say', () => {
    const long = `${'*'.repeat(GRANT_BOUNDS.patternBytesMax - 1)}z`;
    const join = [...Array.from({ length: GRANT_BOUNDS.patternsMax - 1 }, (_, i) => `room-${i}`), long];
    const grants = Grants.fromClaim({ join }, 'ann');
    expect([grants.allowsJoin('room-98'), grants.allowsJoin('a/z'), grants.allowsJoin('room-99')]).toEqual([
      true,
      true,
      false,
    ]);
  });

  test('say in words what is wrong, without the pattern', () => {
    expect(() => Grants.fromClaim({ publish: ['s\u00e9cret'] }, 'ann')).toThrow(
      '"publish" holds a pattern that is not 1 to 256 printable ASCII bytes',
    );
  });
});
