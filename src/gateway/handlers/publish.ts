import type { RoomLog } from '../../fanout/room-log.ts';
import { BOUNDS } from '../../protocol/bounds.ts';
import type { PublishCommand } from '../../protocol/commands.ts';
import { CommandError } from '../../protocol/errors.ts';
import { requirePublish } from '../access.ts';
import type { Session } from '../session.ts';

/** Milliseconds after which a publish whose predecessor failed may be resent: the one before it goes first. */
const FAILED_BEFORE_RETRY_MS = 100;

/** Appends a publish to the log and answers when it is durable and this node's own tail has had it. */
export async function publish(session: Session, command: PublishCommand, log: RoomLog): Promise<void> {
  const { room, mid, data, after } = command;
  const ended = session.publishBegun();
  // This attempt's outcome is what counts for whoever comes behind it, not an earlier one's.
  session.failedMids?.delete(midKey(room, mid));
  try {
    requirePublish(room);
    if (after !== undefined && session.failedMids?.has(midKey(room, after))) {
      throw new CommandError('overloaded', `after: the publish ${after} failed`, FAILED_BEFORE_RETRY_MS);
    }
    const { position, duplicate } = await log.append({ room, from: session.user, mid, data, after });
    session.reply('publish', command.id, { room, mid, epoch: position.epoch, offset: position.offset, duplicate });
  } catch (error) {
    rememberFailure(session, midKey(room, mid));
    throw error;
  } finally {
    ended();
  }
}

function rememberFailure(session: Session, key: string): void {
  session.failedMids ??= new Set();
  const failed = session.failedMids;
  failed.add(key);
  // A client can't have built on more publishes than it may have unanswered.
  for (const oldest of failed) {
    if (failed.size <= BOUNDS.publishesUnansweredMax) break;
    failed.delete(oldest);
  }
}

function midKey(room: string, mid: string): string {
  return `${room} ${mid}`;
}
