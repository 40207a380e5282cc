import type { Config } from './config.ts';
import type { LogLines } from './fanout/log-lines.ts';
import type { OpenTelemetryTracing } from './observability/opentelemetry-tracing.ts';

/**
 * Traces to the collector that the settings name, where they name one. It need not be reachable.
 *
 * @param topic that the log is in; null: it is in none
 */
export async function openTracing(
  config: Config,
  topic: string | null,
  logger: LogLines,
): Promise<OpenTelemetryTracing | null> {
  const { otlpEndpoint, traceSample, traceSpansMax, traceExportMs } = config;
  // OpenTelemetry's own switch: nothing would come of it.
  if (otlpEndpoint === null || process.env.OTEL_SDK_DISABLED?.trim().toLowerCase() === 'true') return null;
  // Who traces nothing does without the library as well.
  const { OpenTelemetryTracing: Traces } = await import('./observability/opentelemetry-tracing.ts');
  const settings = {
    export: { endpoint: otlpEndpoint, spansMax: traceSpansMax, intervalMs: traceExportMs },
    sample: traceSample,
    node: config.nodeId,
    topic,
  };
  logger.info({ sample: traceSample }, 'publishes are traced');
  return new Traces(settings, logger);
}
