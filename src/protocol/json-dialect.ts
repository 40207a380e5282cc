import type { Dialect, Framing, Input } from './dialect.ts';
import type { RoomPresencePush, UserPresencePush } from './presence-push.ts';
import { readLine } from './reader.ts';
import {
  HEARTBEAT,
  writeDisconnect,
  writeError,
  writeLeft,
  writeMessage,
  writeReply,
  writeResync,
  writeRoomPresence,
  writeSignal,
  writeUserPresence,
} from './writer.ts';

const LF = Buffer.from('\n');
const NOTHING: readonly Input[] = [];

const pushes = {
  message: writeMessage,
  roomPresence: (push: RoomPresencePush) => [writeRoomPresence(push)],
  userPresence: (push: UserPresencePush) => [writeUserPresence(push)],
  signal: writeSignal,
};

/** NDJSON: a line feed behind every payload. */
const ndjson: Framing = {
  name: 'ndjson',
  ...pushes,
  frame(payloads) {
    const parts: Buffer[] = [];
    for (const payload of payloads) parts.push(payload, LF);
    return Buffer.concat(parts);
  },
};

/**
 * RFC 6455 section 5.2: one unmasked, final text frame, its payloads separated by line feeds. Made here and not
 * by the WebSocket library, so that a batch is framed once and its bytes are shared by every session.
 */
const websocket: Framing = {
  name: 'websocket',
  ...pushes,
  frame(payloads) {
    let length = payloads.length - 1;
    for (const payload of payloads) length += payload.length;
    const parts: Buffer[] = [textFrameHeader(length)];
    for (const payload of payloads) {
      if (parts.length > 1) parts.push(LF);
      parts.push(payload);
    }
    return Buffer.concat(parts);
  },
};

/** For a library that frames messages itself: what goes into one text message, its payloads separated by line feeds. */
const websocketMessage: Framing = {
  name: 'websocket',
  ...pushes,
  frame(payloads) {
    const [first] = payloads;
    if (payloads.length === 1 && first !== undefined) return first;
    const parts: Buffer[] = [];
    for (const payload of payloads) {
      if (parts.length > 0) parts.push(LF);
      parts.push(payload);
    }
    return Buffer.concat(parts);
  },
};

export const ndjsonDialect = jsonDialect(ndjson);
export const websocketDialect = jsonDialect(websocket);
export const websocketMessageDialect = jsonDialect(websocketMessage);

/** JSON in both directions. Stateless, so that all sessions of a framing share one. */
function jsonDialect(framing: Framing): Dialect {
  return {
    framing,
    hasHeartbeats: true,
    read: (line) => (isBlank(line) ? NOTHING : [readLine(line)]),
    reply: (op, id, ok) => [writeReply(op, id, ok)],
    error: (id, error) => [writeError(id, error)],
    resync: (room, position, gap) => [writeResync(room, position, gap)],
    left: (room, code) => [writeLeft(room, code)],
    heartbeat: () => [HEARTBEAT],
    disconnect: (reason, afterMs, words) => [writeDisconnect(reason, afterMs, words)],
  };
}

function textFrameHeader(length: number): Buffer {
  const FIN_TEXT = 0x81;
  if (length < 126) return Buffer.from([FIN_TEXT, length]);
  if (length < 65_536) return Buffer.from([FIN_TEXT, 126, length >> 8, length & 0xff]);
  const header = Buffer.alloc(10);
  header[0] = FIN_TEXT;
  header[1] = 127;
  header.writeUInt32BE(length, 6);
  return header;
}

function isBlank(line: Buffer): boolean {
  for (const byte of line) if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) return false;
  return true;
}
