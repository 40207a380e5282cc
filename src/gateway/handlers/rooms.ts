import { type CaughtUp, continueToPresent, newestToPresent } from '../../fanout/catch-up.ts';
import type { Hub, Reading } from '../../fanout/hub.ts';
import type { Page, ReadRequest } from '../../fanout/room-log.ts';
import { Timeout, type TimerWheel } from '../../limits/timer-wheel.ts';
import type { RoomWatch } from '../../presence/room-feed.ts';
import { BOUNDS } from '../../protocol/bounds.ts';
import type { HistoryCommand, JoinCommand, LeaveCommand, PresenceMode } from '../../protocol/commands.ts';
import { CommandError } from '../../protocol/errors.ts';
import type { Position } from '../../protocol/position.ts';
import type { LeftCode } from '../../protocol/presence-push.ts';
import type { HistoryReply, JoinReply } from '../../protocol/replies.ts';
import { mayHearRoom, mayJoin, requireJoin } from '../access.ts';
import { countOf, Membership, membershipIn, membershipsOf, withMembership, withoutMembership } from '../membership.ts';
import type { UnsharedBytes } from '../outbox.ts';
import type { Session } from '../session.ts';
import { type PresenceContext, roomPresence } from './presence.ts';
import type { AppendContext } from './publish.ts';

export interface RoomsContext extends PresenceContext, AppendContext {
  readonly hub: Hub;
  readonly unshared: UnsharedBytes;
  readonly wheel: TimerWheel;
  /** Milliseconds for a client that catches up to ask for its next page. */
  readonly catchUpTimeoutMs: number;
  /** Sessions of this node in one room. */
  readonly roomMembersMax: number;
}

const OVERLOADED_RETRY_MS = 1_000;

/** Adds the session to a room: at once, or after the messages and the presence that it asked for. */
export async function join(session: Session, command: JoinCommand, context: RoomsContext): Promise<void> {
  const { id, room, since, history } = command;
  requireJoin(session.identity, room);
  const mode = presenceMode(session, command);
  const { membership, isNew } = enter(session, room, context);
  show(session, membership, command.visible ?? true, context);
  if (mode === 'off' && !wantsPast(command, context)) {
    setWatch(membership, null, context);
    session.reply('join', id, joinPresent(membership, since !== undefined, context));
    return;
  }

  const done = session.gate.readBegun(room);
  let watch: RoomWatch | null = null;
  try {
    if (mode !== 'off') watch = await context.feed.watchRoom(session, room, mode);
    const snapshot = watch === null ? null : await snapshotOf(room, watch.mode, context);
    const answer = (page: JoinReply) => {
      // Its rights may have changed meanwhile.
      const isHeard = snapshot !== null && mayHearRoom(session.identity, room);
      session.reply('join', id, { ...page, ...(isHeard && { presence: snapshot }) });
      setWatch(membership, isHeard ? watch : null, context);
      if (!isHeard) return;
      watch?.begin(snapshot);
      watch = null;
    };
    // Only now, since the room has gone on while presence was read.
    if (!wantsPast(command, context)) {
      if (isStillIn(session, membership)) answer(joinPresent(membership, since !== undefined, context));
      return;
    }
    const limit = since === undefined ? (history ?? 0) : BOUNDS.historyMax;
    await readPast(room, context, { after: since, limit }, (page, reading) => {
      if (!isStillIn(session, membership)) return;
      const caughtUp =
        since === undefined
          ? newestToPresent(page, reading, { ...PAGE, limit })
          : continueToPresent(page, since.offset, reading, PAGE);
      settle(membership, caughtUp, context);
      const recovered = since !== undefined && caughtUp.gap === undefined;
      if (since !== undefined) context.tally.resumes[page.source][recovered ? 'recovered' : 'gap'] += 1;
      answer({ ...pageReply(room, context.log.epoch, caughtUp), recovered });
    });
  } catch (error) {
    // A suspended room stays as it was; a new one was never joined.
    if (isNew) leaveRoom(session, membership, context);
    throw error;
  } finally {
    if (watch !== null) context.feed.unwatchRoom(room, watch);
    done();
  }
}

/** Takes the session out of a room: no push of the room follows the reply. */
export function leave(session: Session, { id, room }: LeaveCommand, context: RoomsContext): void {
  const membership = membershipIn(session.memberships, room);
  if (membership === undefined) throw new CommandError('not_joined', `room: ${room} is not joined`);
  leaveRoom(session, membership, context);
  session.reply('leave', id, { room });
}

/** Reads one page; where the session is catching up in the room, the last one makes it live. */
export async function history(session: Session, command: HistoryCommand, context: RoomsContext): Promise<void> {
  const { id, room, after } = command;
  requireJoin(session.identity, room);
  const membership = membershipIn(session.memberships, room);
  const isCatchingUp = after !== undefined && membership?.subscription.state === 'catching-up';
  // An operator or a newer token may take it out of the room while the page is read.
  const goesOn = () => isCatchingUp && membershipIn(session.memberships, room) === membership;
  // It has asked; how long the answer takes is not its fault.
  if (isCatchingUp) stopWaiting(membership, context);
  const done = session.gate.readBegun(room);
  try {
    await historyPage(command, context, (reply, caughtUp) => {
      if (session.state === 'ended') return;
      requireJoin(session.identity, room);
      if (goesOn() && membership !== undefined && caughtUp !== null) settle(membership, caughtUp, context);
      session.reply('history', id, reply);
    });
  } catch (error) {
    if (goesOn() && membership !== undefined) awaitNextPage(membership, context);
    throw error;
  } finally {
    done();
  }
}

/** Reads one page for whoever may have it, and hands it on in the turn in which it is true. */
export async function historyPage(
  { room, before, after, limit }: Pick<HistoryCommand, 'room' | 'before' | 'after' | 'limit'>,
  context: RoomsContext,
  onPage: (reply: HistoryReply, caughtUp: CaughtUp | null) => void,
): Promise<void> {
  await readPast(room, context, { after, before, limit }, (page, reading) => {
    const { epoch } = context.log;
    if (after === undefined) {
      onPage(backwardsReply(room, epoch, before, page, reading), null);
      return;
    }
    const caughtUp = continueToPresent(page, after.offset, reading, { ...PAGE, limit });
    onPage(pageReply(room, epoch, caughtUp), caughtUp);
  });
}

/** Ends every membership of a session that is gone; how others see it is the tracker's to know. */
export function endAll(session: Session, context: RoomsContext): void {
  for (const membership of membershipsOf(session.memberships)) end(session, membership, context);
}

/** Takes the session out of the rooms that it may not hear any more, and tells it. */
export function recheckRooms(session: Session, context: RoomsContext): void {
  for (const membership of membershipsOf(session.memberships)) {
    const { room } = membership;
    if (!mayJoin(session.identity, room)) removeFromRoom(session, room, 'forbidden', context);
    else if (!mayHearRoom(session.identity, room)) setWatch(membership, null, context);
  }
}

/** Takes the session out of a room that it is in, and tells it why. Returns whether it was in. */
export function removeFromRoom(session: Session, room: string, code: LeftCode, context: RoomsContext): boolean {
  const membership = membershipIn(session.memberships, room);
  if (membership === undefined) return false;
  const isJoined = membership.subscription.state !== 'joining';
  leaveRoom(session, membership, context);
  // Whose join is under way learns it from the reply.
  if (isJoined) session.left(room, code);
  return true;
}

const PAGE = { limit: BOUNDS.historyMax, bytesMax: BOUNDS.pageBytesMax };

/**
 * Reads a page of a room's past and hands it on in the same turn in which the present was looked at, so that a
 * room can go live behind it without a race.
 */
async function readPast(
  room: string,
  { log, hub, unshared }: RoomsContext,
  wanted: Pick<ReadRequest, 'after' | 'before' | 'limit'>,
  onPage: (page: Page, reading: Reading) => void,
): Promise<void> {
  await log.untilCurrent(room);
  // The page's bytes are one session's alone until they are sent, so they are set aside before the read.
  if (!unshared.hasRoomFor(BOUNDS.pageBytesMax)) {
    throw new CommandError('overloaded', 'too many pages of history are on their way', OVERLOADED_RETRY_MS);
  }
  unshared.add(BOUNDS.pageBytesMax);
  const reading = hub.read(room);
  try {
    const { through } = reading;
    const page = await log.read({ ...wanted, room, through, bytesMax: BOUNDS.pageBytesMax });
    if (reading.isBroken) throw new CommandError('unavailable', 'the log has just begun anew', OVERLOADED_RETRY_MS);
    onPage(page, reading);
  } finally {
    reading.close();
    unshared.release(BOUNDS.pageBytesMax);
  }
}

function settle(membership: Membership, { offset, more }: CaughtUp, context: RoomsContext): void {
  if (more) {
    membership.subscription.catchUp(offset);
    awaitNextPage(membership, context);
  } else {
    stopWaiting(membership, context);
    membership.subscription.goLive(offset);
  }
}

/** A client that doesn't ask for its next page in time is told that it has lost its place. */
function awaitNextPage(membership: Membership, { log, wheel, catchUpTimeoutMs }: RoomsContext): void {
  membership.catchUp ??= new Timeout(() => {
    const { subscription, room } = membership;
    subscription.suspend();
    const position = { epoch: log.epoch, offset: subscription.offset };
    subscription.subscriber.resync(room, position, undefined);
  });
  wheel.set(membership.catchUp, catchUpTimeoutMs);
}

function stopWaiting({ catchUp }: Membership, { wheel }: RoomsContext): void {
  if (catchUp !== null) wheel.clear(catchUp);
}

/** The session's membership in a room, made if the bounds allow it. */
function enter(session: Session, room: string, { hub, roomMembersMax }: RoomsContext) {
  const { memberships } = session;
  const previous = membershipIn(memberships, room);
  if (previous !== undefined) {
    if (previous.subscription.state === 'suspended') return { membership: previous, isNew: false };
    throw new CommandError('already_joined', `room: ${room} is joined already`);
  }
  if (countOf(memberships) >= BOUNDS.roomsMax) {
    throw new CommandError('limit_exceeded', `room: a session may join ${BOUNDS.roomsMax} rooms`);
  }
  if (hub.subscriptionCount(room) >= roomMembersMax) {
    throw new CommandError('limit_exceeded', `room: ${room} is full, with ${roomMembersMax} sessions`);
  }
  const membership = new Membership(hub.subscribe(session, room));
  session.memberships = withMembership(memberships, membership);
  return { membership, isNew: true };
}

/** What the session is to hear of the room's presence. @throws CommandError `forbidden` */
function presenceMode({ identity }: Session, { room, presence = 'off', presenceIfGranted }: JoinCommand): PresenceMode {
  if (presence === 'off' || mayHearRoom(identity, room)) return presence;
  if (presenceIfGranted) return 'off';
  throw new CommandError('forbidden', `presence: who is in ${room} is not yours to hear`);
}

async function snapshotOf(room: string, mode: 'full' | 'count', context: RoomsContext) {
  const snapshot = await roomPresence(room, undefined, context);
  return mode === 'full' ? snapshot : { count: snapshot.count, version: snapshot.version };
}

function show({ tracked }: Session, membership: Membership, isVisible: boolean, { tracker }: RoomsContext): void {
  if (membership.isVisible === isVisible || tracked === null) return;
  membership.isVisible = isVisible;
  if (isVisible) tracker.join(tracked, membership.room);
  else tracker.leave(tracked, membership.room);
}

function setWatch(membership: Membership, watch: RoomWatch | null, { feed }: RoomsContext): void {
  if (membership.watch !== null) feed.unwatchRoom(membership.room, membership.watch);
  membership.watch = watch;
}

function leaveRoom(session: Session, membership: Membership, context: RoomsContext): void {
  if (membershipIn(session.memberships, membership.room) !== membership) return;
  show(session, membership, false, context);
  end(session, membership, context);
}

function end(session: Session, membership: Membership, context: RoomsContext): void {
  stopWaiting(membership, context);
  setWatch(membership, null, context);
  context.hub.unsubscribe(membership.subscription);
  session.memberships = withoutMembership(session.memberships, membership);
}

/** Whether a join asks for more than what comes from now on. */
function wantsPast({ room, since, history = 0 }: JoinCommand, { log, hub }: RoomsContext): boolean {
  return since === undefined ? history > 0 : since.epoch !== log.epoch || since.offset !== hub.end(room);
}

/** Makes a room live from now on. */
function joinPresent(
  { room, subscription }: Membership,
  recovered: boolean,
  { log, hub, tally }: RoomsContext,
): JoinReply {
  if (recovered) tally.resumes.present.recovered += 1;
  const offset = hub.end(room);
  subscription.goLive(offset);
  return { room, position: { epoch: log.epoch, offset }, recovered, messages: [], more: false };
}

/**
 * Whether the session, for which something was read, is there to have it. @throws CommandError `forbidden` if it
 * was taken out of the room meanwhile
 */
function isStillIn(session: Session, membership: Membership): boolean {
  if (session.state === 'ended') return false;
  if (membershipIn(session.memberships, membership.room) === membership) return true;
  throw new CommandError('forbidden', `room: you were removed from ${membership.room} meanwhile`);
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
