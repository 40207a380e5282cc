/** `npm run cluster`: Redis, Kafka, replicas and a balancer on this machine, for development. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ServicesError } from '../services/services.ts';
import { ConfigError } from '../src/config.ts';
import { onFirstSignal } from '../src/signals.ts';
import { Cluster, type ClusterOptions } from './cluster.ts';
import { ClusterError } from './cluster-error.ts';
import { ask, CALLS, type Call, Control } from './control.ts';
import { LogView } from './log-view.ts';

const USAGE = `usage:
  npm run cluster -- [up] [--replicas 3] [--http-port 8080] [--tcp-port 7000] [--brokers 1|3]
                                 build, start it, and show what all of it logs; Ctrl-C stops it, a second one at once
  npm run cluster -- roll        build, and restart the replicas one by one, each when it has drained
  npm run cluster -- status      say what runs; exits with 3 unless all does
  npm run cluster -- down        stop it, also what is left of one that was killed

--no-build: with what was built before
--directory D, of all of these: where state, data and logs are; each has a cluster of its own [.cache/cluster]
A port of 0 is any that is free. Settings of replicas are taken from the environment: tidegate --help lists them.
`;

const DIRECTORY = fileURLToPath(new URL('../.cache/cluster', import.meta.url));
const OPTIONS = {
  replicas: { type: 'string' },
  'http-port': { type: 'string' },
  'tcp-port': { type: 'string' },
  brokers: { type: 'string' },
  'no-build': { type: 'boolean' },
  directory: { type: 'string' },
} as const;
/** Exit code of `status`. */
const NOT_WHOLE = 3;
/** As many as the balancer's configuration has places for. */
const REPLICAS_MAX = 9;
const PORT_MAX = 65_535;

/** The command line is wrong; the message says how. */
class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Somebody can do something about these, and is told in words alone. */
const TOLD = [UsageError, ClusterError, ServicesError, ConfigError];

async function main(args: string[]): Promise<number> {
  const { command, options, builds } = readCommandLine(args);
  if (builds) await build();
  const view = new LogView(process.stdout);
  // From here: a socket's path can't be long.
  const socket = relative('', join(options.directory, 'control.sock'));
  const cluster = new Cluster(options, view);
  if (command === 'up') return up(cluster, socket, view);
  const code = await ask(socket, command, (line) => view.print([line]));
  if (code !== null) return code;
  if (command === 'down') {
    await cluster.endLeftovers();
    return 0;
  }
  const left = await cluster.leftovers();
  const words = left.length === 0 ? '' : `; ${left.join(', ')} of one that was killed do: npm run cluster -- down`;
  view.print([`no cluster runs${words}`]);
  return command === 'status' ? NOT_WHOLE : 1;
}

/** Resolves when it is stopped. @throws whatever keeps it from coming up, when all of it is stopped */
async function up(cluster: Cluster, socket: string, view: LogView): Promise<number> {
  const asked = Promise.withResolvers<Error | null>();
  const stopped = asked.promise.then(() => cluster.stop());
  const control = await Control.open(socket, async (call, say) => {
    if (call === 'roll') return cluster.roll(say).then(() => 0);
    if (call === 'down') {
      asked.resolve(null);
      return stopped.then(() => 0);
    }
    const { lines, isWhole } = await cluster.status();
    for (const line of lines) say(line);
    return isWhole ? 0 : NOT_WHOLE;
  });
  const stop = () => {
    view.print(['', 'stopping, replicas first, as they drain; once more, and all ends at once', '']);
    asked.resolve(null);
  };
  onFirstSignal(['SIGINT', 'SIGTERM', 'SIGHUP'], stop, () => void cluster.kill().finally(() => process.exit(1)));
  // Nobody looks on any more.
  process.stdout.on('error', () => asked.resolve(null));
  cluster.start().then(
    () => view.print(cluster.describe()),
    (error: Error) => asked.resolve(error),
  );
  const failure = await asked.promise;
  await stopped;
  await control.close();
  if (failure !== null) throw failure;
  return 0;
}

async function build(): Promise<void> {
  const npm = spawn('npm', ['run', '--silent', 'build'], { stdio: 'inherit' });
  const [code] = (await once(npm, 'exit')) as [number | null];
  if (code !== 0) throw new ClusterError('it could not be built');
}

function readCommandLine(args: string[]): { command: 'up' | Call; options: ClusterOptions; builds: boolean } {
  const { positionals, values } = parse(args);
  const [command = 'up', ...rest] = positionals;
  if ((command !== 'up' && !isCall(command)) || rest.length > 0) throw new UsageError(USAGE);
  const { directory = DIRECTORY, 'no-build': isBuilt = false, ...ofUp } = values;
  if (command !== 'up' && Object.keys(ofUp).length > 0) throw new UsageError(USAGE);
  const options = {
    replicas: numberOf(values.replicas, 3, 1, REPLICAS_MAX),
    httpPort: numberOf(values['http-port'], 8_080, 0, PORT_MAX),
    tcpPort: numberOf(values['tcp-port'], 7_000, 0, PORT_MAX),
    brokers: numberOf(values.brokers, 1, 1, 3),
    directory: resolve(directory),
  };
  if (options.brokers === 2) throw new UsageError(USAGE);
  return { command, options, builds: !isBuilt && (command === 'up' || command === 'roll') };
}

function parse(args: string[]) {
  try {
    return parseArgs({ args, allowPositionals: true, options: OPTIONS });
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n\n${USAGE}`);
  }
}

function isCall(command: string): command is Call {
  return (CALLS as readonly string[]).includes(command);
}

function numberOf(text: string | undefined, fallback: number, min: number, max: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max) throw new UsageError(USAGE);
  return value;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const isTold = TOLD.some((kind) => error instanceof kind);
  process.stderr.write(`${isTold ? (error as Error).message : (error as Error).stack}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
