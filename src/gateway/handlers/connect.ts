import { randomBytes } from 'node:crypto';
import type { ConnectCommand } from '../../protocol/commands.ts';
import { CommandError } from '../../protocol/errors.ts';
import type { ConnectReply } from '../../protocol/replies.ts';
import type { Session } from '../session.ts';
import type { SessionRegistry } from '../session-registry.ts';

/** What `connect`'s reply says of the node, the same for every session. */
export type NodeFacts = Omit<ConnectReply, 'session' | 'user' | 'device'>;

/** Gives an anonymous session its user and device. A live session of the same two is replaced. */
export function connect(session: Session, command: ConnectCommand, registry: SessionRegistry, facts: NodeFacts): void {
  if (session.state !== 'unconnected') throw new CommandError('bad_request', 'op: connected already');
  const user = command.user ?? `guest-${randomBytes(4).toString('hex')}`;
  const device = command.device ?? `device-${randomBytes(8).toString('hex')}`;
  registry.get(user, device)?.disconnect('replaced');
  session.connected(user, device);
  registry.connected(session);
  session.reply('connect', command.id, { ...facts, session: session.id, user, device });
}
