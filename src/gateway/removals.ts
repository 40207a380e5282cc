import type { Removal } from '../fanout/peers.ts';
import { type RoomsContext, removeFromRoom } from './handlers/rooms.ts';
import type { SessionRegistry } from './session-registry.ts';

/** Ends a user's sessions of this node, or takes them out of a room. Returns how many it was. */
export function removeHere(removal: Removal, sessions: SessionRegistry, rooms: RoomsContext): number {
  const ofUser = sessions.ofUser(removal.user);
  if (removal.op === 'kick') {
    return ofUser.filter((session) => removeFromRoom(session, removal.room, 'kicked', rooms)).length;
  }
  for (const session of ofUser) session.disconnect(removal.reason, removal.words);
  return ofUser.length;
}
