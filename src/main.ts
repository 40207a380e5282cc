#!/usr/bin/env node
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import type { Config } from './config.ts';
import { onFirstSignal } from './signals.ts';
import { VERSION } from './version.ts';

// Each command loads what it needs, and no more: a chat starts fast, and a Node that is too old is told so in words.

const USAGE = `tidegate: a real-time chat gateway for raw TCP and WebSocket

usage:
  tidegate                 run the gateway
  tidegate check           say whether the settings and the data directory are good, and what is in effect
  tidegate backup FILE     copy the log of TIDEGATE_DATA_DIR into FILE, also while a gateway runs on it
  tidegate restore FILE    make an empty TIDEGATE_DATA_DIR from FILE; the log gets a new epoch
  tidegate chat [--room ROOM]... [--user NAME]
                           chat from this shell, or in a pipe; tidegate chat --help says more
  tidegate token --user NAME [--ttl 1h] [--join PATTERNS] [--publish PATTERNS] [--presence PATTERNS]
                           print a token for trying things out, signed with TIDEGATE_JWT_SECRET; patterns are
                           comma-separated, and ** each by default
  tidegate --help          this text
  tidegate --version       the version

settings, from the environment [default]:
`;

const OPTIONS = {
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
  user: { type: 'string' },
  ttl: { type: 'string' },
  join: { type: 'string' },
  publish: { type: 'string' },
  presence: { type: 'string' },
} as const;

const BUFFER_POOL_BYTES = 65_536;

/** The command line is wrong, or this Node is; the message says how. */
class CommandLineError extends Error {
  override readonly name = 'CommandLineError';
}

const UNITS_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** What is wrong with a command, a setting or a directory: an operator can mend it, and is told in words alone. */
const OURS = ['CommandLineError', 'ConfigError', 'DataDirectoryError', 'KafkaSetupError', 'RedisSetupError'];

try {
  await run();
} catch (error) {
  const isOurs = error instanceof Error && (OURS.includes(error.name) || isListenError(error));
  process.stderr.write(`tidegate: ${isOurs ? error.message : ((error as Error).stack ?? error)}\n`);
  process.exit(1);
}

async function run(): Promise<void> {
  requireNode();
  // It has options and exit codes of its own.
  if (process.argv[2] === 'chat') process.exit(await (await import('./chat/chat.ts')).chat(process.argv.slice(3)));
  const { values, positionals } = parseCommandLine();
  const [command, file] = positionals;
  const { help, version, ...ofToken } = values;
  if (command !== 'token' && Object.keys(ofToken).length > 0) {
    throw new CommandLineError(`--${Object.keys(ofToken)[0]} belongs to tidegate token`);
  }
  if (help) process.stdout.write(`${USAGE}${(await import('./config.ts')).describeVariables()}\n`);
  else if (version) process.stdout.write(`${VERSION}\n`);
  else if (command === undefined) await serve();
  else if (command === 'check' && file === undefined) await check();
  else if (command === 'backup' && file !== undefined) await backup(file);
  else if (command === 'restore' && file !== undefined) await restore(file);
  else if (command === 'token' && file === undefined) await token(ofToken);
  else throw new CommandLineError(`cannot understand "${positionals.join(' ')}"; tidegate --help says what there is`);
}

/** The embedded log is the SQLite that Node has built in. */
function requireNode(): void {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 22 || (major === 22 && minor >= 18)) return;
  throw new CommandLineError(
    `needs Node 22.18 or newer, and this is ${process.versions.node}; npm start brings its own`,
  );
}

function parseCommandLine() {
  try {
    return parseArgs({ options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new CommandLineError(`${(error as Error).message}; tidegate --help says what there is`);
  }
}

async function serve(): Promise<void> {
  const { readConfig, withoutEffect } = await import('./config.ts');
  const { createLogger } = await import('./observability/logger.ts');
  const config = readConfig(process.env);
  const logger = createLogger({ level: config.logLevel, node: config.nodeId });
  const fail = (error: Error) => {
    logger.fatal({ err: error }, 'cannot go on');
    process.exit(1);
  };
  process.on('uncaughtException', fail);
  for (const name of withoutEffect(process.env)) logger.warn({ name }, 'set, but without effect');
  // Messages are a few hundred bytes: with the default of 8 KiB the pool they are cut from is used up all the time.
  Buffer.poolSize = BUFFER_POOL_BYTES;
  // On one core the threads that help to collect garbage only keep this one, which waits for them, from running.
  if (availableParallelism() === 1) setFlagsFromString('--no-parallel-scavenge');
  const { startApp } = await import('./app.ts');
  const app = await startApp(config, logger, fail);

  onFirstSignal(['SIGTERM', 'SIGINT'], (signal) => {
    logger.info({ signal }, 'draining');
    void app.drain().then(() => {
      logger.info({}, 'drained');
      process.exit(0);
    }, fail);
  });
  logger.info(app.ports, 'ready');
}

async function check(): Promise<void> {
  const { readConfig, withoutEffect } = await import('./config.ts');
  const { describeLog } = await import('./open-log.ts');
  const { describeRedis } = await import('./open-redis.ts');
  const { chooseEngine } = await import('./engine.ts');
  const config = readConfig(process.env);
  const { host, httpPort, tcpPort, internalHost, internalPort } = config;
  const log = await describeLog(config);
  const presence = await describeRedis(config);
  const lines = [
    `tidegate ${VERSION}, node ${process.versions.node}: the settings are good`,
    `public     http://${host}:${httpPort} and raw TCP on ${host}:${tcpPort}${config.tlsCert === null ? '' : ', both with TLS'}`,
    `internal   http://${internalHost}:${internalPort}`,
    `access     ${accessOf(config)}`,
    `log        ${log}`,
    `presence   ${presence}`,
    `websocket  ${chooseEngine(config).what}`,
    `traces     ${tracesOf(config)}`,
    ...withoutEffect(process.env).map((name) => `${name} is set, but without effect`),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

function accessOf({ auth, jwtSecret }: Config): string {
  if (auth === 'anonymous') return 'anonymous';
  return jwtSecret === null ? 'JWT, checked with keys from TIDEGATE_JWKS_URL' : 'JWT, checked with TIDEGATE_JWT_SECRET';
}

function tracesOf({ otlpEndpoint, traceSample }: Config): string {
  return otlpEndpoint === null ? 'none' : `to ${otlpEndpoint}, of ${traceSample * 100} % of publishes`;
}

async function backup(file: string): Promise<void> {
  const { readConfig } = await import('./config.ts');
  const { backupLog } = await import('./fanout/backup.ts');
  const { dataDir } = readConfig(process.env);
  await backupLog(dataDir, file);
  process.stdout.write(`the log of ${dataDir} is in ${file}\n`);
}

async function restore(file: string): Promise<void> {
  const { readConfig } = await import('./config.ts');
  const { restoreLog } = await import('./fanout/backup.ts');
  const { dataDir } = readConfig(process.env);
  await restoreLog(file, dataDir);
  process.stdout.write(`${dataDir} is made from ${file}; its log has a new epoch\n`);
}

/** Mints a token as an issuer would. */
async function token(options: Readonly<Partial<Record<'user' | 'ttl' | 'join' | 'publish' | 'presence', string>>>) {
  const { readConfig } = await import('./config.ts');
  const { mintToken } = await import('./identity/development-token.ts');
  const { jwtSecret, jwtIssuer, jwtAudience } = readConfig({ ...process.env, TIDEGATE_AUTH: 'jwt' });
  if (jwtSecret === null) throw new CommandLineError('token: TIDEGATE_JWT_SECRET must be set to what the gateway has');
  const { user, ttl = '1h' } = options;
  if (user === undefined) throw new CommandLineError('token: --user NAME is missing');
  const patterns = (list = '**') => (list === '' ? [] : list.split(','));
  const wanted = {
    secret: jwtSecret,
    user,
    ttlMs: durationMs(ttl),
    issuer: jwtIssuer,
    audience: jwtAudience,
    join: patterns(options.join),
    publish: patterns(options.publish),
    presence: patterns(options.presence),
  };
  const minted = await mintToken(wanted).catch((error: Error) => {
    throw new CommandLineError(`token: ${error.message}`);
  });
  process.stdout.write(`${minted}\n`);
}

/** `90s`, `15m`, `1h` or `7d`. */
function durationMs(text: string): number {
  const [, count, unit] = /^([1-9]\d{0,6})([smhd])$/.exec(text) ?? [];
  if (count === undefined)
    throw new CommandLineError(`token: --ttl "${text}" is no time; expected one such as 15m, 1h or 7d`);
  return Number(count) * UNITS_MS[unit as keyof typeof UNITS_MS];
}

function isListenError(error: Error): boolean {
  return 'syscall' in error && error.syscall === 'listen';
}
