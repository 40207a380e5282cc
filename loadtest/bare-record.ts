/** What bare kafkajs carries: as many bytes as a publication of tidegate's has in Kafka, with its key and headers. */

export interface BareRecord {
  /** Counts the records of the run, from 0. */
  readonly sequence: number;
  /** When it was due, by `clockUs`. */
  readonly dueUs: number;
}

const VALUE_BYTES = 290;
const SEQUENCE_AT = 0;
const DUE_AT = 8;

export function encodeBareRecord({ sequence, dueUs }: BareRecord): Buffer {
  const value = Buffer.alloc(VALUE_BYTES, 'tidegate-');
  value.writeDoubleBE(sequence, SEQUENCE_AT);
  value.writeDoubleBE(dueUs, DUE_AT);
  return value;
}

/** @throws Error if it is none */
export function readBareRecord(value: Buffer | null): BareRecord {
  if (value?.length !== VALUE_BYTES) throw new Error(`a record of ${value?.length} bytes`);
  return { sequence: value.readDoubleBE(SEQUENCE_AT), dueUs: value.readDoubleBE(DUE_AT) };
}

/** Microseconds, the same for all threads. */
export function clockUs(): number {
  return Number(process.hrtime.bigint()) / 1000;
}
