import { DISCONNECTS, type DisconnectReason } from './disconnects.ts';
import type { CommandError } from './errors.ts';
import type { Gap, Position } from './position.ts';
import type { LeftCode, RoomPresencePush, UserPresencePush } from './presence-push.ts';
import { type Publication, quoted } from './publication.ts';
import type { ConnectReply, PageReply, PublishReply, RepliedOp, Replies } from './replies.ts';

/** A command's `ok` reply as one JSON object in UTF-8. */
export function writeReply<Op extends RepliedOp>(op: Op, id: number, ok: Replies[Op]): Buffer {
  // Pages splice the publications' own bytes in; everything else is small.
  if (op === 'join' || op === 'history') return writePage(`{"id":${id},"ok":`, ok as PageReply, '}');
  if (op === 'publish') return writePublished(id, ok as PublishReply);
  if (op === 'connect') return writeConnected(id, ok as ConnectReply);
  return Buffer.from(`{"id":${id},"ok":${JSON.stringify(ok)}}`);
}

/** What the server API answers with: a reply's `ok` by itself, in the same bytes. */
export function writeAnswer<Op extends RepliedOp>(op: Op, ok: Replies[Op]): Buffer {
  return op === 'history' ? writePage('', ok as PageReply, '') : Buffer.from(JSON.stringify(ok));
}

/** What the server API answers with where a call failed. */
export function writeErrorAnswer({ code, message, retryAfterMs }: CommandError): Buffer {
  return Buffer.from(JSON.stringify({ error: { code, message, retryAfterMs } }));
}

/** A command's error. `id` is null where the line had none that could be read. */
export function writeError(id: number | null, { code, message, retryAfterMs }: CommandError): Buffer {
  return Buffer.from(JSON.stringify({ id, error: { code, message, retryAfterMs } }));
}

/** A publication as a `message` push: its record's value with the position and time put before. */
export function writeMessage(publication: Publication): Buffer {
  return splice('{"push":"message",', publication);
}

export function writeResync(room: string, position: Position, gap: Gap | undefined): Buffer {
  return Buffer.from(JSON.stringify({ push: 'resync', room, position, gap }));
}

/** Asks the client for a sign of life. */
export const HEARTBEAT = Buffer.from('{"push":"heartbeat"}');

export function writeRoomPresence(push: RoomPresencePush): Buffer {
  return Buffer.from(JSON.stringify({ push: 'presence', ...push }));
}

export function writeUserPresence(push: UserPresencePush): Buffer {
  return Buffer.from(JSON.stringify({ push: 'presence', ...push }));
}

/** `data` is JSON text that was checked already and is spliced in as it came. */
export function writeSignal(room: string, from: string, data: string): Buffer {
  // Names need no escapes.
  return Buffer.from(`{"push":"signal","room":"${room}","from":"${from}","data":${data}}`);
}

export function writeLeft(room: string, code: LeftCode): Buffer {
  return Buffer.from(JSON.stringify({ push: 'left', room, code }));
}

/** The last push of a session. `afterMs` null: the client is not to reconnect. `words` stand for the reason's name. */
export function writeDisconnect(reason: DisconnectReason, afterMs: number | null, words: string = reason): Buffer {
  const { code } = DISCONNECTS[reason];
  const reconnect = afterMs === null ? null : { afterMs };
  return Buffer.from(JSON.stringify({ push: 'disconnect', code, reason: words, reconnect }));
}

/** A node has one set of limits for all of its sessions, and they are most of the reply. */
const limitsInJson = new WeakMap<ConnectReply['limits'], string>();

function writeConnected(id: number, { limits, ...fields }: ConnectReply): Buffer {
  let json = limitsInJson.get(limits);
  if (json === undefined) {
    json = JSON.stringify(limits);
    limitsInJson.set(limits, json);
  }
  return Buffer.from(`{"id":${id},"ok":${JSON.stringify(fields).slice(0, -1)},"limits":${json}}}`);
}

/** The hot one: names need no escapes, and everything is ASCII. */
function writePublished(id: number, { room, mid, epoch, offset, duplicate }: PublishReply): Buffer {
  const place = `"epoch":${quoted(epoch)},"offset":${offset},"duplicate":${duplicate}`;
  return Buffer.from(`{"id":${id},"ok":{"room":"${room}","mid":${quoted(mid)},${place}}}`, 'latin1');
}

function writePage(start: string, { messages, ...fields }: PageReply, end: string): Buffer {
  // `messages` comes last, so that the rest is written as the prefix of the object.
  const head = JSON.stringify(fields).slice(0, -1);
  const parts: Buffer[] = [Buffer.from(`${start}${head},"messages":[`)];
  for (const [i, publication] of messages.entries()) {
    // Copied once, into the reply: a page may have 256 KiB.
    parts.push(Buffer.from(headOf(i === 0 ? '{' : ',{', publication), 'latin1'), publication.value.subarray(1));
  }
  parts.push(Buffer.from(`]}${end}`));
  return Buffer.concat(parts);
}

function splice(start: string, publication: Publication): Buffer {
  const { value } = publication;
  const head = headOf(start, publication);
  // The value's own opening brace is left out.
  const bytes = Buffer.allocUnsafe(head.length + value.length - 1);
  bytes.write(head, 0, 'latin1');
  value.copy(bytes, head.length, 1);
  return bytes;
}

/** The epoch is printable ASCII, so that characters are bytes. */
function headOf(start: string, { epoch, offset, ts }: Publication): string {
  return `${start}"epoch":${quoted(epoch)},"offset":${offset},"ts":${ts},`;
}
