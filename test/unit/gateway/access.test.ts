import { describe, expect, it } from 'vitest';
import {
  type Caller,
  mayHearRoom,
  mayHearUser,
  mayJoin,
  ownRoom,
  requireHearRoom,
  requireJoin,
  requirePublish,
} from '../../../src/gateway/access.ts';
import { Grants } from '../../../src/identity/grants.ts';
import { CommandError } from '../../../src/protocol/errors.ts';

function caller(user: string, patterns: Partial<Record<'join' | 'publish' | 'presence', readonly string[]>>): Caller {
  return { user, grants: Grants.of({ join: [], publish: [], presence: [], ...patterns }, user) };
}

const nobody = caller('ann', {});
const everybody = caller('ann', { join: ['**'], publish: ['**'], presence: ['**'] });
/** Neither own rooms nor other reserved ones: nobody's, and names that only look like an own room. */
const RESERVED = ['@', '@x', '@user', '@user/', '@users/ann', '@User/ann', '@@user/ann', '@/user/ann'];

function isRefused(require: (caller: Caller, room: string) => void, asking: Caller, room: string): boolean {
  try {
    require(asking, room);
    return false;
  } catch (error) {
    expect(error).toBeInstanceOf(CommandError);
    expect(error).toMatchObject({ code: 'forbidden', message: expect.stringContaining(room) });
    return true;
  }
}

describe('joining', () => {
  it('needs the grant', () => {
    const some = caller('ann', { join: ['tea/*'], publish: ['**'], presence: ['**'] });
    expect(mayJoin(some, 'tea/green')).toBe(true);
    expect(mayJoin(some, 'lobby')).toBe(false);
    expect(isRefused(requireJoin, some, 'tea/green')).toBe(false);
    expect(isRefused(requireJoin, some, 'lobby')).toBe(true);
  });

  it('of the own room needs none, and of another’s has none', () => {
    for (const asking of [nobody, everybody]) {
      expect(mayJoin(asking, '@user/ann')).toBe(true);
      for (const room of ['@user/bob', '@user/ann/x', '@user/an', '@user/Ann', '@user/ann2', ...RESERVED]) {
        expect(mayJoin(asking, room), room).toBe(false);
        expect(isRefused(requireJoin, asking, room)).toBe(true);
      }
    }
  });

  it('of a room with an @ elsewhere is as of any other', () => {
    expect(mayJoin(everybody, 'a@user/bob')).toBe(true);
    expect(mayJoin(nobody, 'a@user/ann')).toBe(false);
  });

  it('follows a user’s name, however it looks', () => {
    expect(ownRoom('bob/../ann')).toBe('@user/bob/../ann');
    expect(mayJoin(caller('bob/../ann', {}), '@user/ann')).toBe(false);
    expect(mayJoin(caller('@user/ann', {}), '@user/ann')).toBe(false);
    expect(mayJoin(caller('@user/ann', {}), '@user/@user/ann')).toBe(true);
  });
});

describe('publishing', () => {
  it('needs the grant, in one’s own room as well', () => {
    const some = caller('ann', { publish: ['tea/*', '@user/bob'] });
    expect(isRefused(requirePublish, some, 'tea/green')).toBe(false);
    expect(isRefused(requirePublish, some, '@user/bob')).toBe(false);
    for (const room of ['lobby', '@user/ann', '@user/cy']) expect(isRefused(requirePublish, some, room)).toBe(true);
    expect(isRefused(requirePublish, everybody, '@user/ann')).toBe(false);
    expect(isRefused(requirePublish, everybody, '@user/bob')).toBe(false);
  });

  it('to a reserved room that is nobody’s is refused, whatever is granted', () => {
    for (const room of RESERVED) expect(isRefused(requirePublish, everybody, room), room).toBe(true);
  });
});

describe('hearing who is there', () => {
  it('in a room needs the grant, and not the one to join', () => {
    const some = caller('ann', { presence: ['tea/*'] });
    expect(mayHearRoom(some, 'tea/green')).toBe(true);
    expect(mayJoin(some, 'tea/green')).toBe(false);
    expect(isRefused(requireHearRoom, some, 'tea/green')).toBe(false);
    expect(isRefused(requireHearRoom, caller('ann', { join: ['**'] }), 'tea/green')).toBe(true);
  });

  it('in a reserved room is for its user', () => {
    expect(mayHearRoom(nobody, '@user/ann')).toBe(true);
    for (const room of ['@user/bob', ...RESERVED]) {
      expect(mayHearRoom(everybody, room), room).toBe(false);
      expect(isRefused(requireHearRoom, everybody, room)).toBe(true);
    }
  });

  it('of a user needs the grant on their own room, and of oneself none', () => {
    expect(mayHearUser(nobody, 'ann')).toBe(true);
    expect(mayHearUser(nobody, 'bob')).toBe(false);
    expect(mayHearUser(everybody, 'bob')).toBe(true);
    const some = caller('ann', { presence: ['@user/team-*'] });
    expect(mayHearUser(some, 'team-1')).toBe(true);
    expect(mayHearUser(some, 'bob')).toBe(false);
    expect(mayHearUser(caller('ann', { presence: ['bob'] }), 'bob')).toBe(false);
  });
});
