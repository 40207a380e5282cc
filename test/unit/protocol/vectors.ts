import { readFileSync } from 'node:fs';
import type { Publication } from '../../../src/protocol/publication.ts';

/** Bytes in the notation of test/vectors/README.md. */
export type Text =
  | string
  | { readonly hex: string }
  | { readonly repeat: string; readonly times: number }
  | readonly Text[];

export interface PublicationVector {
  readonly room: string;
  readonly epoch: string;
  readonly offset: number;
  readonly ts: number;
  readonly value: Text;
}

export function loadVectors<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), 'utf8')) as T;
}

export function bytesOf(text: Text): Buffer {
  if (typeof text === 'string') return Buffer.from(text);
  if (isParts(text)) return Buffer.concat(text.map(bytesOf));
  return 'hex' in text ? Buffer.from(text.hex, 'hex') : Buffer.from(text.repeat.repeat(text.times));
}

export function textOf(text: Text): string {
  return bytesOf(text).toString('utf8');
}

export function publicationOf({ value, ...rest }: PublicationVector): Publication {
  return { ...rest, partition: 0, value: bytesOf(value) };
}

/** A value with the texts in it written out, however deep they stand. `users` is a list of texts, not one in parts. */
export function written(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value) || 'repeat' in value || 'hex' in value) return textOf(value as Text);
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key === 'users' ? (inner as readonly Text[]).map(textOf) : written(inner),
    ]),
  );
}

function isParts(text: Text): text is readonly Text[] {
  return Array.isArray(text);
}
