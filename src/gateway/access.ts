import { CommandError } from '../protocol/errors.ts';

const RESERVED = '@';
const OWN_ROOMS = '@user/';

/** A user's own room, where others leave direct messages. */
export function ownRoom(user: string): string {
  return `${OWN_ROOMS}${user}`;
}

/** Whether a user may hear a room: its past and its present. @throws CommandError `forbidden` */
export function requireJoin(user: string, room: string): void {
  if (!room.startsWith(RESERVED) || room === ownRoom(user)) return;
  throw new CommandError('forbidden', `room: ${room} is not yours to join`);
}

/** Whether a user may speak in a room. @throws CommandError `forbidden` */
export function requirePublish(room: string): void {
  if (!room.startsWith(RESERVED) || (room.startsWith(OWN_ROOMS) && room.length > OWN_ROOMS.length)) return;
  throw new CommandError('forbidden', `room: ${room} is reserved`);
}
