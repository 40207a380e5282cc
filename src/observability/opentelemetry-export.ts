import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { BatchSpanProcessor, type ReadableSpan, type SpanExporter, type SpanProcessor } from '@opentelemetry/sdk-trace';
import type { LogLines } from '../fanout/log-lines.ts';

export interface SpanExportSettings {
  /** Of the collector's OTLP receiver; spans go to /v1/traces below it. */
  readonly endpoint: string;
  /** Spans that may wait for the collector, or be on their way to it. */
  readonly spansMax: number;
  /** Milliseconds between exports; a full batch goes at once. */
  readonly intervalMs: number;
}

/** What has become of spans. */
export interface SpanCounts {
  /** The collector has taken them. */
  exported: number;
  /** It has not: it could not be reached, did not answer in time, or refused. */
  failed: number;
  /** So many waited that there was no room for them. */
  dropped: number;
}

/** Spans of one request: what is encoded in one go, while nothing else is done. */
const BATCH_SPANS_MAX = 128;

/**
 * The way of spans to a collector, with bounds of its own: the SDK's queue drops without telling anybody, and does not
 * count what is on its way.
 */
export class SpanExport implements SpanProcessor {
  readonly counts: SpanCounts = { exported: 0, failed: 0, dropped: 0 };
  readonly spansMax: number;
  readonly #batches: BatchSpanProcessor;
  readonly #exporter: SpanExporter;
  readonly #logger: LogLines;
  #waiting = 0;

  constructor({ endpoint, spansMax, intervalMs }: SpanExportSettings, logger: LogLines) {
    this.spansMax = spansMax;
    this.#logger = logger;
    // What else it can be told comes from the variables that OpenTelemetry has for it.
    this.#exporter = new OTLPTraceExporter({ url: `${endpoint.replace(/\/$/, '')}/v1/traces` });
    this.#batches = new BatchSpanProcessor({
      exporter: { export: (spans, done) => this.#export(spans, done), shutdown: () => this.#exporter.shutdown() },
      maxQueueSize: spansMax,
      maxExportBatchSize: Math.min(BATCH_SPANS_MAX, spansMax),
      scheduledDelayMillis: intervalMs,
    });
  }

  /** Spans that have ended and of which the collector has not said anything. */
  get waiting(): number {
    return this.#waiting;
  }

  onStart(): void {}

  onEnd(span: ReadableSpan): void {
    if (this.#waiting >= this.spansMax) {
      this.counts.dropped += 1;
      return;
    }
    this.#waiting += 1;
    this.#batches.onEnd(span);
  }

  forceFlush(): Promise<void> {
    return this.#batches.forceFlush();
  }

  shutdown(): Promise<void> {
    return this.#batches.shutdown();
  }

  #export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    this.#exporter.export(spans, (result) => {
      const isTaken = result.code === ExportResultCode.SUCCESS;
      this.#waiting -= spans.length;
      this.counts[isTaken ? 'exported' : 'failed'] += spans.length;
      if (!isTaken) {
        const error = result.error?.message ?? 'refused';
        this.#logger.warn({ spans: spans.length, error }, 'spans could not be exported');
      }
      done(result);
    });
  }
}
