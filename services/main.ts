/** `npm run services`: Redis and Kafka on this machine, for development. */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Services, ServicesError } from './services.ts';

const USAGE = `usage:
  npm run services -- start [--brokers 1|3]   start Redis and Kafka unless they run, and print where they are
  npm run services -- status                  say what runs; exits with 3 unless all does
  npm run services -- stop                    stop them; what they hold is kept

npm run --silent services -- start prints nothing else on standard output but settings for a gateway:
  export $(npm run --silent services -- start)
`;

const CACHE = fileURLToPath(new URL('../.cache', import.meta.url));
/** Another one for the tests. */
const DIRECTORY =
  process.env.TIDEGATE_SERVICES_DIRECTORY ?? fileURLToPath(new URL('../.cache/services', import.meta.url));

/** The command line is wrong; the message says how. */
class UsageError extends Error {
  override readonly name = 'UsageError';
}

async function main(args: string[]): Promise<number> {
  const { command, brokers } = readCommandLine(args);
  const services = new Services(CACHE, DIRECTORY, (line) => process.stderr.write(`${line}\n`));
  if (command === 'start') {
    const { redisUrl, kafkaBrokers } = await services.start(brokers);
    process.stdout.write(`TIDEGATE_REDIS_URL=${redisUrl}\nTIDEGATE_KAFKA_BROKERS=${kafkaBrokers}\n`);
    return 0;
  }
  if (command === 'stop') {
    await services.stop();
    return 0;
  }
  const all = await services.status();
  for (const { name, address, running, how } of all) {
    process.stdout.write(`${name.padEnd(8)} ${address.padEnd(16)} ${running ? `runs (${how})` : 'does not run'}\n`);
  }
  if (all.length === 0) process.stdout.write('nothing was started yet\n');
  process.stderr.write(`data and logs: ${DIRECTORY}\n`);
  return all.length > 0 && all.every(({ running }) => running) ? 0 : 3;
}

function readCommandLine(args: string[]): { command: string; brokers: number | undefined } {
  try {
    const options = { brokers: { type: 'string' } } as const;
    const { positionals, values } = parseArgs({ args, allowPositionals: true, options });
    const [command = '', ...rest] = positionals;
    if (!['start', 'status', 'stop'].includes(command) || rest.length > 0) throw new UsageError(USAGE);
    const { brokers } = values;
    if (brokers !== undefined && (command !== 'start' || !['1', '3'].includes(brokers))) throw new UsageError(USAGE);
    return { command, brokers: brokers === undefined ? undefined : Number(brokers) };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${(error as Error).message}\n\n${USAGE}`);
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const isTold = error instanceof UsageError || error instanceof ServicesError;
  process.stderr.write(`${isTold ? error.message : (error as Error).stack}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
