import type { PublishTrace } from '../../src/observability/tracing.ts';

/** Notes what it is told. */
export class FakeTrace implements PublishTrace {
  readonly ids = { trace_id: 'a'.repeat(32), span_id: 'b'.repeat(16) };
  readonly context = { traceId: 'a'.repeat(32), spanId: 'c'.repeat(16), isSampled: true };
  readonly told: unknown[] = [];

  queued(): void {
    this.told.push('queued');
  }

  sending(partition: number, records: number): void {
    this.told.push(`sending to ${partition} with ${records}`);
  }

  retrying(): void {
    this.told.push('retrying');
  }

  stored(): void {
    this.told.push('stored');
  }

  succeeded(appended: object): void {
    this.told.push(appended);
  }

  failed(error: unknown): void {
    this.told.push(error);
  }
}
