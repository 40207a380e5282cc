import type { Removal } from '../fanout/peers.ts';
import { type RoomsContext, removeFromRoom } from './handlers/rooms.ts';
import type { SessionRegistry } from './session-registry.ts';

/** Does a removal on this node. Returns how many living sessions it was. */
export function removeHere(removal: Removal, sessions: SessionRegistry, rooms: RoomsContext): number {
  if (removal.op === 'forget') {
    rooms.tracker.forget(removal.user, removal.device, removal.room);
    return 0;
  }
  const ofUser = sessions.ofUser(removal.user);
  if (removal.op === 'kick') {
    return ofUser.filter((session) => removeFromRoom(session, removal.room, 'kicked', rooms)).length;
  }
  for (const session of ofUser) session.disconnect(removal.reason, removal.words);
  return ofUser.length;
}
