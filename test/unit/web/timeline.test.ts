import { describe, expect, it } from 'vitest';
import type { Message } from '../../../src/client/client.ts';
import { isFollowing, rowsOf } from '../../../web/message-rows.ts';
import { BEGINNING, isBehind } from '../../../web/read-mark.ts';
import { ENTRIES_MAX, gapEntry, messageEntry, pageEntries, Timeline, UNREAD_MAX } from '../../../web/timeline.ts';

const NOON = Date.UTC(2026, 10, 21, 12);

function message(offset: number, { epoch = 'e', from = 'bob', ts = NOON + offset } = {}): Message {
  return { room: 'r', epoch, offset, from, mid: `m${ts}`, ts, data: { text: `${offset}` } };
}

function entries(from: number, to: number) {
  return Array.from({ length: to - from }, (_, i) => messageEntry(message(from + i)));
}

function offsets(timeline: Timeline): number[] {
  return timeline.entries.map(({ offset }) => offset);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

function filled(from: number, to: number): Timeline {
  const timeline = new Timeline();
  for (const entry of entries(from, to)) timeline.append(entry, false);
  return timeline;
}

describe('a timeline', () => {
  it('takes each message once, also under the offsets of another epoch', () => {
    const timeline = filled(5, 8);
    expect(timeline.append(messageEntry(message(6)), false)).toBe(false);
    expect(timeline.append(messageEntry(message(0, { epoch: 'f', ts: NOON + 6 })), false)).toBe(false);
    expect(timeline.append(messageEntry(message(1, { epoch: 'f', ts: NOON + 9 })), false)).toBe(true);
    expect(offsets(timeline)).toEqual([5, 6, 7, 1]);
    expect(timeline.before).toEqual({ epoch: 'f', offset: 1 });
  });

  it('leaves out what a new epoch tells again from before its beginning', () => {
    const timeline = filled(5, 8);
    timeline.append(gapEntry({ from: null, to: { epoch: 'f', offset: -1 } }), false);
    for (const ts of [3, 4, 6]) timeline.append(messageEntry(message(ts, { epoch: 'f', ts: NOON + ts })), false);
    expect(offsets(timeline)).toEqual([5, 6, 7, -1]);
    timeline.prepend([messageEntry(message(3, { epoch: 'f', ts: NOON + 3 }))], { epoch: 'f', offset: 3 }, true);
    expect(offsets(timeline)).toEqual([3, 5, 6, 7, -1]);
  });

  it('lets go of the oldest while its end is followed, and can read them again', () => {
    const timeline = filled(0, ENTRIES_MAX);
    timeline.isAtStart = true;
    timeline.append(messageEntry(message(ENTRIES_MAX)), false);
    expect(offsets(timeline)).toEqual(range(1, ENTRIES_MAX + 1));
    expect(timeline).toMatchObject({ isAtStart: false, isDetached: false, before: { epoch: 'e', offset: 1 } });
    timeline.prepend(entries(0, 1), { epoch: 'e', offset: 0 }, true);
    expect(offsets(timeline)[0]).toBe(0);
  });

  it('lets go of the newest while older ones are read, and comes back to them', () => {
    const timeline = filled(500, 500 + ENTRIES_MAX);
    timeline.append(messageEntry(message(500 + ENTRIES_MAX)), true);
    expect(timeline.isDetached).toBe(true);
    expect(offsets(timeline)).toEqual(range(500, 500 + ENTRIES_MAX));
    timeline.prepend(entries(0, 500), { epoch: 'e', offset: 0 }, true);
    expect(offsets(timeline)).toEqual(range(0, ENTRIES_MAX));
    for (const entry of entries(501 + ENTRIES_MAX, 3_000)) timeline.append(entry, false);
    expect(offsets(timeline)).toEqual(range(0, ENTRIES_MAX));
    expect(timeline.newest?.offset).toBe(2_999);
    expect(timeline.unread({ epoch: 'e', offset: 2_990, ts: 0 }, 'ann')).toBe(9);
    timeline.attach();
    expect(offsets(timeline)).toEqual(range(2_800, 3_000));
    expect(timeline).toMatchObject({ isAtStart: false, isDetached: false, before: { epoch: 'e', offset: 2_800 } });
    // What was let go of can come in again.
    timeline.prepend(entries(2_000, 2_800), { epoch: 'e', offset: 2_000 }, false);
    expect(offsets(timeline)).toEqual(range(2_000, 3_000));
    timeline.shrink();
    timeline.prepend(entries(900, 1_000), { epoch: 'e', offset: 900 }, false);
    expect(offsets(timeline)).toEqual([...range(900, 1_000), ...range(2_800, 3_000)]);
  });

  it('keeps less of what nobody looks at', () => {
    const timeline = filled(0, 900);
    timeline.shrink();
    expect(offsets(timeline)).toEqual(range(700, 900));
    expect(timeline.before).toEqual({ epoch: 'e', offset: 700 });
  });

  it('counts what others have said behind the mark, up to a bound', () => {
    const timeline = filled(0, 50);
    timeline.append(messageEntry(message(50, { from: 'ann' })), false);
    expect(timeline.unread(messageEntry(message(39)), 'ann')).toBe(10);
    expect(timeline.unread(null, 'ann')).toBe(50);
    expect(filled(0, 500).unread(BEGINNING, 'ann')).toBe(UNREAD_MAX);
  });
});

describe('a read mark', () => {
  it('compares offsets within an epoch, and times where these differ', () => {
    const mark = { epoch: 'e', offset: 5, ts: 100 };
    expect(isBehind(mark, { epoch: 'e', offset: 6, ts: 50 })).toBe(true);
    expect(isBehind(mark, { epoch: 'e', offset: 5, ts: 200 })).toBe(false);
    expect(isBehind(mark, { epoch: 'f', offset: 1, ts: 101 })).toBe(true);
    expect(isBehind(mark, { epoch: 'f', offset: 9, ts: 100 })).toBe(false);
    expect(isBehind(null, mark)).toBe(true);
  });
});

describe('rows', () => {
  const kinds = (...args: Parameters<typeof rowsOf>) =>
    rowsOf(...args).map((row) => (row.kind === 'message' && row.follows ? 'follows' : row.kind));

  it('put together what one user says in a short time on one day', () => {
    const bob = { from: 'bob', ts: NOON };
    expect(isFollowing(bob, { from: 'bob', ts: NOON + 4 * 60_000 })).toBe(true);
    expect(isFollowing(bob, { from: 'bob', ts: NOON + 6 * 60_000 })).toBe(false);
    expect(isFollowing(bob, { from: 'ann', ts: NOON })).toBe(false);
    const days = [message(1), message(2), message(3, { ts: NOON + 86_400_000 })].map(messageEntry);
    expect(kinds(days, null, 'ann')).toEqual(['day', 'message', 'follows', 'day', 'message']);
  });

  it('draw one line before what is unread, and none before what one said oneself', () => {
    const said = [message(1), message(2, { from: 'ann' }), message(3), message(4)].map(messageEntry);
    expect(kinds(said, messageEntry(message(1)), 'ann')).toEqual([
      ...['day', 'message', 'message', 'new', 'message', 'follows'],
    ]);
    expect(kinds(said, messageEntry(message(4)), 'ann')).not.toContain('new');
  });

  it('show a gap once, behind the messages of its page that are older', () => {
    const gap = { from: { epoch: 'e', offset: 2 }, to: { epoch: 'e', offset: 4 } };
    const page = pageEntries([message(1), message(2), message(5)], gap);
    expect(kinds(page, null, 'ann')).toEqual(['day', 'message', 'follows', 'gap', 'message']);
    const next = gapEntry({ from: null, to: { epoch: 'e', offset: 3 } });
    expect(kinds([...page.slice(0, 2), next, ...page.slice(2)], null, 'ann')).toEqual([
      ...['day', 'message', 'follows', 'gap', 'message'],
    ]);
  });
});
