import { setTimeout as delay } from 'node:timers/promises';
import {
  type Attributes,
  type Context,
  type ContextManager,
  context,
  DiagLogLevel,
  diag,
  logs,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { AlwaysOnSampler } from '@opentelemetry/sdk-trace';
import type { LogLines } from '../fanout/log-lines.ts';
import type { Appended } from '../fanout/room-log.ts';
import { CommandError, ERRORS } from '../protocol/errors.ts';
import type { Publication, PublicationTrace } from '../protocol/publication.ts';
import type { TraceContext } from '../protocol/traceparent.ts';
import { VERSION } from '../version.ts';
import { FineClock } from './fine-clock.ts';
import { type SpanCounts, SpanExport, type SpanExportSettings } from './opentelemetry-export.ts';
import type { PublishEntry, PublishTrace, TraceIds, Tracing } from './tracing.ts';

export interface TracingSettings {
  readonly export: SpanExportSettings;
  /** Of the publishes whose caller says nothing of it, how many are traced: 0–1. */
  readonly sample: number;
  /** This replica's name. */
  readonly node: string;
  /** The topic that the log is in; null: it is embedded. */
  readonly topic: string | null;
}

export interface TracingFigures extends Readonly<SpanCounts> {
  readonly waiting: number;
  readonly waitingMax: number;
}

/** Milliseconds for the last spans to be taken, at the end. */
const CLOSE_MS_MAX = 2_000;

/** How the log's part of a trace is told, after OpenTelemetry's conventions for messaging where there is a broker. */
interface LogWords {
  readonly send: { readonly name: string; readonly kind: SpanKind; readonly attributes: Attributes };
  readonly deliver: { readonly name: string; readonly kind: SpanKind; readonly attributes: Attributes };
  partition(partition: number): Attributes;
  offset(offset: number): Attributes;
}

function embeddedWords(): LogWords {
  const kind = SpanKind.INTERNAL;
  return {
    send: { name: 'commit', kind, attributes: {} },
    deliver: { name: 'deliver', kind, attributes: {} },
    partition: (partition) => ({ 'tidegate.partition': partition }),
    offset: (offset) => ({ 'tidegate.offset': offset }),
  };
}

function kafkaWords(topic: string): LogWords {
  const attributes = (name: string) => ({
    'messaging.system': 'kafka',
    'messaging.destination.name': topic,
    'messaging.operation.name': name,
    'messaging.operation.type': name,
  });
  return {
    send: { name: `send ${topic}`, kind: SpanKind.PRODUCER, attributes: attributes('send') },
    deliver: { name: `process ${topic}`, kind: SpanKind.CONSUMER, attributes: attributes('process') },
    partition: (partition) => ({ 'messaging.destination.partition.id': String(partition) }),
    offset: (offset) => ({ 'messaging.kafka.offset': offset }),
  };
}

/**
 * What goes on at the same time is told apart by what it has in hand. The library's own way costs every promise of the
 * process something.
 */
const NO_CONTEXTS: ContextManager = {
  active: () => ROOT_CONTEXT,
  with: (_context, run, self, ...args) => run.call(self as ThisParameterType<typeof run>, ...args),
  bind: (_context, target) => target,
  enable: () => NO_CONTEXTS,
  disable: () => NO_CONTEXTS,
};

/** What makes spans, and how. */
interface SpanSource {
  readonly tracer: Tracer;
  readonly clock: FineClock;
  readonly words: LogWords;
}

/** Traces by OpenTelemetry's SDK, exported by OTLP over HTTP. */
export class OpenTelemetryTracing implements Tracing {
  readonly #source: SpanSource;
  readonly #sample: number;
  readonly #export: SpanExport;
  readonly #sdk: NodeSDK;
  readonly #logger: LogLines;

  constructor(settings: TracingSettings, logger: LogLines) {
    const { sample, topic, node } = settings;
    this.#sample = sample;
    this.#logger = logger;
    const own = { 'service.name': 'tidegate', 'service.version': VERSION, 'service.instance.id': node };
    this.#export = new SpanExport(settings.export, logger);
    this.#sdk = new NodeSDK({
      resource: resourceFromAttributes(own),
      resourceDetectors: [envDetector],
      // Whoever is not traced has no span at all: that is decided before.
      sampler: new AlwaysOnSampler(),
      spanProcessors: [this.#export],
      contextManager: NO_CONTEXTS,
      ...{ textMapPropagator: null, metricReaders: [], logRecordProcessors: [] },
    });
    // What it makes of its variables. Failed exports are logged where they are counted.
    const warn = (message: string) => logger.warn({}, `OpenTelemetry: ${message}`);
    const lines = { error() {}, warn, info() {}, debug() {}, verbose() {} };
    diag.setLogger(lines, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
    this.#sdk.start();
    this.#source = {
      tracer: trace.getTracer('tidegate', VERSION),
      clock: new FineClock(),
      words: topic === null ? embeddedWords() : kafkaWords(topic),
    };
  }

  publishing(entry: PublishEntry, parent: TraceContext | null): PublishTrace | undefined {
    const isTraced = parent === null ? Math.random() < this.#sample : parent.isSampled;
    if (!isTraced) return undefined;
    return new OpenTelemetryPublishTrace(this.#source, entry, parent === null ? ROOT_CONTEXT : remote(parent));
  }

  delivered({ partition, offset }: Publication, { parent, readMs }: PublicationTrace, sessions: number): TraceIds {
    const { tracer, clock, words } = this.#source;
    const { name, kind, attributes } = words.deliver;
    const all = {
      ...attributes,
      ...words.partition(partition),
      ...words.offset(offset),
      'tidegate.sessions': sessions,
    };
    const originMs = clock.originMs();
    const span = tracer.startSpan(name, { kind, attributes: all, startTime: originMs + readMs }, remote(parent));
    span.end(originMs + performance.now());
    return idsOf(span);
  }

  figures(): TracingFigures {
    const { counts, waiting, spansMax } = this.#export;
    return { ...counts, waiting, waitingMax: spansMax };
  }

  /** Exports what waits, as far as the collector takes it in time. */
  async close(): Promise<void> {
    await Promise.race([this.#sdk.shutdown().catch(() => {}), delay(CLOSE_MS_MAX)]);
    // It was there for the whole process.
    for (const global of [trace, context, logs, diag]) global.disable();
    const { waiting } = this.#export;
    if (waiting > 0) this.#logger.warn({ spans: waiting }, 'the last spans were not exported');
  }
}

/** A stage at a time: that of the log's store, or the wait before and behind it. */
class OpenTelemetryPublishTrace implements PublishTrace {
  readonly ids: TraceIds;
  readonly #source: SpanSource;
  readonly #originMs: number;
  readonly #span: Span;
  readonly #inSpan: Context;
  #stage: Span | null = null;
  #sent: Span | null = null;
  #isOver = false;

  constructor(source: SpanSource, entry: PublishEntry, parent: Context) {
    this.#source = source;
    this.#originMs = source.clock.originMs();
    const options = { kind: SpanKind.SERVER, attributes: { 'tidegate.entry': entry }, startTime: this.#nowMs() };
    this.#span = source.tracer.startSpan('publish', options, parent);
    this.#inSpan = trace.setSpan(ROOT_CONTEXT, this.#span);
    this.ids = idsOf(this.#span);
  }

  get context(): TraceContext {
    const { traceId, spanId } = (this.#sent ?? this.#span).spanContext();
    return { traceId, spanId, isSampled: true };
  }

  queued(): void {
    this.#begin('queue', SpanKind.INTERNAL, {});
  }

  sending(partition: number, records: number): void {
    const { send, partition: partitionOf } = this.#source.words;
    const attributes = { ...send.attributes, ...partitionOf(partition), 'tidegate.batch.records': records };
    this.#sent = this.#begin(send.name, send.kind, attributes) ?? this.#sent;
  }

  retrying(): void {
    if (!this.#isOver) this.#sent?.addEvent('retry', this.#nowMs());
  }

  stored(): void {
    this.#begin('decide', SpanKind.INTERNAL, {});
  }

  succeeded({ position, duplicate }: Appended): void {
    this.#span.setAttributes({ ...this.#source.words.offset(position.offset), 'tidegate.duplicate': duplicate });
    this.#end();
  }

  failed(error: unknown): void {
    const code = error instanceof CommandError ? error.code : 'internal';
    this.#span.setAttribute('error.type', code);
    // What is the caller's own fault is no error of whoever serves it.
    if (ERRORS[code].status >= 500) {
      this.#span.setStatus({ code: SpanStatusCode.ERROR });
      this.#stage?.setAttribute('error.type', code).setStatus({ code: SpanStatusCode.ERROR });
    }
    this.#end();
  }

  /** null: its caller has been answered already, that the outcome is unknown. */
  #begin(name: string, kind: SpanKind, attributes: Attributes): Span | null {
    if (this.#isOver) return null;
    const nowMs = this.#nowMs();
    this.#stage?.end(nowMs);
    this.#stage = this.#source.tracer.startSpan(name, { kind, attributes, startTime: nowMs }, this.#inSpan);
    return this.#stage;
  }

  /** In the time of day: none of this trace is before what was before it. */
  #nowMs(): number {
    return this.#originMs + performance.now();
  }

  #end(): void {
    this.#isOver = true;
    const nowMs = this.#nowMs();
    this.#stage?.end(nowMs);
    this.#span.end(nowMs);
  }
}

function idsOf(span: Span): TraceIds {
  const { traceId, spanId } = span.spanContext();
  return { trace_id: traceId, span_id: spanId };
}

/** Somewhere else, or where it can't be told from that. */
function remote({ traceId, spanId }: TraceContext): Context {
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: TraceFlags.SAMPLED, isRemote: true });
}
