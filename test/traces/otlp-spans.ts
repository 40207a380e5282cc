/** A span as a collector is told of it. */
export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty: it has none. */
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: (typeof KINDS)[number];
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly events: readonly string[];
  readonly status: 'unset' | 'ok' | 'error';
  /** Of the process that has made it. */
  readonly resource: Readonly<Record<string, unknown>>;
}

const KINDS = ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer'] as const;
const STATUSES = ['unset', 'ok', 'error'] as const;

/** A field of a message: a varint or fixed number, or bytes. */
type Field = bigint | Buffer;
/** By number, each as often as it stands there. */
type Message = ReadonlyMap<number, readonly Field[]>;

/**
 * Reads an ExportTraceServiceRequest of OTLP's protobuf. The numbers of fields are those of opentelemetry-proto 1; the
 * message is read by its wire format, and by nothing of what has written it.
 */
export function readSpans(request: Buffer): ReceivedSpan[] {
  return messages(read(request), 1).flatMap((ofResource) => {
    const resource = attributesOf(messages(ofResource, 1)[0] ?? new Map(), 1);
    return messages(ofResource, 2).flatMap((ofScope) => messages(ofScope, 2).map((span) => spanOf(span, resource)));
  });
}

function spanOf(span: Message, resource: ReceivedSpan['resource']): ReceivedSpan {
  const status = messages(span, 15)[0];
  return {
    traceId: bytes(span, 1).toString('hex'),
    spanId: bytes(span, 2).toString('hex'),
    parentSpanId: bytes(span, 4).toString('hex'),
    name: bytes(span, 5).toString(),
    kind: KINDS[Number(number(span, 6))] ?? 'unspecified',
    startNs: number(span, 7),
    endNs: number(span, 8),
    attributes: attributesOf(span, 9),
    events: messages(span, 11).map((event) => bytes(event, 2).toString()),
    status: STATUSES[status === undefined ? 0 : Number(number(status, 3))] ?? 'unset',
    resource,
  };
}

function attributesOf(message: Message, field: number): Record<string, unknown> {
  return Object.fromEntries(
    messages(message, field).map((pair) => [bytes(pair, 1).toString(), attributeOf(messages(pair, 2)[0] ?? new Map())]),
  );
}

function attributeOf(value: Message): unknown {
  if (value.has(1)) return bytes(value, 1).toString();
  if (value.has(2)) return number(value, 2) !== 0n;
  if (value.has(3)) return Number(BigInt.asIntN(64, number(value, 3)));
  if (value.has(4)) {
    const double = Buffer.alloc(8);
    double.writeBigUInt64LE(number(value, 4));
    return double.readDoubleLE();
  }
  throw new Error(`an attribute has a value of a kind that none of ours has: ${[...value.keys()]}`);
}

function number(message: Message, field: number): bigint {
  const value = message.get(field)?.[0] ?? 0n;
  if (typeof value !== 'bigint') throw new Error(`field ${field} is no number`);
  return value;
}

function bytes(message: Message, field: number): Buffer {
  const value = message.get(field)?.[0] ?? Buffer.alloc(0);
  if (typeof value === 'bigint') throw new Error(`field ${field} is a number`);
  return value;
}

function messages(message: Message, field: number): Message[] {
  return (message.get(field) ?? []).map((value) => {
    if (typeof value === 'bigint') throw new Error(`field ${field} is a number`);
    return read(value);
  });
}

function read(buffer: Buffer): Message {
  const fields = new Map<number, Field[]>();
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = buffer.readUInt8(at++);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const slice = (length: number): Buffer => {
    if (at + length > buffer.length) throw new Error('a field is longer than its message');
    at += length;
    return buffer.subarray(at - length, at);
  };
  while (at < buffer.length) {
    const tag = Number(varint());
    const wire = tag & 7;
    const value =
      wire === 0
        ? varint()
        : wire === 1
          ? slice(8).readBigUInt64LE()
          : wire === 2
            ? slice(Number(varint()))
            : wire === 5
              ? BigInt(slice(4).readUInt32LE())
              : undefined;
    if (value === undefined) throw new Error(`a field has wire type ${wire}`);
    fields.set(tag >> 3, [...(fields.get(tag >> 3) ?? []), value]);
  }
  return fields;
}
