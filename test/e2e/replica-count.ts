/** Of how many replicas a gateway of the tests is. One by itself has the embedded log, several share one on Kafka. */
export const REPLICAS = Number(process.env.TIDEGATE_TEST_REPLICAS ?? 1);
