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

const LF = 0x0a;
/** RFC 6455 section 5.2: the first byte of a text frame that is a whole message. */
const FIN_TEXT = 0x81;
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
    const frame = Buffer.allocUnsafe(payloads.length + bytesOf(payloads));
    frame[writeLines(frame, 0, payloads)] = LF;
    return frame;
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
    const length = payloads.length - 1 + bytesOf(payloads);
    const headerBytes = length < 126 ? 2 : length < 65_536 ? 4 : 10;
    const frame = Buffer.allocUnsafe(headerBytes + length);
    frame[0] = FIN_TEXT;
    if (headerBytes === 2) frame[1] = length;
    else if (headerBytes === 4) {
      frame[1] = 126;
      frame.writeUInt16BE(length, 2);
    } else {
      frame[1] = 127;
      frame.writeUInt32BE(0, 2);
      frame.writeUInt32BE(length, 6);
    }
    writeLines(frame, headerBytes, payloads);
    return frame;
  },
};

/** For a library that frames messages itself: what goes into one text message, its payloads separated by line feeds. */
const websocketMessage: Framing = {
  name: 'websocket',
  ...pushes,
  frame(payloads) {
    const [first] = payloads;
    if (payloads.length === 1 && first !== undefined) return first;
    const message = Buffer.allocUnsafe(payloads.length - 1 + bytesOf(payloads));
    writeLines(message, 0, payloads);
    return message;
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

function bytesOf(payloads: readonly Buffer[]): number {
  let bytes = 0;
  for (const payload of payloads) bytes += payload.length;
  return bytes;
}

/** Writes payloads with a line feed between each two. Returns where the last one ends. */
function writeLines(target: Buffer, start: number, payloads: readonly Buffer[]): number {
  let at = start;
  for (let i = 0; i < payloads.length; i += 1) {
    if (i > 0) {
      target[at] = LF;
      at += 1;
    }
    const payload = payloads[i] as Buffer;
    target.set(payload, at);
    at += payload.length;
  }
  return at;
}

function isBlank(line: Buffer): boolean {
  for (let i = 0; i < line.length; i += 1) {
    const byte = line[i];
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) return false;
  }
  return true;
}
