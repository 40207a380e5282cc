/**
 * The `data` of every publication that the benchmark sends: 128 bytes of JSON text, which say who sent it, as
 * its how-manyeth, and when.
 *
 *     {"text":"0042 0000001234 0000012345678 tidegate-tidegate-…"}
 *
 * The text is an object in the one form that JSON.stringify gives it, so a server that parses and encodes it
 * again (Socket.IO) delivers the same bytes as one that passes it on. Numbers have a fixed width and stand in a
 * string, where leading zeros are allowed: the client writes and reads them in place, without JSON.
 */

/** Bytes of `data` as every reader sees it, from `{` to `}`. */
export const DATA_BYTES = 128;

/** Where `data` begins in a line that holds it; nothing else in a line of any server looks like it. */
export const DATA_START = '{"text":"';

const PUBLISHER_AT = DATA_START.length;
const PUBLISHER_DIGITS = 4;
const SEQUENCE_AT = PUBLISHER_AT + PUBLISHER_DIGITS + 1;
const SEQUENCE_DIGITS = 10;
const SENT_AT = SEQUENCE_AT + SEQUENCE_DIGITS + 1;
const SENT_DIGITS = 13;
const FILLER_AT = SENT_AT + SENT_DIGITS + 1;
const DIGIT_ZERO = 48;

/** Publishers that fit the text's digits. */
export const PUBLISHERS_MAX = 10 ** PUBLISHER_DIGITS;

function template(): Buffer {
  const end = '"}';
  const numbers = `${'0'.repeat(PUBLISHER_DIGITS)} ${'0'.repeat(SEQUENCE_DIGITS)} ${'0'.repeat(SENT_DIGITS)} `;
  const filler = 'tidegate-'.repeat(DATA_BYTES).slice(0, DATA_BYTES - FILLER_AT - end.length);
  return Buffer.from(DATA_START + numbers + filler + end);
}

const TEMPLATE = template();

export interface PublicationData {
  /** Index of the publisher within the run. */
  readonly publisher: number;
  /** Counts the publisher's publications, from 0. */
  readonly sequence: number;
  /** When it was handed to the publisher's socket, in µs by the load process's monotonic clock. */
  readonly sentUs: number;
}

/** Writes `value` as `digits` decimal digits with leading zeros. */
export function writeDigits(target: Buffer, at: number, digits: number, value: number): void {
  let rest = value;
  for (let index = at + digits - 1; index >= at; index--) {
    const tenth = Math.floor(rest / 10);
    target[index] = DIGIT_ZERO + (rest - tenth * 10);
    rest = tenth;
  }
}

function readDigits(source: Buffer, at: number, digits: number): number {
  let value = 0;
  for (let index = at; index < at + digits; index++) {
    const digit = (source[index] as number) - DIGIT_ZERO;
    if (digit < 0 || digit > 9) throw new Error(`byte ${index - at} of a number in a delivery's data is not a digit`);
    value = value * 10 + digit;
  }
  return value;
}

/** Writes the 128 bytes at `at`. */
export function writeData(target: Buffer, at: number, publisher: number, sequence: number, sentUs: number): void {
  TEMPLATE.copy(target, at);
  writeDigits(target, at + PUBLISHER_AT, PUBLISHER_DIGITS, publisher);
  writeDigits(target, at + SEQUENCE_AT, SEQUENCE_DIGITS, sequence);
  writeDigits(target, at + SENT_AT, SENT_DIGITS, sentUs);
}

/**
 * Finds and reads `data` in one line of a server.
 *
 * @throws Error if any of its 128 bytes is not what a publisher of this run could have sent.
 */
export function readData(line: Buffer): PublicationData {
  const at = line.indexOf(DATA_START);
  if (at < 0 || at + DATA_BYTES > line.length) throw new Error(`no whole data in the line ${line.toString()}`);
  const fillerDiffers = line.compare(TEMPLATE, FILLER_AT, DATA_BYTES, at + FILLER_AT, at + DATA_BYTES) !== 0;
  if (fillerDiffers) throw new Error(`data was altered in the line ${line.toString()}`);
  return {
    publisher: readDigits(line, at + PUBLISHER_AT, PUBLISHER_DIGITS),
    sequence: readDigits(line, at + SEQUENCE_AT, SEQUENCE_DIGITS),
    sentUs: readDigits(line, at + SENT_AT, SENT_DIGITS),
  };
}
