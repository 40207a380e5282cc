import { randomUUID } from 'node:crypto';
import { BOUNDS } from '../../protocol/bounds.ts';
import { CommandError } from '../../protocol/errors.ts';
import { data, integer, mid, optional, required, user } from '../../protocol/fields.ts';
import type { Position } from '../../protocol/position.ts';
import { contradiction } from '../../protocol/reader.ts';
import { writeAnswer } from '../../protocol/writer.ts';
import { requireUnreserved } from '../access.ts';
import { roomPresence } from '../handlers/presence.ts';
import { append } from '../handlers/publish.ts';
import { historyPage } from '../handlers/rooms.ts';
import { type Call, getCall, postCall, writeRemoved } from './call.ts';
import { integerField, positionField, textField } from './query.ts';

interface Publish {
  readonly from: string;
  /** JSON text as it came. */
  readonly data: string;
  readonly mid?: string;
}

interface History {
  readonly before?: Position;
  readonly after?: Position;
  readonly limit: number;
}

/** A backend may do everything that reserved rooms don't forbid to all. */
const EVERYTHING = { allowsJoin: () => true, allowsPublish: () => true, allowsPresence: () => true };

export const ROOM_CALLS: readonly Call[] = [
  postCall<Publish>(
    '/api/v1/rooms/{room}/publish',
    { from: required(user), data: required(data(BOUNDS.dataBytesMax)), mid: optional(mid) },
    async (room, { from, data, mid = randomUUID() }, { rooms }, parent) => {
      const caller = { user: from, grants: EVERYTHING };
      return writeAnswer('publish', await append(caller, { room, mid, data }, rooms, parent));
    },
  ),

  getCall<{ after?: string }>(
    '/api/v1/rooms/{room}/presence',
    { after: textField(optional(user)) },
    async (room, { after }, { rooms }) => {
      requireUnreserved(room);
      return writeAnswer('presence', await roomPresence(room, after, rooms));
    },
  ),

  getCall<History>(
    '/api/v1/rooms/{room}/history',
    { before: positionField, after: positionField, limit: integerField(required(integer(1, BOUNDS.historyMax))) },
    async (room, query, { rooms }) => {
      const complaint = contradiction('history', query);
      if (complaint !== null) throw new CommandError('bad_request', complaint);
      requireUnreserved(room);
      let page: Buffer | null = null;
      await historyPage({ room, ...query }, rooms, (reply) => {
        page = writeAnswer('history', reply);
      });
      if (page === null) throw new Error('a page of history was not handed on');
      return page;
    },
  ),

  postCall<{ user: string }>('/api/v1/rooms/{room}/kick', { user: required(user) }, async (room, { user }, host) => {
    requireUnreserved(room);
    return writeRemoved(await host.remove({ op: 'kick', user, room }));
  }),
];
