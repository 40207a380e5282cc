import type { Appended } from '../fanout/room-log.ts';
import type { FramingName } from '../protocol/dialect.ts';
import type { Publication, PublicationTrace } from '../protocol/publication.ts';
import type { TraceContext } from '../protocol/traceparent.ts';

/** What log lines and exemplars call a place in a trace, under the names that tools look for. */
export interface TraceIds {
  readonly trace_id: string;
  readonly span_id: string;
}

/** What a publish came by: how its session is framed, or the server API. */
export type PublishEntry = FramingName | 'api';

/**
 * Traces of publishes, from the command to the deliveries on all replicas. What is called here does not throw, and waits
 * for nothing. None of it is told a user, a room or what was said.
 */
export interface Tracing {
  /**
   * Begins the trace of a publish; undefined: it is not among those that are traced.
   *
   * @param parent where its caller's trace stands, which says then whether it is recorded
   */
  publishing(entry: PublishEntry, parent: TraceContext | null): PublishTrace | undefined;

  /** A publication that came out of the log with a trace was handed to the sockets of so many sessions here. */
  delivered(publication: Publication, trace: PublicationTrace, sessions: number): TraceIds;
}

/**
 * The trace of one publish on the replica that it came to. It ends once, with `succeeded` or `failed`; which of the others
 * are called before, in this order, depends on how far it comes. What is called behind its end has no effect: a record may
 * be under way for longer than its caller waits.
 */
export interface PublishTrace {
  readonly ids: TraceIds;
  /** Where those who deliver the record go on; it is that of the whole publish until that goes to the log. */
  readonly context: TraceContext;
  /** It waits its turn to go to the log. */
  queued(): void;
  /** It goes to the log, in a batch of so many records. */
  sending(partition: number, records: number): void;
  /** The batch did not get there, for all that is known, and goes again. */
  retrying(): void;
  /** The brokers have it; what it counts for is for the tail to decide. */
  stored(): void;
  /** It was acknowledged. */
  succeeded(appended: Appended): void;
  /** @param error what it was answered with, or what kept it from being so */
  failed(error: unknown): void;
}
