import type { TraceContext } from './traceparent.ts';

/** Where the trace of a publication goes on that has just come out of the log. */
export interface PublicationTrace {
  /** Of the publish, as it went to the log; it is sampled. */
  readonly parent: TraceContext;
  /** When it came out, by the monotonic clock. */
  readonly readMs: number;
}

/**
 * One decided record of a room's log, encoded once: every reader of every transport gets bytes derived from
 * `value`, which holds the publisher's `data` untouched.
 */
export interface Publication {
  readonly room: string;
  readonly partition: number;
  readonly epoch: string;
  readonly offset: number;
  /** Milliseconds since 1970 by the log's clock; never falls within a partition of the embedded log. */
  readonly ts: number;
  /** `{"room":…,"from":…,"mid":…,"data":…}` in UTF-8, without a line break. */
  readonly value: Buffer;
  /** Only of those that are traced, and not kept. */
  readonly trace?: PublicationTrace | undefined;
}

/** The bytes of a record's value. `data` is JSON text that was checked already and is spliced in as it came. */
export function encodeValue(room: string, from: string, mid: string, data: string): Buffer {
  // Names need no escapes: their alphabet has neither quotes nor backslashes. A mid may have both.
  return Buffer.from(`{"room":"${room}","from":"${from}","mid":${quoted(mid)},"data":${data}}`);
}

/** Printable ASCII as JSON. */
export function quoted(text: string): string {
  return text.includes('"') || text.includes('\\') ? JSON.stringify(text) : `"${text}"`;
}

/**
 * The same with bytes of its own, and without its trace, for what is kept: else all that it was read together with would
 * be kept as well.
 */
export function withOwnBytes(publication: Publication): Publication {
  return { ...publication, value: Buffer.from(publication.value), trace: undefined };
}
