import { BOUNDS } from './bounds.ts';

// The alphabet is ASCII, so that characters are bytes and no name needs an escape in JSON or a terminal.
const NAME = /^[A-Za-z0-9_.:@/-]+$/;
const PRINTABLE = /^[\x20-\x7e]+$/;

export function isUser(value: unknown): value is string {
  return isName(value, BOUNDS.userBytesMax);
}

export function isRoom(value: unknown): value is string {
  return isName(value, BOUNDS.roomBytesMax);
}

export function isDevice(value: unknown): value is string {
  return isName(value, BOUNDS.deviceBytesMax);
}

export function isMid(value: unknown): value is string {
  return isPrintable(value, BOUNDS.midBytesMax);
}

/** 1 to `bytesMax` printable ASCII bytes. */
export function isPrintable(value: unknown, bytesMax: number): value is string {
  return typeof value === 'string' && value.length <= bytesMax && PRINTABLE.test(value);
}

function isName(value: unknown, bytesMax: number): value is string {
  return typeof value === 'string' && value.length <= bytesMax && NAME.test(value);
}
