import type { Appended, AppendRequest, RoomLog } from '../../fanout/room-log.ts';
import type { Tally } from '../../observability/tally.ts';
import type { PublishTrace, TraceIds, Tracing } from '../../observability/tracing.ts';
import { BOUNDS } from '../../protocol/bounds.ts';
import type { PublishCommand } from '../../protocol/commands.ts';
import { CommandError } from '../../protocol/errors.ts';
import type { PublishReply } from '../../protocol/replies.ts';
import type { TraceContext } from '../../protocol/traceparent.ts';
import { type Caller, requirePublish } from '../access.ts';
import type { Session } from '../session.ts';

/** Milliseconds after which a publish whose predecessor failed may be resent: the one before it goes first. */
const FAILED_BEFORE_RETRY_MS = 100;

export interface AppendContext {
  readonly log: RoomLog;
  readonly tally: Tally;
  /** undefined: nothing is traced. */
  readonly tracing: Tracing | undefined;
  /** What is answered where the publish of a trace has failed. */
  failureOf(error: unknown, trace: TraceIds): CommandError;
}

type Publish = Pick<PublishCommand, 'room' | 'mid' | 'data' | 'after'>;

/**
 * Appends a publication, and tells where it stands when it is durable and this node's own tail has had it.
 *
 * @param parent where the caller's trace stands, if it has told one
 */
export async function append(
  caller: Caller,
  publish: Publish,
  context: AppendContext,
  parent: TraceContext | null,
): Promise<PublishReply> {
  const { log, tally, tracing } = context;
  const trace = tracing?.publishing('api', parent);
  try {
    requirePublish(caller, publish.room);
    const startedMs = performance.now();
    const appended = await log.append(requestOf(caller, publish, trace));
    tally.publishAppend.observeMs(performance.now() - startedMs, trace?.ids);
    trace?.succeeded(appended);
    return replyOf(publish, appended);
  } catch (error) {
    if (trace === undefined) throw error;
    trace.failed(error);
    throw context.failureOf(error, trace.ids);
  }
}

/** Where sessions' publishes go, and who hears how they end. */
export interface PublishContext extends AppendContext {
  /** To be answered with what went wrong. */
  failed(session: Session, id: number, error: unknown, trace: TraceIds | undefined): void;
  /** A publish that was under way is answered. */
  ended(session: Session): void;
}

/**
 * A session's publish: {@link append} with no promise but the log's and one behind it, since each costs. `limited`: it
 * came too fast, and fails with that.
 */
export function publish(
  session: Session,
  command: PublishCommand,
  context: PublishContext,
  limited: CommandError | null,
): void {
  // This attempt's outcome is what counts for whoever comes behind it, not an earlier one's.
  session.failedMids?.delete(midKey(command.room, command.mid));
  const trace = context.tracing?.publishing(session.framing.name, null);
  try {
    const startedMs = performance.now();
    const appending = begin(session, command, context.log, limited, trace);
    session.gate.publishBegun();
    appending.then(
      (appended) => {
        context.tally.publishAppend.observeMs(performance.now() - startedMs, trace?.ids);
        succeed(session, command, context, appended, trace);
      },
      (error: unknown) => {
        fail(session, command, context, error, trace);
        session.gate.publishEnded();
        context.ended(session);
      },
    );
  } catch (error) {
    fail(session, command, context, error, trace);
  }
}

function begin(
  session: Session,
  command: PublishCommand,
  log: RoomLog,
  limited: CommandError | null,
  trace: PublishTrace | undefined,
): Promise<Appended> {
  const { room, after } = command;
  if (after !== undefined && session.failedMids?.has(midKey(room, after))) {
    throw new CommandError('overloaded', `after: the publish ${after} failed`, FAILED_BEFORE_RETRY_MS);
  }
  if (limited !== null) throw limited;
  requirePublish(session.identity, room);
  return log.append(requestOf(session.identity, command, trace));
}

function succeed(
  session: Session,
  command: PublishCommand,
  context: PublishContext,
  appended: Appended,
  trace: PublishTrace | undefined,
): void {
  try {
    session.reply('publish', command.id, replyOf(command, appended));
    trace?.succeeded(appended);
  } catch (error) {
    fail(session, command, context, error, trace);
  }
  session.gate.publishEnded();
  context.ended(session);
}

function fail(
  session: Session,
  { id, room, mid }: PublishCommand,
  context: PublishContext,
  error: unknown,
  trace: PublishTrace | undefined,
): void {
  trace?.failed(error);
  rememberFailure(session, midKey(room, mid));
  context.failed(session, id, error, trace?.ids);
}

function requestOf(
  { user }: Caller,
  { room, mid, data, after }: Publish,
  trace: PublishTrace | undefined,
): AppendRequest {
  return { room, from: user, mid, data, after, trace };
}

function replyOf({ room, mid }: Publish, { position, duplicate }: Appended): PublishReply {
  return { room, mid, epoch: position.epoch, offset: position.offset, duplicate };
}

function rememberFailure(session: Session, key: string): void {
  session.failedMids ??= new Set();
  const failed = session.failedMids;
  // A copy: the names may be slices of a line, which would be kept as a whole.
  failed.add(Buffer.from(key).toString());
  // A client can't have built on more publishes than it may have unanswered.
  for (const oldest of failed) {
    if (failed.size <= BOUNDS.publishesUnansweredMax) break;
    failed.delete(oldest);
  }
}

function midKey(room: string, mid: string): string {
  return `${room} ${mid}`;
}
