import { BOUNDS } from './bounds.ts';
import { isSpace } from './json-scan.ts';
import { isMid, isRoom, isUser } from './names.ts';
import { encodeValue } from './publication.ts';
import { endOfValue, isData } from './publish-reader.ts';

/** What a record's value says. */
export interface StoredValue {
  readonly room: string;
  readonly from: string;
  readonly mid: string;
}

const HEAD = /^\{"room":"([^"]+)","from":"([^"]+)","mid":("(?:[^"\\]|\\["\\])+"),"data":/;
const UTF8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Reads the value of a record that may be anybody's, as strictly as a publish is read: its bytes are spliced into what
 * sessions are sent. null: it is not what `encodeValue` makes of a valid publish.
 */
export function readValue(value: Buffer): StoredValue | null {
  let text: string;
  try {
    text = UTF8.decode(value);
  } catch {
    return null;
  }
  const head = HEAD.exec(text);
  if (head === null) return null;
  const [{ length: start }, room, from, quotedMid] = head as unknown as [string, string, string, string];
  const mid: unknown = JSON.parse(quotedMid);
  if (!isRoom(room) || !isUser(from) || !isMid(mid)) return null;
  const data = readData(text, start, BOUNDS.dataBytesMax);
  if (data === null) return null;
  // There is one way only to write it, so that the same publish has the same bytes.
  return encodeValue(room, from, mid, data).equals(value) ? { room, from, mid } : null;
}

/**
 * Reads the `data` that stands from `start` up to the brace that ends an object's text. null: it is not as a client's
 * is handed on.
 */
export function readData(text: string, start: number, bytesMax: number): string | null {
  const end = text.length - 1;
  if (isSpace(text.charCodeAt(start)) || endOfValue(text, start) !== end || text[end] !== '}') return null;
  const data = text.slice(start, end);
  return data.includes('\r') || data.includes('\n') || !isData(data, bytesMax) ? null : data;
}
