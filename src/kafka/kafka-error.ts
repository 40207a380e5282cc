/** Kafka has not answered in time, and has not said why. */
export class KafkaTimeout extends Error {
  override readonly name = 'KafkaTimeout';
}

/** What Kafka calls the error at the root of one of kafkajs', if it is Kafka's. */
export function kafkaTypeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { type } = error as { type?: unknown };
  return typeof type === 'string' ? type : kafkaTypeOf(error.cause);
}
