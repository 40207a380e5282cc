import type { RoomLog } from '../../fanout/room-log.ts';
import type { Tally } from '../../observability/tally.ts';
import { BOUNDS } from '../../protocol/bounds.ts';
import type { PublishCommand } from '../../protocol/commands.ts';
import { CommandError } from '../../protocol/errors.ts';
import type { PublishReply } from '../../protocol/replies.ts';
import { type Caller, requirePublish } from '../access.ts';
import type { Session } from '../session.ts';

/** Milliseconds after which a publish whose predecessor failed may be resent: the one before it goes first. */
const FAILED_BEFORE_RETRY_MS = 100;

export interface AppendContext {
  readonly log: RoomLog;
  readonly tally: Tally;
}

/** Appends a publication, and tells where it stands when it is durable and this node's own tail has had it. */
export async function append(
  caller: Caller,
  { room, mid, data, after }: Pick<PublishCommand, 'room' | 'mid' | 'data' | 'after'>,
  { log, tally }: AppendContext,
): Promise<PublishReply> {
  requirePublish(caller, room);
  const startedMs = performance.now();
  const { position, duplicate } = await log.append({ room, from: caller.user, mid, data, after });
  tally.publishAppend.observeMs(performance.now() - startedMs);
  return { room, mid, epoch: position.epoch, offset: position.offset, duplicate };
}

/** A session's publish. `limited`: it came too fast, and fails with that. */
export async function publish(
  session: Session,
  command: PublishCommand,
  context: AppendContext,
  limited: CommandError | null,
): Promise<void> {
  const { room, mid, after } = command;
  const ended = session.gate.publishBegun();
  // This attempt's outcome is what counts for whoever comes behind it, not an earlier one's.
  session.failedMids?.delete(midKey(room, mid));
  try {
    if (after !== undefined && session.failedMids?.has(midKey(room, after))) {
      throw new CommandError('overloaded', `after: the publish ${after} failed`, FAILED_BEFORE_RETRY_MS);
    }
    if (limited !== null) throw limited;
    session.reply('publish', command.id, await append(session.identity, command, context));
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
