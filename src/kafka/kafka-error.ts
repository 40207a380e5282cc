/** What Kafka calls the error at the root of one of kafkajs', if it is Kafka's. */
export function kafkaTypeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { type } = error as { type?: unknown };
  return typeof type === 'string' ? type : kafkaTypeOf(error.cause);
}
