import { readCounter } from './metrics-page.ts';

/** What replicas have done with their log, or in a time. */
export interface LogBatches {
  /** Sent to Kafka, by all of them. */
  readonly batches: number;
  /** Read from it, by one of them: each reads all. */
  readonly records: number;
}

/** Since the replicas began. */
export async function readLogBatches(internalPorts: readonly number[]): Promise<LogBatches> {
  const sent = await Promise.all(internalPorts.map((port) => readCounter(port, 'tidegate_log_batches_total')));
  const read = await readCounter(internalPorts[0] as number, 'tidegate_log_records_total');
  return {
    batches: sent.reduce((sum, counts) => sum + (counts.get('sent') ?? 0), 0),
    records: read.get('delivered') ?? 0,
  };
}

export function batchesSince(before: LogBatches, after: LogBatches): LogBatches {
  return { batches: after.batches - before.batches, records: after.records - before.records };
}
