import { BOUNDS } from './bounds.ts';
import { scanObject } from './json-scan.ts';
import { isDevice, isMid, isPrintable, isRoom, isUser } from './names.ts';
import { type Check, checkKeys, type Field } from './strict-object.ts';

const bytes = (min: number, max: number) => `${min}–${max} bytes`;
const name = (max: number) => `${bytes(1, max)} of [A-Za-z0-9_.:@/-]`;

export const room: Check = (value) => (isRoom(value) ? null : `must be ${name(BOUNDS.roomBytesMax)}`);
export const device: Check = (value) => (isDevice(value) ? null : `must be ${name(BOUNDS.deviceBytesMax)}`);
export const mid: Check = (value) =>
  isMid(value) ? null : `must be 1–${BOUNDS.midBytesMax} printable ASCII characters`;
export const printable =
  (max: number): Check =>
  (value) =>
    isPrintable(value, max) ? null : `must be 1–${max} printable ASCII characters`;
export const user: Check = (value) => (isUser(value) ? null : `must be ${name(BOUNDS.userBytesMax)}`);
export const token = printable(BOUNDS.tokenBytesMax);
export const oneOf =
  (values: readonly unknown[]): Check =>
  (value) =>
    values.includes(value) ? null : `must be one of ${values.join(', ')}`;
export const flag = oneOf([true, false]);

export function required(check: Check): Field {
  return { check, required: true };
}

export function optional(check: Check): Field {
  return { check, required: false };
}

export function integer(min: number, max: number): Check {
  return (value) =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max
      ? null
      : `must be an integer from ${min} to ${max}`;
}

export function data(bytesMax: number): Check {
  return (_value, raw) => (isWithin(raw, bytesMax) ? null : `must be at most ${bytesMax} bytes`);
}

export function statusText(value: unknown): string | null {
  return typeof value === 'string' && isWithin(value, BOUNDS.statusTextBytesMax)
    ? null
    : `must be a string of at most ${BOUNDS.statusTextBytesMax} bytes`;
}

export function users(value: unknown): string | null {
  return Array.isArray(value) && value.length >= 1 && value.length <= BOUNDS.watchesMax && value.every(isUser)
    ? null
    : `must be 1–${BOUNDS.watchesMax} names, each ${name(BOUNDS.userBytesMax)}`;
}

function isWithin(text: string, bytesMax: number): boolean {
  return text.length <= bytesMax && Buffer.byteLength(text) <= bytesMax;
}

export function position(value: unknown, raw: string): string | null {
  const expected = 'must be {"epoch": string, "offset": number}';
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return expected;
  const keys = checkKeys(scanObject(raw, 0).members);
  if (keys !== null) return keys;
  const { epoch, offset, ...others } = value as Record<string, unknown>;
  return Object.keys(others).length > 0 ? expected : positionParts(epoch, offset);
}

/** What is wrong with a position's epoch or offset, or null. */
export function positionParts(epoch: unknown, offset: unknown): string | null {
  if (!isPrintable(epoch, BOUNDS.epochBytesMax)) {
    return `epoch must be 1–${BOUNDS.epochBytesMax} printable ASCII characters`;
  }
  // -1 is the position before a partition's first record.
  if (!Number.isSafeInteger(offset) || (offset as number) < -1) return 'offset must be an integer from -1 to 2^53-1';
  return null;
}
