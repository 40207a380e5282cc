import { describe, expect, it } from 'vitest';
import { Entrance } from '../../../loadtest/crowd/entrance.ts';
import { shareOut } from '../../../loadtest/load-fleet.ts';
import { addressesOf } from '../../../loadtest/source-addresses.ts';

const take = (entrance: Entrance, times: number) => Array.from({ length: times }, () => entrance.next());

describe('an entrance', () => {
  it('leads in turn to the replicas that are ready, and to all where none is', () => {
    const entrance = new Entrance(['a', 'b', 'c'], 1);
    expect(take(entrance, 4)).toEqual(['b', 'c', 'a', 'b']);
    entrance.update([true, false, true]);
    expect(new Set(take(entrance, 4))).toEqual(new Set(['a', 'c']));
    entrance.update([false, false, false]);
    expect(new Set(take(entrance, 3))).toEqual(new Set(['a', 'b', 'c']));
  });
});

describe('the addresses that sessions come from', () => {
  const given = (url: string) => ({ urls: [new URL(url)], tcp: [], internals: [] });

  it('are loopback ones, for a gateway on loopback alone', () => {
    expect(addressesOf({ addresses: 2, given: undefined })).toEqual(['127.0.0.10', '127.0.0.11']);
    expect(addressesOf({ addresses: 1, given: given('ws://localhost:8080/ws') })).toEqual(['127.0.0.10']);
    expect(addressesOf({ addresses: 2, given: given('ws://chat.example/ws') })).toEqual([]);
    expect(addressesOf({ addresses: 2, given: given('ws://[::1]:8080/ws') })).toEqual([]);
  });
});

describe('what load processes share', () => {
  it('is shared out as evenly as can be, and whole', () => {
    expect(shareOut(10, 3)).toEqual([4, 3, 3]);
    expect(shareOut(2, 3).reduce((sum, share) => sum + share, 0)).toBe(2);
  });
});
