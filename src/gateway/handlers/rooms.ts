import { type CaughtUp, continueToPresent, newestToPresent } from '../../fanout/catch-up.ts';
import type { Hub, Reading, Subscription } from '../../fanout/hub.ts';
import type { Page, ReadRequest, RoomLog } from '../../fanout/room-log.ts';
import { BOUNDS } from '../../protocol/bounds.ts';
import type { HistoryCommand, JoinCommand, LeaveCommand } from '../../protocol/commands.ts';
import { CommandError } from '../../protocol/errors.ts';
import type { Position } from '../../protocol/position.ts';
import type { JoinReply } from '../../protocol/replies.ts';
import { requireJoin } from '../access.ts';
import type { DeadlineQueue } from '../deadline-queue.ts';
import type { UnsharedBytes } from '../outbox.ts';
import type { Session } from '../session.ts';

export interface RoomsContext {
  readonly log: RoomLog;
  readonly hub: Hub;
  readonly unshared: UnsharedBytes;
  /** Subscriptions that are catching up, each until its next page must have been asked for. */
  readonly catchingUp: DeadlineQueue<Subscription>;
}

const OVERLOADED_RETRY_MS = 1_000;

/** Adds the session to a room: at once, or after the messages that it asked for. */
export async function join(session: Session, command: JoinCommand, context: RoomsContext): Promise<void> {
  const { room, since, history } = command;
  requireJoin(session.user, room);
  const { log, hub } = context;
  session.subscriptions ??= new Map();
  const { subscriptions } = session;
  const previous = subscriptions.get(room);
  if (previous !== undefined && previous.state !== 'suspended') {
    throw new CommandError('already_joined', `room: ${room} is joined already`);
  }
  if (previous === undefined && subscriptions.size >= BOUNDS.roomsMax) {
    throw new CommandError('limit_exceeded', `room: a session may join ${BOUNDS.roomsMax} rooms`);
  }

  const end = hub.end(room);
  const isPresent = since?.epoch === log.epoch && since.offset === end;
  const needsRead = since === undefined ? history !== undefined && history > 0 : !isPresent;
  const subscription = previous ?? hub.subscribe(session, room);
  subscriptions.set(room, subscription);
  if (!needsRead) {
    subscription.goLive(end);
    session.reply('join', command.id, {
      room,
      position: { epoch: log.epoch, offset: end },
      recovered: isPresent,
      messages: [],
      more: false,
    });
    return;
  }

  try {
    const limit = since === undefined ? (history ?? 0) : BOUNDS.historyMax;
    await readPast(session, room, context, { after: since, limit }, (page, reading) => {
      const caughtUp =
        since === undefined
          ? newestToPresent(page, reading, { ...PAGE, limit })
          : continueToPresent(page, since.offset, reading, PAGE);
      settle(subscription, caughtUp, context);
      session.reply('join', command.id, {
        ...pageReply(room, log.epoch, caughtUp),
        recovered: since !== undefined && caughtUp.gap === undefined,
      } satisfies JoinReply);
    });
  } catch (error) {
    // A suspended room stays as it was; a new one was never joined.
    if (previous === undefined && session.state !== 'ended') remove(session, subscription, context);
    throw error;
  }
}

/** Takes the session out of a room: no push of the room follows the reply. */
export function leave(session: Session, { id, room }: LeaveCommand, context: RoomsContext): void {
  const subscription = session.subscriptions?.get(room);
  if (subscription === undefined) throw new CommandError('not_joined', `room: ${room} is not joined`);
  remove(session, subscription, context);
  session.reply('leave', id, { room });
}

/** Reads one page; where the session is catching up in the room, the last one makes it live. */
export async function history(session: Session, command: HistoryCommand, context: RoomsContext): Promise<void> {
  const { id, room, before, after, limit } = command;
  requireJoin(session.user, room);
  const { log } = context;
  const subscription = session.subscriptions?.get(room);
  const isCatchingUp = after !== undefined && subscription?.state === 'catching-up';
  // It has asked; how long the answer takes is not its fault.
  if (isCatchingUp) context.catchingUp.delete(subscription);
  try {
    await readPast(session, room, context, { after, before, limit }, (page, reading) => {
      if (after === undefined) {
        session.reply('history', id, backwardsReply(room, log.epoch, before, page, reading));
        return;
      }
      const caughtUp = continueToPresent(page, after.offset, reading, { ...PAGE, limit });
      if (isCatchingUp) settle(subscription, caughtUp, context);
      session.reply('history', id, pageReply(room, log.epoch, caughtUp));
    });
  } catch (error) {
    if (isCatchingUp && session.state !== 'ended') context.catchingUp.set(subscription);
    throw error;
  }
}

/** Takes the session out of all its rooms. */
export function leaveAll(session: Session, context: RoomsContext): void {
  for (const subscription of session.subscriptions?.values() ?? []) remove(session, subscription, context);
}

const PAGE = { limit: BOUNDS.historyMax, bytesMax: BOUNDS.pageBytesMax };

/**
 * Reads a page of a room's past and hands it on in the same turn in which the present was looked at, so that a
 * room can go live behind it without a race.
 */
async function readPast(
  session: Session,
  room: string,
  { log, hub, unshared }: RoomsContext,
  wanted: Pick<ReadRequest, 'after' | 'before' | 'limit'>,
  onPage: (page: Page, reading: Reading) => void,
): Promise<void> {
  // The page's bytes are this session's alone until they are sent, so they are set aside before the read.
  if (!unshared.hasRoomFor(BOUNDS.pageBytesMax)) {
    throw new CommandError('overloaded', 'too many pages of history are on their way', OVERLOADED_RETRY_MS);
  }
  unshared.add(BOUNDS.pageBytesMax);
  const ended = session.readBegun(room);
  const reading = hub.read(room);
  try {
    const { through } = reading;
    const page = await log.read({ ...wanted, room, through, bytesMax: BOUNDS.pageBytesMax });
    if (session.state !== 'ended') onPage(page, reading);
  } finally {
    reading.close();
    unshared.release(BOUNDS.pageBytesMax);
    ended();
  }
}

function settle(subscription: Subscription, { offset, more }: CaughtUp, { catchingUp }: RoomsContext): void {
  if (more) {
    subscription.catchUp(offset);
    catchingUp.set(subscription);
  } else {
    catchingUp.delete(subscription);
    subscription.goLive(offset);
  }
}

function remove(session: Session, subscription: Subscription, { hub, catchingUp }: RoomsContext): void {
  catchingUp.delete(subscription);
  hub.unsubscribe(subscription);
  session.subscriptions?.delete(subscription.room.name);
}

/** A page that looks backwards speaks up to the position before which it was asked for, or up to the end. */
function backwardsReply(room: string, epoch: string, before: Position | undefined, page: Page, reading: Reading) {
  const { publications, more, gap } = page;
  const offset = before?.epoch === epoch ? Math.min(before.offset - 1, reading.through) : reading.through;
  return { room, position: { epoch, offset: Math.max(offset, -1) }, messages: publications, more, gap };
}

function pageReply(room: string, epoch: string, { publications, offset, more, gap }: CaughtUp) {
  return { room, position: { epoch, offset }, messages: publications, more, gap };
}
