import { z } from 'zod';
import { Grants } from './identity/grants.ts';
import type { Rate } from './protocol/limits.ts';
import { TrustedProxies } from './proxies/trusted-proxies.ts';

/** One environment variable: how it is checked, and what `--help` says of it. */
export interface Variable<T> {
  readonly schema: z.ZodType<T>;
  /** The value where the variable is absent, as it would be written. */
  readonly fallback: string;
  /** Shown as the default where `fallback` says too little. */
  readonly fallbackShown?: string;
  readonly expected: string;
  readonly help: string;
  /** Known, because deployments set it ahead of time; this version does nothing with it. */
  readonly later?: true;
}

export function text(name: string, fallback: string, help: string, more: { fallbackShown?: string } = {}) {
  return { name, schema: z.string().min(1), fallback, expected: 'some text', help, ...more };
}

export function pattern(name: string, fallback: string, form: RegExp, expected: string, help: string) {
  return { name, schema: z.string().regex(form), fallback, expected, help };
}

export function optionalText(name: string, help: string, later?: true) {
  const schema = z.string().transform((value) => (value === '' ? null : value));
  return { name, schema, fallback: '', expected: 'some text', help, ...(later && { later }) };
}

export function list(name: string, help: string, more: { fallbackShown?: string; later?: true } = {}) {
  const schema = z.string().transform((value) =>
    value
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
  );
  return { name, schema, fallback: '', expected: 'a comma-separated list', help, ...more };
}

/** `host:port` each. */
export function addresses(name: string, help: string) {
  const form = /^(\[[\da-fA-F:]+\]|[\w.-]+):\d{1,5}$/;
  const isPort = (text: string) => form.test(text) && Number(text.slice(text.lastIndexOf(':') + 1)) <= 65_535;
  const kind = list(name, help);
  return {
    ...kind,
    schema: kind.schema.refine((items) => items.every(isPort)),
    expected: 'host:port, comma-separated',
  };
}

/** Addresses and networks. */
export function networks(name: string, help: string) {
  const kind = list(name, help);
  const schema = kind.schema.transform((entries, context) => {
    try {
      return new TrustedProxies(entries);
    } catch {
      context.addIssue({ code: 'custom' });
      return z.NEVER;
    }
  });
  const expected = 'addresses and networks such as 10.0.0.0/8 or fd00::/8, comma-separated';
  return { ...kind, schema, expected };
}

/** Where Redis is: `redis://` or `rediss://`, with user, password and database where they are needed. */
export function redisUrl(name: string, help: string) {
  const schema = z
    .string()
    .refine((value) => value === '' || isRedisUrl(value))
    .transform((value) => (value === '' ? null : value));
  const expected =
    'redis://host:port, or rediss:// for TLS; with user:password@ (or :password@) and /database if needed';
  return { name, schema, fallback: '', expected, help };
}

function isRedisUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, username, password, pathname, search, hash } = new URL(text);
  try {
    // Each may have been escaped, and must be so where it has characters of a URL's own.
    for (const part of [username, password]) decodeURIComponent(part);
  } catch {
    return false;
  }
  const isWhole = (username === '' || password !== '') && search === '' && hash === '';
  return /^rediss?:$/.test(protocol) && hostname !== '' && /^(\/\d{0,4})?$/.test(pathname) && isWhole;
}

/** Where something is asked over HTTP: without user and password, and all of it known beforehand. */
export function baseUrl(name: string, help: string) {
  const schema = z
    .string()
    .refine((value) => value === '' || isBaseUrl(value))
    .transform((value) => (value === '' ? null : value));
  const expected = 'an http or https URL without user, password and query';
  return { name, schema, fallback: '', expected, help };
}

function isBaseUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, search, hash } = new URL(text);
  return /^https?:$/.test(protocol) && [username, password, search, hash].every((part) => part === '');
}

export function ratio(name: string, fallback: number, help: string) {
  const schema = z
    .string()
    .regex(/^\d(\.\d{1,9})?$/)
    .transform(Number)
    .pipe(z.number().min(0).max(1));
  return { name, schema, fallback: String(fallback), expected: 'a number from 0 to 1', help };
}

export function int(name: string, fallback: number, min: number, max: number, help: string, later?: true) {
  const schema = z.string().regex(/^\d+$/).transform(Number).pipe(z.number().int().min(min).max(max));
  const expected = `an integer from ${min} to ${max}`;
  return { name, schema, fallback: String(fallback), expected, help, ...(later && { later }) };
}

export function port(name: string, fallback: number, help: string) {
  return int(name, fallback, 0, 65_535, help);
}

export function flag(name: string, fallback: boolean, help: string) {
  const schema = z.enum(['true', 'false']).transform((value) => value === 'true');
  return { name, schema, fallback: String(fallback), expected: 'true or false', help };
}

export function choice<const T extends string>(name: string, values: readonly [T, ...T[]], fallback: T, help: string) {
  return { name, schema: z.enum(values), fallback, expected: values.join(', '), help };
}

/** Patterns as in a token's grants. */
export function grants(name: string, help: string) {
  const schema = z.string().transform((value, context) => {
    if (value === 'none') return [];
    const patterns = value.split(',').map((pattern) => pattern.trim());
    try {
      Grants.of({ join: patterns, publish: [], presence: [] }, 'somebody');
    } catch {
      context.addIssue({ code: 'custom' });
    }
    return patterns;
  });
  return { name, schema, fallback: '**', expected: 'none, or comma-separated patterns such as team/* or **', help };
}

export function rate(name: string, fallback: string, help: string) {
  const schema = z
    .string()
    .regex(/^(0|[1-9]\d{0,8}:[1-9]\d{0,8})$/)
    .transform((value): Rate | null => {
      const [perSecond = 0, burst = 0] = value.split(':').map(Number);
      return value === '0' ? null : { perSecond, burst };
    });
  const expected = '"rate per second:burst", each from 1 to 999999999, or 0 for no limit';
  return { name, schema, fallback, expected, help: `${help}, rate per second:burst; 0: no limit` };
}
