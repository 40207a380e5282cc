import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { missingForKafka, missingForRedis } from '../../services/missing.ts';
import { Services } from '../../services/services.ts';

const CACHE = fileURLToPath(new URL('../../.cache', import.meta.url));
/** With the pid of the run that they serve, so that what a killed one has left can be told. */
const PREFIX = 'test-services-';

/** Where the tests find Redis and Kafka; undefined: they are left out. */
export const REDIS_URL = process.env.TIDEGATE_TEST_REDIS_URL;
export const KAFKA_BROKERS = process.env.TIDEGATE_TEST_KAFKA_BROKERS;

/** For vitest, once a run: starts what the tests need, unless it was told where that is. */
export default async function setUp(): Promise<(() => Promise<void>) | undefined> {
  if (areGiven()) return undefined;
  const missing = await missingForServices();
  if (missing.length > 0) {
    const words = `without Redis and Kafka, as this is missing:\n${missing.map((each) => `  ${each}`).join('\n')}`;
    if (process.env.CI) throw new Error(`the tests can't run ${words}`);
    console.warn(`\nTESTS ARE LEFT OUT: they run ${words}\n`);
    return undefined;
  }
  await removeLeftovers();
  const directory = join(CACHE, `${PREFIX}${process.pid}`);
  const services = new Services(CACHE, directory, () => {});
  const { redisUrl, kafkaBrokers } = await services.start();
  process.env.TIDEGATE_TEST_REDIS_URL = redisUrl;
  process.env.TIDEGATE_TEST_KAFKA_BROKERS = kafkaBrokers;
  return async () => {
    await services.stop();
    rmSync(directory, { recursive: true, force: true });
  };
}

/** What tests with Redis and Kafka need and is not there, in words. */
export async function missingForServices(): Promise<string[]> {
  return areGiven() ? [] : [...(await missingForRedis()), ...(await missingForKafka(CACHE))];
}

function areGiven(): boolean {
  return process.env.TIDEGATE_TEST_REDIS_URL !== undefined && process.env.TIDEGATE_TEST_KAFKA_BROKERS !== undefined;
}

async function removeLeftovers(): Promise<void> {
  mkdirSync(CACHE, { recursive: true });
  const names = readdirSync(CACHE).filter((name) => name.startsWith(PREFIX));
  const dead = names.filter((name) => !existsSync(`/proc/${name.slice(PREFIX.length)}`));
  for (const name of dead) {
    const directory = join(CACHE, name);
    await new Services(CACHE, directory, () => {}).stop();
    rmSync(directory, { recursive: true, force: true });
  }
}
