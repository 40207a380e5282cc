import type { Grants } from '../identity/grants.ts';
import { CommandError } from '../protocol/errors.ts';

const RESERVED = '@';
const OWN_ROOMS = '@user/';

/** Who asks, and what their token or the configuration grants them. */
export interface Caller {
  readonly user: string;
  readonly grants: Pick<Grants, 'allowsJoin' | 'allowsPublish' | 'allowsPresence'>;
}

/** A user's own room, where others leave direct messages. */
export function ownRoom(user: string): string {
  return `${OWN_ROOMS}${user}`;
}

/** Whether a user may hear a room, its past and its present. The own room needs no grant, and others' can't have one. */
export function mayJoin({ user, grants }: Caller, room: string): boolean {
  return room.startsWith(RESERVED) ? room === ownRoom(user) : grants.allowsJoin(room);
}

/** Whether a user may hear who is in a room. */
export function mayHearRoom({ user, grants }: Caller, room: string): boolean {
  if (room.startsWith(RESERVED)) return room === ownRoom(user);
  return grants.allowsPresence(room);
}

/** Whether a user may hear of another one by a grant; having a room in common is another way. */
export function mayHearUser({ user, grants }: Caller, other: string): boolean {
  return user === other || grants.allowsPresence(ownRoom(other));
}

/** @throws CommandError `forbidden` */
export function requireJoin(caller: Caller, room: string): void {
  if (!mayJoin(caller, room)) throw new CommandError('forbidden', `room: ${room} is not yours to join`);
}

/** Of the reserved rooms there are users' own ones and no others, for backends as well. @throws CommandError `forbidden` */
export function requireUnreserved(room: string): void {
  const isSomebodys = room.startsWith(OWN_ROOMS) && room.length > OWN_ROOMS.length;
  if (room.startsWith(RESERVED) && !isSomebodys) throw new CommandError('forbidden', `room: ${room} is reserved`);
}

/** Whether a user may speak in a room. @throws CommandError `forbidden` */
export function requirePublish({ grants }: Caller, room: string): void {
  requireUnreserved(room);
  if (!grants.allowsPublish(room)) throw new CommandError('forbidden', `room: ${room} is not yours to publish to`);
}

/** @throws CommandError `forbidden` */
export function requireHearRoom(caller: Caller, room: string): void {
  if (!mayHearRoom(caller, room)) throw new CommandError('forbidden', `room: ${room} is not yours to look into`);
}
