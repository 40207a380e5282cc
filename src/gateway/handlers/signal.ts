import type { Hub } from '../../fanout/hub.ts';
import type { Peers } from '../../fanout/peers.ts';
import type { SignalCommand } from '../../protocol/commands.ts';
import { CommandError } from '../../protocol/errors.ts';
import { requirePublish } from '../access.ts';
import { membershipIn } from '../membership.ts';
import type { Session } from '../session.ts';

/** Tells a room's live sessions something that is gone the next moment, such as that somebody types. At most once. */
export function signal(session: Session, { id, room, data }: SignalCommand, hub: Hub, peers: Peers): void {
  if (membershipIn(session.memberships, room) === undefined)
    throw new CommandError('not_joined', `room: ${room} is not joined`);
  requirePublish(session.identity, room);
  const said = { room, from: session.user, data };
  hub.signal(said);
  peers.signal(said);
  session.reply('signal', id, { room });
}
