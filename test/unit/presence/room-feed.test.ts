import { describe, expect, test } from 'vitest';
import type { RoomChange } from '../../../src/presence/presence-store.ts';
import { RoomFeed, RoomWatch } from '../../../src/presence/room-feed.ts';
import { ndjsonDialect } from '../../../src/protocol/json-dialect.ts';
import type { UserState } from '../../../src/protocol/presence-state.ts';

const ANN: UserState = { user: 'ann', status: 'online', devices: 1 };
const BOB: UserState = { user: 'bob', status: 'away', devices: 2 };

/** What a reader of everything is told of these changes, those of each list in one push. */
function toldOf(...pushes: readonly (readonly RoomChange[])[]): unknown[] {
  const told: unknown[] = [];
  const feed = new RoomFeed('r', () => {});
  const push = (chunk: Buffer) => void told.push(JSON.parse(chunk.toString()));
  const watch = new RoomWatch({ framing: ndjsonDialect.framing, push }, 'full');
  feed.watches.add(watch);
  watch.begin({ version: 1, count: 0 });
  for (const changes of pushes) {
    for (const change of changes) feed.add(change);
    feed.tell(true);
  }
  return told;
}

function joined(user: UserState, version: number, partial: boolean): RoomChange {
  return { room: 'r', version, count: version - 1, names: { joined: [user], left: [], changed: [] }, partial };
}

describe('a push', () => {
  test('says whether it is known from this replica alone', () => {
    expect(toldOf([joined(ANN, 2, true)], [joined(BOB, 3, false)])).toMatchObject([
      { version: 2, count: 1, partial: true, joined: [ANN] },
      { version: 3, count: 2, partial: false, joined: [BOB] },
    ]);
  });

  test('says so if it is so at last', () => {
    expect(toldOf([joined(ANN, 2, false), joined(BOB, 3, true)])).toMatchObject([
      { version: 3, partial: true, joined: [ANN, BOB] },
    ]);
  });

  test('is a whole if it is so at last, and then names nobody who was known in part', () => {
    const [push] = toldOf([joined(ANN, 2, true), joined(BOB, 3, false)]);
    expect(push).toMatchObject({ version: 3, partial: false });
    // Nothing more is told of the room: it must not be left as partial.
    expect(push).not.toHaveProperty('joined');
  });

  test('says no more of names that it does not tell', () => {
    const unknown: RoomChange = { room: 'r', version: 3, count: 7, names: null, partial: false };
    const [push] = toldOf([joined(ANN, 2, true), unknown]);
    expect(push).toMatchObject({ version: 3, count: 7, partial: false });
    expect(push).not.toHaveProperty('joined');
  });
});
