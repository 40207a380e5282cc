import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { aggregate, countDevices, type SessionStatus, seenAlike } from '../../../src/presence/user-aggregate.ts';
import { STATUSES } from '../../../src/protocol/presence-state.ts';

const phone: SessionStatus = { device: 'phone', session: 's1', status: 'online', text: 'on the train', atMs: 5 };
const desk: SessionStatus = { device: 'desk', session: 's2', status: 'online', text: 'at my desk', atMs: 3 };

describe('aggregate', () => {
  test('is offline without a session', () => {
    expect(aggregate('ann', [])).toStrictEqual({ user: 'ann', status: 'offline', devices: 0 });
  });

  test('ranks dnd before online before away, each with its own text', () => {
    const away: SessionStatus = { device: 'tv', session: 's3', status: 'away', text: 'film', atMs: 9 };
    const dnd: SessionStatus = { device: 'pad', session: 's4', status: 'dnd', text: 'busy', atMs: 1 };
    expect(aggregate('ann', [away])).toStrictEqual({ user: 'ann', status: 'away', text: 'film', devices: 1 });
    expect(aggregate('ann', [away, desk])).toMatchObject({ status: 'online', text: 'at my desk', devices: 2 });
    expect(aggregate('ann', [away, dnd, desk])).toMatchObject({ status: 'dnd', text: 'busy', devices: 3 });
  });

  test('takes the text that was set last, and none where the last one set none', () => {
    expect(aggregate('ann', [desk, phone]).text).toBe('on the train');
    const silent: SessionStatus = { device: 'pad', session: 's3', status: 'online', atMs: 7 };
    expect(aggregate('ann', [desk, silent, phone])).toStrictEqual({ user: 'ann', status: 'online', devices: 3 });
  });

  test('takes the first device by name of those that were set at the same time', () => {
    expect(aggregate('ann', [{ ...phone, atMs: 3 }, desk]).text).toBe('at my desk');
  });

  test('takes of a device the session whose status was set last, even if another one is stronger', () => {
    const before: SessionStatus = { ...phone, session: 's0', status: 'dnd', text: 'busy', atMs: 4 };
    for (const sessions of [
      [phone, before],
      [before, phone],
    ]) {
      const state = { user: 'ann', status: 'online', text: 'on the train', devices: 1 };
      expect(aggregate('ann', sessions)).toStrictEqual(state);
      const away: SessionStatus = { device: 'desk', session: 's2', status: 'away', atMs: 9 };
      expect(aggregate('ann', [away, ...sessions])).toStrictEqual({ ...state, devices: 2 });
    }
  });

  test('takes the first session by name of those of a device that were set at the same time', () => {
    const twin: SessionStatus = { ...phone, session: 's0', status: 'away', text: 'twin' };
    expect(aggregate('ann', [phone, twin])).toMatchObject({ status: 'away', text: 'twin', devices: 1 });
    expect(aggregate('ann', [twin, phone])).toMatchObject({ status: 'away', text: 'twin', devices: 1 });
  });
});

const sessionLists = fc.uniqueArray(
  fc.record(
    {
      device: fc.constantFrom('a', 'b', 'c'),
      session: fc.constantFrom('s1', 's2', 's3', 's4', 's5', 's6'),
      status: fc.constantFrom(...STATUSES),
      text: fc.constantFrom('x', 'y', 'z'),
      atMs: fc.integer({ min: 0, max: 2 }),
    },
    { requiredKeys: ['device', 'session', 'status', 'atMs'] },
  ),
  { selector: ({ session }) => session },
);

describe('properties', () => {
  test('an aggregate depends on the sessions alone, not on their order', () => {
    const shuffled = sessionLists.chain((sessions) =>
      fc.tuple(fc.constant(sessions), fc.shuffledSubarray(sessions, { minLength: sessions.length })),
    );
    fc.assert(
      fc.property(shuffled, ([sessions, others]) => {
        expect(aggregate('ann', others)).toStrictEqual(aggregate('ann', sessions));
      }),
    );
  });

  test('it is the first when the latest of each device are sorted by strength, time and name', () => {
    const strength = ['dnd', 'online', 'away'];
    fc.assert(
      fc.property(sessionLists, (sessions) => {
        const latest = sessions.filter(
          (each) =>
            !sessions.some(
              ({ device, session, atMs }) =>
                device === each.device && (atMs > each.atMs || (atMs === each.atMs && session < each.session)),
            ),
        );
        const [first] = [...latest].sort(
          (a, b) =>
            strength.indexOf(a.status) - strength.indexOf(b.status) ||
            b.atMs - a.atMs ||
            a.device.localeCompare(b.device),
        );
        const { status, text, devices: count } = aggregate('ann', sessions);
        expect({ status, text, count }).toEqual({
          status: first?.status ?? 'offline',
          text: first?.text,
          count: latest.length,
        });
        expect(countDevices(sessions)).toBe(latest.length);
      }),
    );
  });
});

describe('seenAlike', () => {
  const state = aggregate('ann', [phone]);

  test('holds for equal states, whichever devices made them', () => {
    expect(seenAlike(state, aggregate('ann', [{ ...desk, text: 'on the train' }]))).toBe(true);
    expect(seenAlike(aggregate('ann', []), aggregate('ann', []))).toBe(true);
  });

  test('fails where status, text or the number of devices differ', () => {
    expect(seenAlike(state, { ...state, status: 'dnd' })).toBe(false);
    expect(seenAlike(state, { ...state, text: 'elsewhere' })).toBe(false);
    expect(seenAlike(state, { user: 'ann', status: 'online', devices: 1 })).toBe(false);
    expect(seenAlike(state, { ...state, devices: 2 })).toBe(false);
  });
});
