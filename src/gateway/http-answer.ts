import type { ServerResponse } from 'node:http';

/** What an HTTP request is answered, whichever library writes it. */
export interface Answer {
  readonly status: number;
  /** Without `Content-Length`, which follows from the body. */
  readonly headers: Readonly<Record<string, string>>;
  /** Left out where the request was a HEAD; absent: there is none. */
  readonly body?: Buffer;
}

/** Headers under which whatever is answered is nothing but text. */
const TEXT = { 'Content-Type': 'text/plain; charset=utf-8', 'X-Content-Type-Options': 'nosniff' };

/** An answer in words, for whoever looks at it. */
export function inWords(status: number, words: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, headers: { ...TEXT, ...headers }, body: Buffer.from(`${words}\n`) };
}

/** Writes an answer with Node's own HTTP server. */
export function writeAnswer(response: ServerResponse, method: string | undefined, answer: Answer): void {
  const { status, headers, body } = answer;
  response.writeHead(status, { ...headers, ...(body !== undefined && { 'Content-Length': body.length }) });
  response.end(method === 'HEAD' ? undefined : body);
}
