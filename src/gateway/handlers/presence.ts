import type { PresenceFeed } from '../../presence/presence-feed.ts';
import type { KnownUser, PresenceStore } from '../../presence/presence-store.ts';
import type { PresenceTracker } from '../../presence/presence-tracker.ts';
import type { UserWatch } from '../../presence/user-feed.ts';
import { BOUNDS } from '../../protocol/bounds.ts';
import type { PresenceCommand, StatusCommand, UnwatchCommand, WatchCommand } from '../../protocol/commands.ts';
import { CommandError } from '../../protocol/errors.ts';
import type { RoomPresenceReply, UserPresenceReply } from '../../protocol/replies.ts';
import { mayHearUser, requireHearRoom } from '../access.ts';
import { WATCHES } from '../command-gate.ts';
import { membershipIn, membershipsOf } from '../membership.ts';
import type { Session } from '../session.ts';

export interface PresenceContext {
  readonly store: PresenceStore;
  readonly tracker: PresenceTracker;
  readonly feed: PresenceFeed;
}

/** Who is in a room, or how a user is. What the caller itself has changed before is seen. */
export async function presence(session: Session, command: PresenceCommand, context: PresenceContext): Promise<void> {
  const { id, room, after, user } = command;
  const done = session.gate.readBegun(null);
  try {
    if (room !== undefined) {
      requireHearRoom(session.identity, room);
      const reply = await roomPresence(room, after, context);
      session.reply('presence', id, reply);
      const watch = membershipIn(session.memberships, room)?.watch;
      if (watch) watch.lookedVersion = reply.version;
    } else if (user !== undefined) {
      const [known] = await readUsers(session, [user], context);
      if (known !== undefined) session.reply('presence', id, userReply(known));
    }
  } finally {
    done();
  }
}

export async function roomPresence(
  room: string,
  after: string | undefined,
  { store, tracker }: PresenceContext,
): Promise<RoomPresenceReply> {
  await tracker.written();
  return store.readRoom(room, after, BOUNDS.presencePageMax);
}

export async function userPresence(user: string, { store, tracker }: PresenceContext): Promise<UserPresenceReply> {
  await tracker.written();
  const [known] = await store.readUsers([user], []);
  if (known === undefined) throw new Error(`the presence store did not answer for ${user}`);
  return userReply(known);
}

/** Tells the session from now on how users change, and how they are now. */
export async function watch(session: Session, { id, users }: WatchCommand, context: PresenceContext): Promise<void> {
  const done = session.gate.readBegun(WATCHES);
  const added = new Map<string, UserWatch>();
  try {
    session.watches ??= new Map();
    const { watches } = session;
    const names = [...new Set(users)];
    const fresh = names.filter((user) => !watches.has(user));
    if (watches.size + fresh.length > BOUNDS.watchesMax) {
      throw new CommandError('limit_exceeded', `users: a session may watch ${BOUNDS.watchesMax} users`);
    }
    for (const user of fresh) added.set(user, await context.feed.watchUser(session, user));
    const known = await readUsers(session, names, context);
    if (session.state === 'ended') return;
    session.reply('watch', id, { users: known.map(userReply) });
    for (const user of known) {
      const begun = added.get(user.user);
      if (begun === undefined) continue;
      added.delete(user.user);
      watches.set(user.user, begun);
      begun.begin(user);
    }
  } finally {
    // What is still here was refused, or the session is gone.
    for (const [user, begun] of added) context.feed.unwatchUser(user, begun);
    done();
  }
}

/** Users that are not watched are none the worse. */
export function unwatch(session: Session, { id, users }: UnwatchCommand, context: PresenceContext): void {
  for (const user of users) unwatchOne(session, user, context);
  session.reply('unwatch', id, {});
}

export function unwatchAll(session: Session, context: PresenceContext): void {
  for (const user of session.watches?.keys() ?? []) unwatchOne(session, user, context);
}

/** Ends the watches for which the session, whose grants have changed, has no right any more. */
export async function recheckWatches(session: Session, context: PresenceContext): Promise<void> {
  const doubtful = [...(session.watches?.keys() ?? [])].filter((user) => !mayHearUser(session.identity, user));
  if (doubtful.length === 0) return;
  // Where it can't be told who is together, nobody is.
  const known = await context.store.readUsers(doubtful, roomsOf(session)).catch(() => []);
  const together = new Set(known.filter(({ isTogether }) => isTogether).map(({ user }) => user));
  for (const user of doubtful) if (!together.has(user)) unwatchOne(session, user, context);
}

export function status(session: Session, { id, status, text }: StatusCommand, { tracker }: PresenceContext): void {
  if (session.tracked !== null) tracker.setStatus(session.tracked, status, text === '' ? undefined : text);
  session.reply('status', id, { status });
}

function unwatchOne(session: Session, user: string, { feed }: PresenceContext): void {
  const known = session.watches?.get(user);
  if (known === undefined) return;
  session.watches?.delete(user);
  feed.unwatchUser(user, known);
}

/** Reads users that the session may hear of: by its grants, or for a room in common. @throws CommandError `forbidden` */
async function readUsers(session: Session, users: readonly string[], context: PresenceContext) {
  const { store, tracker } = context;
  await tracker.written();
  const { identity } = session;
  const isGranted = users.every((user) => mayHearUser(identity, user));
  const known = await store.readUsers(users, isGranted ? [] : roomsOf(session));
  for (const { user, isTogether } of known) {
    // By the rights of now: a newer token may have come while it was read.
    if (isTogether || mayHearUser(session.identity, user)) continue;
    throw new CommandError('forbidden', `user: ${user} shares no room with you, and no grant allows it`);
  }
  return known;
}

function userReply({ user, status, text, devices, lastSeenMs, partial }: KnownUser): UserPresenceReply {
  return { user, status, ...(text !== undefined && { text }), devices, lastSeenMs, partial };
}

function roomsOf({ memberships }: Session): readonly string[] {
  return membershipsOf(memberships).map(({ room }) => room);
}
