import type { Config } from './config.ts';
import type { LogLines } from './fanout/log-lines.ts';
import type { OpenTelemetryTracing } from './observability/opentelemetry-tracing.ts';

/** Traces to the collector that the settings name, where they name one. It need not be reachable. */
export async function openTracing(config: Config, logger: LogLines): Promise<OpenTelemetryTracing | null> {
  const { otlpEndpoint, kafkaBrokers, prefix, traceSample, traceSpansMax, traceExportMs } = config;
  if (otlpEndpoint === null) return null;
  // Who traces nothing does without the library as well.
  const { OpenTelemetryTracing: Traces } = await import('./observability/opentelemetry-tracing.ts');
  const settings = {
    export: { endpoint: otlpEndpoint, spansMax: traceSpansMax, intervalMs: traceExportMs },
    sample: traceSample,
    node: config.nodeId,
    topic: kafkaBrokers.length > 0 ? `${prefix}.rooms` : null,
  };
  logger.info({ sample: traceSample }, 'publishes are traced');
  return new Traces(settings, logger);
}
