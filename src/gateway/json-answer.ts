import type { ServerResponse } from 'node:http';

const LF = Buffer.from('\n');

/** Nothing here is for a page: none may keep it, read it from another origin, or take it for something else. */
const HEADERS = {
  'Content-Type': 'application/json',
  'Cache-Control': 'no-store',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'X-Content-Type-Options': 'nosniff',
};

/** Answers a request with one JSON text and a line feed. */
export function answerJson(
  response: ServerResponse,
  status: number,
  body: object | Buffer,
  headers: Readonly<Record<string, string>> = {},
): void {
  const json = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
  response.writeHead(status, { ...HEADERS, ...headers, 'Content-Length': json.length + LF.length });
  response.write(json);
  response.end(LF);
}
