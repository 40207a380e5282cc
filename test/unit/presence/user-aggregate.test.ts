import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { STATUSES } from '../../../src/presence/presence-state.ts';
import { aggregate, type DeviceStatus, seenAlike } from '../../../src/presence/user-aggregate.ts';

const phone: DeviceStatus = { device: 'phone', status: 'online', text: 'on the train', atMs: 5 };
const desk: DeviceStatus = { device: 'desk', status: 'online', text: 'at my desk', atMs: 3 };

describe('aggregate', () => {
  test('is offline without a device', () => {
    expect(aggregate('ann', [])).toStrictEqual({ user: 'ann', status: 'offline', devices: 0 });
  });

  test('ranks dnd before online before away, each with its own text', () => {
    const away: DeviceStatus = { device: 'tv', status: 'away', text: 'film', atMs: 9 };
    const dnd: DeviceStatus = { device: 'pad', status: 'dnd', text: 'busy', atMs: 1 };
    expect(aggregate('ann', [away])).toStrictEqual({ user: 'ann', status: 'away', text: 'film', devices: 1 });
    expect(aggregate('ann', [away, desk])).toMatchObject({ status: 'online', text: 'at my desk', devices: 2 });
    expect(aggregate('ann', [away, dnd, desk])).toMatchObject({ status: 'dnd', text: 'busy', devices: 3 });
  });

  test('takes the text that was set last, and none where the last one set none', () => {
    expect(aggregate('ann', [desk, phone]).text).toBe('on the train');
    const silent: DeviceStatus = { device: 'pad', status: 'online', atMs: 7 };
    expect(aggregate('ann', [desk, silent, phone])).toStrictEqual({ user: 'ann', status: 'online', devices: 3 });
  });

  test('takes the first device by name of those that were set at the same time', () => {
    expect(aggregate('ann', [{ ...phone, atMs: 3 }, desk]).text).toBe('at my desk');
  });
});

const deviceLists = fc.uniqueArray(
  fc.record(
    {
      device: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      status: fc.constantFrom(...STATUSES),
      text: fc.constantFrom('x', 'y', 'z'),
      atMs: fc.integer({ min: 0, max: 2 }),
    },
    { requiredKeys: ['device', 'status', 'atMs'] },
  ),
  { selector: ({ device }) => device },
);

describe('properties', () => {
  test('an aggregate depends on the devices alone, not on their order', () => {
    const shuffled = deviceLists.chain((devices) =>
      fc.tuple(fc.constant(devices), fc.shuffledSubarray(devices, { minLength: devices.length })),
    );
    fc.assert(
      fc.property(shuffled, ([devices, others]) => {
        expect(aggregate('ann', others)).toStrictEqual(aggregate('ann', devices));
      }),
    );
  });

  test('it is the first device when they are sorted by strength, time and name', () => {
    const strength = ['dnd', 'online', 'away'];
    fc.assert(
      fc.property(deviceLists, (devices) => {
        const [first] = [...devices].sort(
          (a, b) =>
            strength.indexOf(a.status) - strength.indexOf(b.status) ||
            b.atMs - a.atMs ||
            a.device.localeCompare(b.device),
        );
        const { status, text, devices: count } = aggregate('ann', devices);
        expect({ status, text, count }).toEqual({
          status: first?.status ?? 'offline',
          text: first?.text,
          count: devices.length,
        });
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
