import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { z } from 'zod';

/** One environment variable: how it is checked, and what `--help` says of it. */
interface Variable<T> {
  readonly schema: z.ZodType<T>;
  /** The value where the variable is absent, as it would be written. */
  readonly fallback: string;
  /** Shown as the default where `fallback` says too little. */
  readonly fallbackShown?: string;
  readonly expected: string;
  readonly help: string;
  /** Known, because deployments set it ahead of time; this version does nothing with it. */
  readonly later?: true;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const MIB = 1_048_576;

/** Every variable that the gateway knows, by the name of the setting that it becomes. */
const VARIABLES = {
  host: text('TIDEGATE_HOST', '127.0.0.1', 'address of the public ports'),
  httpPort: port('TIDEGATE_HTTP_PORT', 8080, 'WebSocket at /ws, chat page at /; 0 picks a free port'),
  tcpPort: port('TIDEGATE_TCP_PORT', 7000, 'raw TCP; 0 picks a free port'),
  internalHost: text('TIDEGATE_INTERNAL_HOST', '127.0.0.1', 'address of the internal port'),
  internalPort: port('TIDEGATE_INTERNAL_PORT', 9100, 'health; 0 picks a free port'),
  tlsCert: optionalText('TIDEGATE_TLS_CERT', 'PEM file: with TIDEGATE_TLS_KEY, TLS on both public ports'),
  tlsKey: optionalText('TIDEGATE_TLS_KEY', 'PEM file'),
  origins: list('TIDEGATE_ORIGINS', 'origins of pages that may connect besides the own one, comma-separated'),
  hosts: list('TIDEGATE_HOSTS', 'host names that requests may name, without ports, comma-separated', {
    fallbackShown: 'localhost,127.0.0.1,[::1] and TIDEGATE_HOST',
  }),
  dataDir: text('TIDEGATE_DATA_DIR', './data', "the log's directory"),
  nodeId: text('TIDEGATE_NODE_ID', `${hostname()}-${randomBytes(3).toString('hex')}`, "this node's name", {
    fallbackShown: 'host name and a random part',
  }),
  publicAnonymous: flag(
    'TIDEGATE_PUBLIC_ANONYMOUS',
    false,
    'allow anonymous access on an address that is not loopback',
  ),
  logLevel: choice(
    'TIDEGATE_LOG_LEVEL',
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
    'info',
    'least level of what is logged',
  ),
  auth: choice('TIDEGATE_AUTH', ['anonymous', 'jwt'], 'anonymous', 'who may connect; jwt is not there yet'),
  wsEngine: choice('TIDEGATE_WS_ENGINE', ['auto', 'uws', 'ws'], 'auto', 'WebSocket engine; uws is not there yet'),
  drainMs: int('TIDEGATE_DRAIN_MS', 25_000, 0, HOUR_MS, 'milliseconds that a planned end may take'),
  partitions: int('TIDEGATE_PARTITIONS', 16, 1, 4_096, 'partitions of the log, fixed when it is made'),
  dedupeWindowMs: int(
    'TIDEGATE_DEDUPE_WINDOW_MS',
    180_000,
    1_000,
    DAY_MS,
    'milliseconds for which a mid is remembered; clients retry for 60 s',
  ),
  retentionMs: int('TIDEGATE_RETENTION_MS', DAY_MS, 1_000, 3_650 * DAY_MS, 'age up to which messages are kept'),
  retentionBytes: int('TIDEGATE_RETENTION_BYTES', 8_192 * MIB, MIB, 2 ** 50, 'size up to which messages are kept'),
  retentionIntervalMs: int('TIDEGATE_RETENTION_INTERVAL_MS', 60_000, 100, DAY_MS, 'how often the two are looked at'),
  appendTimeoutMs: int('TIDEGATE_APPEND_TIMEOUT_MS', 15_000, 100, HOUR_MS, 'until a publish has an unknown outcome'),
  appendQueueRecordsMax: int(
    'TIDEGATE_APPEND_QUEUE_RECORDS_MAX',
    4_000,
    1,
    1_000_000,
    'publishes that wait for the disk',
  ),
  appendQueueBytesMax: int('TIDEGATE_APPEND_QUEUE_BYTES_MAX', 8 * MIB, 65_536, 2 ** 40, 'bytes of publishes that wait'),
  appendQueueWaitMs: int('TIDEGATE_APPEND_QUEUE_WAIT_MS', 2_000, 10, HOUR_MS, 'milliseconds that a publish may wait'),
  connectionsMax: int('TIDEGATE_CONNECTIONS_MAX', 100_000, 1, 10_000_000, 'connections; more are sent away'),
  connectTimeoutMs: int('TIDEGATE_CONNECT_TIMEOUT_MS', 10_000, 50, HOUR_MS, "milliseconds for a client's connect"),
  firstLineTimeoutMs: int(
    'TIDEGATE_FIRST_LINE_TIMEOUT_MS',
    120_000,
    50,
    HOUR_MS,
    "milliseconds for a person's first line",
  ),
  greetingMs: int('TIDEGATE_GREETING_MS', 500, 0, HOUR_MS, 'milliseconds of silence before a person is greeted'),
  catchUpTimeoutMs: int('TIDEGATE_CATCH_UP_TIMEOUT_MS', 60_000, 50, HOUR_MS, 'milliseconds to ask for the next page'),
  retryWindowMs: int('TIDEGATE_RETRY_WINDOW_MS', 1_000, 0, 60_000, 'window over which clients spread their return'),
  outboxBytesMax: int('TIDEGATE_OUTBOX_BYTES_MAX', MIB, 524_288, 2 ** 30, 'bytes that may wait for one session'),
  unsharedBytesMax: int(
    'TIDEGATE_UNSHARED_BYTES_MAX',
    256 * MIB,
    MIB,
    2 ** 40,
    'bytes of replies that may wait in all',
  ),
  tickMaxMs: int('TIDEGATE_TICK_MAX_MS', 5, 0, 1_000, 'milliseconds over which a busy node gathers deliveries'),
  backlog: int('TIDEGATE_BACKLOG', 4_096, 1, 65_535, 'connections that the kernel queues'),
  apiKeys: list('TIDEGATE_API_KEYS', 'keys of the server API', { later: true }),
  ticketSecret: optionalText('TIDEGATE_TICKET_SECRET', 'secret that replicas share', true),
  redisUrl: optionalText('TIDEGATE_REDIS_URL', 'Redis of a cluster; not there yet'),
  kafkaBrokers: list('TIDEGATE_KAFKA_BROKERS', 'Kafka brokers of a cluster; not there yet'),
  kafkaReplication: optionalText('TIDEGATE_KAFKA_REPLICATION', 'replicas of the topics', true),
  prefix: text('TIDEGATE_PREFIX', 'tidegate', 'prefix of Kafka topics and Redis keys', { later: true }),
  jwtSecret: optionalText('TIDEGATE_JWT_SECRET', 'key of HS256 tokens', true),
  jwksUrl: optionalText('TIDEGATE_JWKS_URL', 'where public keys of tokens are', true),
  jwtIssuer: optionalText('TIDEGATE_JWT_ISSUER', 'issuer that tokens must name', true),
  jwtAudience: optionalText('TIDEGATE_JWT_AUDIENCE', 'audience that tokens must name', true),
  heartbeatMs: int('TIDEGATE_HEARTBEAT_MS', 25_000, 500, HOUR_MS, 'heartbeat interval', true),
  graceMs: int('TIDEGATE_GRACE_MS', 15_000, 0, HOUR_MS, 'presence grace', true),
  sessionsPerUser: int('TIDEGATE_SESSIONS_PER_USER', 16, 0, 1_000_000, 'sessions of one user', true),
  sessionsPerAddress: int('TIDEGATE_SESSIONS_PER_ADDRESS', 0, 0, 10_000_000, 'sessions of one address', true),
  limitCommands: rate('TIDEGATE_LIMIT_COMMANDS', '200:400', 'commands of one session'),
  limitPublishes: rate('TIDEGATE_LIMIT_PUBLISHES', '50:100', 'publishes of one session'),
  limitSignals: rate('TIDEGATE_LIMIT_SIGNALS', '20:40', 'signals of one session'),
  limitBytes: rate('TIDEGATE_LIMIT_BYTES', '262144:1048576', 'bytes of one session'),
} as const;

type Variables = typeof VARIABLES;

/** The settings of a process. Durations are in milliseconds, sizes in bytes. */
export type Config = {
  readonly [Name in keyof Variables]: Variables[Name] extends Variable<infer T> ? T : never;
};

/** A setting is wrong; the message names the variable, its value and what was expected. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** Kubernetes sets these for a service called tidegate; and tests have switches of their own. */
const FOREIGN = /^TIDEGATE_(TEST_|SERVICE_|PORT(_|$))/;
const SECRETS: ReadonlySet<string> = new Set([
  'TIDEGATE_API_KEYS',
  'TIDEGATE_TICKET_SECRET',
  'TIDEGATE_JWT_SECRET',
  'TIDEGATE_REDIS_URL',
]);

/**
 * Reads the settings from the environment. An empty value counts as absent.
 *
 * @throws ConfigError on an unknown or bad variable, or on ones that contradict each other.
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const known = new Set<string>(Object.values(VARIABLES).map(({ name }) => name));
  for (const name of Object.keys(env)) {
    if (name.startsWith('TIDEGATE_') && !known.has(name) && !FOREIGN.test(name)) {
      throw new ConfigError(`${name} is no setting of this version; tidegate --help lists them`);
    }
  }
  const config: Record<string, unknown> = {};
  for (const [setting, { name, schema, fallback, expected }] of Object.entries(VARIABLES)) {
    const given = env[name];
    const result = schema.safeParse(given === undefined || given === '' ? fallback : given);
    if (!result.success) {
      const shown = SECRETS.has(name) ? 'the value given' : `"${given}"`;
      throw new ConfigError(`${name}: ${shown} is not valid; expected ${expected}`);
    }
    config[setting] = result.data;
  }
  // The table's schemas made every value, so that the record is a Config.
  const complete = config as Config;
  checkTogether(complete);
  return complete.hosts.length > 0
    ? complete
    : { ...complete, hosts: ['localhost', '127.0.0.1', '[::1]', complete.host] };
}

/** Variables that are set, but that this version does nothing with. */
export function withoutEffect(env: Readonly<Record<string, string | undefined>>): readonly string[] {
  return Object.values<Variable<unknown> & { readonly name: string }>(VARIABLES)
    .filter(({ name, later }) => later && env[name] !== undefined && env[name] !== '')
    .map(({ name }) => name);
}

/** The table that `--help` prints: a line each. */
export function describeVariables(): string {
  const lines = Object.values<Variable<unknown> & { readonly name: string }>(VARIABLES).map((variable) => {
    const { name, fallback, fallbackShown, help, later } = variable;
    const shown = fallbackShown ?? (fallback === '' ? 'none' : fallback);
    return `  ${name.padEnd(34)} ${later ? '(no effect yet) ' : ''}${help} [${shown}]`;
  });
  return lines.join('\n');
}

/** Whether an address is this machine's own, which nobody else can reach. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127\./.test(host);
}

function checkTogether(config: Config): void {
  if ((config.tlsCert === null) !== (config.tlsKey === null)) {
    throw new ConfigError('TIDEGATE_TLS_CERT and TIDEGATE_TLS_KEY go together: one of them is missing');
  }
  // What asks for protection or a cluster must not be ignored.
  if (config.auth === 'jwt') throw new ConfigError('TIDEGATE_AUTH: "jwt" is not there yet; expected anonymous');
  if (config.wsEngine === 'uws')
    throw new ConfigError('TIDEGATE_WS_ENGINE: "uws" is not there yet; expected ws or auto');
  if (config.redisUrl !== null || config.kafkaBrokers.length > 0) {
    throw new ConfigError('TIDEGATE_REDIS_URL and TIDEGATE_KAFKA_BROKERS: this version cannot be a replica yet');
  }
  if (!isLoopback(config.host) && !config.publicAnonymous) {
    throw new ConfigError(
      `TIDEGATE_HOST: "${config.host}" is reachable by others, and access is anonymous; ` +
        'set TIDEGATE_PUBLIC_ANONYMOUS=true if that is meant',
    );
  }
}

function text(name: string, fallback: string, help: string, more: { fallbackShown?: string; later?: true } = {}) {
  return { name, schema: z.string().min(1), fallback, expected: 'some text', help, ...more };
}

function optionalText(name: string, help: string, later?: true) {
  const schema = z.string().transform((value) => (value === '' ? null : value));
  return { name, schema, fallback: '', expected: 'some text', help, ...(later && { later }) };
}

function list(name: string, help: string, more: { fallbackShown?: string; later?: true } = {}) {
  const schema = z.string().transform((value) =>
    value
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
  );
  return { name, schema, fallback: '', expected: 'a comma-separated list', help, ...more };
}

function int(name: string, fallback: number, min: number, max: number, help: string, later?: true) {
  const schema = z.string().regex(/^\d+$/).transform(Number).pipe(z.number().int().min(min).max(max));
  const expected = `an integer from ${min} to ${max}`;
  return { name, schema, fallback: String(fallback), expected, help, ...(later && { later }) };
}

function port(name: string, fallback: number, help: string) {
  return int(name, fallback, 0, 65_535, help);
}

function flag(name: string, fallback: boolean, help: string) {
  const schema = z.enum(['true', 'false']).transform((value) => value === 'true');
  return { name, schema, fallback: String(fallback), expected: 'true or false', help };
}

function choice<const T extends string>(name: string, values: readonly [T, ...T[]], fallback: T, help: string) {
  return { name, schema: z.enum(values), fallback, expected: values.join(', '), help };
}

function rate(name: string, fallback: string, help: string) {
  const schema = z.string().regex(/^(0|\d+:\d+)$/);
  const expected = '"rate per second:burst", or 0 for none';
  return { name, schema, fallback, expected, help: `${help}, rate per second:burst`, later: true as const };
}
