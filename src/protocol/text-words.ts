import type { Gap } from './position.ts';
import type { RoomPresencePush, UserPresencePush } from './presence-push.ts';
import type { UserState } from './presence-state.ts';
import type { Publication } from './publication.ts';
import type { HistoryReply, PublishReply, RoomPresenceReply, UserPresenceReply } from './replies.ts';
import { harmless } from './terminal.ts';

export const HELP = [
  '/connect NAME [TOKEN]   say who you are (or /nick NAME)',
  '/join ROOM              join a room; what you type goes to the room joined last',
  '/leave                  leave the current room',
  '/msg USER TEXT          a direct message',
  '/who [ROOM|USER]        who is here, or how somebody is',
  '/status online|away|dnd [TEXT]',
  '/history [N]            the last N messages of the current room',
  '/ping                   is anybody there?',
  '/quit                   goodbye',
];

/** Lines of ours, which may echo what somebody typed. */
export function words(...lines: readonly string[]): readonly Buffer[] {
  return lines.map((line) => Buffer.from(harmless(line)));
}

export function messageLine({ room, value }: Publication): string {
  const { from, data } = JSON.parse(value.toString('utf8')) as { from: string; data: unknown };
  return saidLine(room, from, data);
}

/** What a user has said in a room, as it is shown to a person. */
export function saidLine(room: string, from: string, data: unknown): string {
  return `[${room}] ${from}: ${harmless(isText(data) ? data.text : JSON.stringify(data))}`;
}

/** What a person who isn't in the room hears of a publish; who is sees it as a message. */
export function publishedLines({ room }: PublishReply, rooms: readonly string[]): readonly Buffer[] {
  return rooms.includes(room) ? [] : words(`# sent to [${room}]`);
}

export function historyLines(reply: HistoryReply): readonly Buffer[] {
  const { room, messages } = reply;
  if (messages.length === 0) return [...gapLines(reply), ...words(`# nothing was said in [${room}] yet`)];
  const lines = messages.map((message) => Buffer.from(messageLine(message)));
  return [...gapLines(reply), ...lines, ...words(`# that was [${room}] (${messages.length})`)];
}

export function gapLines({ gap }: { readonly gap?: Gap | undefined }): readonly Buffer[] {
  return gap === undefined ? [] : words('# some messages can no longer be had');
}

export function whoLines(room: string, { count, users, more, partial }: RoomPresenceReply): readonly Buffer[] {
  const names = users.map(({ user, status, text }) =>
    status === 'online' && !text ? user : `${user} (${as(status, text)})`,
  );
  const list = names.length === 0 ? '' : `: ${names.join(', ')}${more ? ', …' : ''}`;
  return words(`# [${room}] ${count} here${partial ? ', as far as is known' : ''}${list}`);
}

export function userLines({ user, status, text, devices, lastSeenMs }: UserPresenceReply): readonly Buffer[] {
  if (devices > 0) return words(`# ${user} is ${as(status, text)}${devices > 1 ? `, on ${devices} devices` : ''}`);
  return words(`# ${user} is offline${lastSeenMs > 0 ? `, last seen ${new Date(lastSeenMs).toISOString()}` : ''}`);
}

/** A person hears who comes, goes and changes, not numbers. Who left the room only is not called offline. */
/** What is told of a room's presence by name. */
type Told = Pick<RoomPresencePush, 'room' | 'joined' | 'left' | 'changed'>;

export function roomPresenceLines({ room, joined = [], left = [], changed = [] }: Told): readonly Buffer[] {
  return words(
    ...[...joined, ...changed].map(isLine),
    ...left.map((user) => (user.devices === 0 ? isLine(user) : `* ${user.user} left [${room}]`)),
  );
}

export function userPresenceLines(push: UserPresencePush): readonly Buffer[] {
  return words(isLine(push));
}

function isLine({ user, status, text }: UserState): string {
  return `* ${user} is ${as(status, text)}`;
}

function as(status: UserState['status'], text: string | undefined): string {
  return text ? `${status}: ${text}` : status;
}

function isText(data: unknown): data is { text: string } {
  return typeof data === 'object' && data !== null && 'text' in data && typeof data.text === 'string';
}
