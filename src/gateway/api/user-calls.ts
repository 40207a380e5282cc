import { BOUNDS } from '../../protocol/bounds.ts';
import { DISCONNECTS, type DisconnectReason } from '../../protocol/disconnects.ts';
import { oneOf, optional, printable } from '../../protocol/fields.ts';
import { writeAnswer } from '../../protocol/writer.ts';
import { userPresence } from '../handlers/presence.ts';
import { type Call, getCall, postCall, writeRemoved } from './call.ts';

interface Disconnect {
  readonly code?: number;
  readonly reason?: string;
}

const REASONS: ReadonlyMap<number, DisconnectReason> = new Map(
  (Object.keys(DISCONNECTS) as DisconnectReason[]).map((reason) => [DISCONNECTS[reason].code, reason]),
);

export const USER_CALLS: readonly Call[] = [
  getCall('/api/v1/users/{user}/presence', {}, async (user, _query, { rooms }) =>
    writeAnswer('presence', await userPresence(user, rooms)),
  ),

  postCall<Disconnect>(
    '/api/v1/users/{user}/disconnect',
    { code: optional(oneOf([...REASONS.keys()])), reason: optional(printable(BOUNDS.disconnectReasonBytesMax)) },
    async (user, { code = DISCONNECTS.kicked.code, reason: words }, host) => {
      const reason = REASONS.get(code) ?? 'kicked';
      return writeRemoved(await host.remove({ op: 'disconnect', user, reason, words }));
    },
  ),
];
