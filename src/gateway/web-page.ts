import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';
import type { Answer } from './http-answer.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/**
 * Everything from this host and nothing inline: what others write can never become a script. `no-cache` has browsers
 * ask each time, so that what they have is never older than the gateway; the `ETag` makes that cheap.
 */
const HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-cache',
};

interface PageFile {
  readonly bytes: Buffer;
  readonly etag: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** The chat page and the client library: a handful of files, held in memory. */
export class WebPage {
  readonly #files = new Map<string, PageFile>();

  /** Reads every file of known type in `folder`. @throws if it cannot be read. */
  constructor(folder: URL) {
    for (const name of readdirSync(folder)) {
      const type = TYPES[extname(name)];
      if (type === undefined) continue;
      const bytes = readFileSync(new URL(name, folder));
      const etag = `"${createHash('sha256').update(bytes).digest('base64url')}"`;
      const headers = { ...HEADERS, 'Content-Type': type, ETag: etag };
      this.#files.set(name === 'index.html' ? '/' : `/${name}`, { bytes, etag, headers });
    }
  }

  /** What a request for one of the files is answered; null if there is none of that name. */
  answer(path: string, method: string, ifNoneMatch: string | undefined): Answer | null {
    const file = this.#files.get(path);
    if (file === undefined) return null;
    if (method !== 'GET' && method !== 'HEAD') return { status: 405, headers: { Allow: 'GET, HEAD' } };
    const { bytes, etag, headers } = file;
    return isKnown(ifNoneMatch, etag) ? { status: 304, headers } : { status: 200, headers, body: bytes };
  }
}

/** Whether the browser has the file already. A proxy that compresses may have made its tag a weak one. */
function isKnown(header: string | undefined, etag: string): boolean {
  return header?.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag) ?? false;
}
