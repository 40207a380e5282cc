import { randomBytes } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { hostname } from 'node:os';
import { z } from 'zod';
import { Grants } from './identity/grants.ts';
import { isKeySetUrl } from './identity/remote-key-set.ts';
import { isWeakSecret, SECRET_BYTES_MIN } from './identity/shared-secret.ts';
import type { Rate } from './protocol/limits.ts';

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
  internalPort: port('TIDEGATE_INTERNAL_PORT', 9100, 'health, metrics and server API; 0 picks a free port'),
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
  auth: choice('TIDEGATE_AUTH', ['anonymous', 'jwt'], 'anonymous', 'who may connect: anybody, or who has a token'),
  wsEngine: choice(
    'TIDEGATE_WS_ENGINE',
    ['auto', 'uws', 'ws'],
    'auto',
    'WebSocket library: uws where it loads, else ws',
  ),
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
  handshakesMax: int(
    'TIDEGATE_HANDSHAKES_MAX',
    10_000,
    1,
    10_000_000,
    'connections that have not said connect; more are sent away',
  ),
  roomMembersMax: int('TIDEGATE_ROOM_MEMBERS_MAX', 100_000, 1, 10_000_000, 'sessions that may join one room'),
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
  inboxBytesMax: int(
    'TIDEGATE_INBOX_BYTES_MAX',
    MIB,
    131_072,
    2 ** 30,
    'bytes of commands that may wait for one session; uws only, others stop reading',
  ),
  inboxesBytesMax: int('TIDEGATE_INBOXES_BYTES_MAX', 256 * MIB, MIB, 2 ** 40, 'bytes of commands that may wait in all'),
  tickMaxMs: int('TIDEGATE_TICK_MAX_MS', 5, 0, 1_000, 'milliseconds over which a busy node gathers deliveries'),
  backlog: int(
    'TIDEGATE_BACKLOG',
    4_096,
    1,
    65_535,
    'connections that the kernel queues; with uws 512 on the public HTTP port',
  ),
  apiKeys: list('TIDEGATE_API_KEYS', 'keys of the server API, comma-separated'),
  apiRequestsMax: int('TIDEGATE_API_REQUESTS_MAX', 256, 1, 100_000, 'requests of the server API at a time'),
  probeMs: int('TIDEGATE_PROBE_MS', 10_000, 50, HOUR_MS, 'milliseconds between two probes of delivery'),
  ticketSecret: optionalText('TIDEGATE_TICKET_SECRET', 'secret that replicas share', true),
  redisUrl: optionalText('TIDEGATE_REDIS_URL', 'Redis of a cluster', true),
  kafkaBrokers: list(
    'TIDEGATE_KAFKA_BROKERS',
    'brokers, host:port each: rooms are in Kafka, shared with other replicas',
  ),
  kafkaReplication: int(
    'TIDEGATE_KAFKA_REPLICATION',
    3,
    1,
    100,
    'brokers that keep a record of topics that are made; of 3 or more 2 must have it before it counts',
  ),
  kafkaTls: flag('TIDEGATE_KAFKA_TLS', false, 'TLS to the brokers'),
  kafkaCa: optionalText(
    'TIDEGATE_KAFKA_CA',
    'PEM file: TLS to the brokers, whose certificates must be signed by these',
  ),
  kafkaSasl: choice(
    'TIDEGATE_KAFKA_SASL',
    ['none', 'plain', 'scram-sha-256', 'scram-sha-512'],
    'none',
    'how this process shows the brokers who it is',
  ),
  kafkaUser: optionalText('TIDEGATE_KAFKA_USER', 'user of SASL'),
  kafkaPassword: optionalText('TIDEGATE_KAFKA_PASSWORD', 'password of SASL'),
  prefix: pattern(
    'TIDEGATE_PREFIX',
    'tidegate',
    /^[A-Za-z0-9._-]{1,100}$/,
    '1 to 100 letters, digits, dots, dashes and underscores',
    'prefix of Kafka topics',
  ),
  jwtSecret: optionalText('TIDEGATE_JWT_SECRET', 'key of HS256 tokens, 32 bytes or more'),
  jwksUrl: optionalText('TIDEGATE_JWKS_URL', 'where the public keys of RS256, ES256 and EdDSA tokens are'),
  jwtIssuer: optionalText('TIDEGATE_JWT_ISSUER', 'issuer that tokens must name'),
  jwtAudience: optionalText('TIDEGATE_JWT_AUDIENCE', 'audience that tokens must name'),
  jwtLeewayMs: int('TIDEGATE_JWT_LEEWAY_MS', 30_000, 0, HOUR_MS, "by how much an issuer's clock may be off"),
  jwksCooldownMs: int('TIDEGATE_JWKS_COOLDOWN_MS', 30_000, 100, HOUR_MS, 'least time between two fetches of keys'),
  jwksRefreshMs: int('TIDEGATE_JWKS_REFRESH_MS', 600_000, 1_000, DAY_MS, 'how often keys are fetched anew'),
  anonymousJoin: grants('TIDEGATE_ANONYMOUS_JOIN', 'rooms that anonymous sessions may join'),
  anonymousPublish: grants('TIDEGATE_ANONYMOUS_PUBLISH', 'rooms that they may publish to'),
  anonymousPresence: grants('TIDEGATE_ANONYMOUS_PRESENCE', 'rooms and @user/ rooms whose presence they may hear'),
  heartbeatMs: int('TIDEGATE_HEARTBEAT_MS', 25_000, 500, HOUR_MS, 'silence after which a client is asked for a sign'),
  heartbeatTimeoutMs: int('TIDEGATE_HEARTBEAT_TIMEOUT_MS', 10_000, 100, HOUR_MS, 'milliseconds for its answer'),
  unacknowledgedMs: int(
    'TIDEGATE_UNACKNOWLEDGED_MS',
    30_000,
    500,
    HOUR_MS,
    'unacknowledged bytes that end a raw TCP session without heartbeats (Linux)',
  ),
  keepaliveMs: int('TIDEGATE_KEEPALIVE_MS', 60_000, 1_000, HOUR_MS, "silence after which the kernel's keepalive asks"),
  graceMs: int('TIDEGATE_GRACE_MS', 15_000, 0, HOUR_MS, 'milliseconds for which who was cut off stays present'),
  presencePushMs: int(
    'TIDEGATE_PRESENCE_PUSH_MS',
    250,
    50,
    HOUR_MS,
    'least time between two presence pushes of a room',
  ),
  presenceSlowPushMs: int('TIDEGATE_PRESENCE_SLOW_PUSH_MS', 5_000, 50, HOUR_MS, 'the same in huge rooms'),
  presenceNamesMax: int('TIDEGATE_PRESENCE_NAMES_MAX', 250, 0, 1_000_000, 'readers above which a room gets counts'),
  presenceFastMax: int('TIDEGATE_PRESENCE_FAST_MAX', 10_000, 0, 10_000_000, 'readers above which a room is huge'),
  presenceBatchMs: int('TIDEGATE_PRESENCE_BATCH_MS', 10, 0, 1_000, 'milliseconds over which many joins are gathered'),
  sessionsPerUser: int('TIDEGATE_SESSIONS_PER_USER', 16, 0, 1_000_000, 'sessions of one user; 0: any number'),
  sessionsPerAddress: int('TIDEGATE_SESSIONS_PER_ADDRESS', 0, 0, 10_000_000, 'sessions of one address; 0: any number'),
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
  'TIDEGATE_KAFKA_PASSWORD',
]);

/** What the log on Kafka has no use for, and what the embedded one has none for. */
const OF_EMBEDDED_LOG = ['TIDEGATE_DATA_DIR', 'TIDEGATE_RETENTION_BYTES', 'TIDEGATE_RETENTION_INTERVAL_MS'];
const OF_KAFKA = /^TIDEGATE_(KAFKA_|PREFIX$)/;

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

/** Variables that are set, but that do nothing: in this version, or together with the others. */
export function withoutEffect(env: Readonly<Record<string, string | undefined>>): readonly string[] {
  const isAnonymous = (env.TIDEGATE_AUTH || 'anonymous') === 'anonymous';
  const isOnKafka = Boolean(env.TIDEGATE_KAFKA_BROKERS);
  const isOfOtherLog = (name: string): boolean => (isOnKafka ? OF_EMBEDDED_LOG.includes(name) : OF_KAFKA.test(name));
  return Object.values<Variable<unknown> & { readonly name: string }>(VARIABLES)
    .filter(({ name, later }) => later || (isAnonymous && /^TIDEGATE_(JWT|JWKS)_/.test(name)) || isOfOtherLog(name))
    .map(({ name }) => name)
    .filter((name) => env[name] !== undefined && env[name] !== '');
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
  return host === 'localhost' || host === '::1' || host === '[::1]' || (isIPv4(host) && host.startsWith('127.'));
}

function checkTogether(config: Config): void {
  if ((config.tlsCert === null) !== (config.tlsKey === null)) {
    throw new ConfigError('TIDEGATE_TLS_CERT and TIDEGATE_TLS_KEY go together: one of them is missing');
  }
  // What asks for protection or a cluster must not be ignored.
  if (config.redisUrl !== null && config.kafkaBrokers.length === 0) {
    throw new ConfigError('TIDEGATE_REDIS_URL: replicas share their rooms through Kafka; set TIDEGATE_KAFKA_BROKERS');
  }
  checkKafka(config);
  checkTokens(config);
  if (!isLoopback(config.host) && config.auth === 'anonymous' && !config.publicAnonymous) {
    throw new ConfigError(
      `TIDEGATE_HOST: "${config.host}" is reachable by others, and access is anonymous; ` +
        'set TIDEGATE_PUBLIC_ANONYMOUS=true if that is meant',
    );
  }
}

function checkKafka({ kafkaBrokers, kafkaSasl, kafkaUser, kafkaPassword }: Config): void {
  const wrong = kafkaBrokers.find((broker) => !/^(\[[\da-fA-F:]+\]|[\w.-]+):\d{1,5}$/.test(broker));
  if (wrong !== undefined) throw new ConfigError(`TIDEGATE_KAFKA_BROKERS: "${wrong}" is not valid; expected host:port`);
  if ((kafkaSasl !== 'none') === (kafkaUser !== null && kafkaPassword !== null)) return;
  throw new ConfigError(
    'TIDEGATE_KAFKA_SASL, TIDEGATE_KAFKA_USER and TIDEGATE_KAFKA_PASSWORD go together: one of them is missing',
  );
}

function checkTokens({ auth, host, jwtSecret, jwksUrl }: Config): void {
  if (auth === 'anonymous') return;
  if ((jwtSecret === null) === (jwksUrl === null)) {
    throw new ConfigError('TIDEGATE_AUTH: "jwt" needs either TIDEGATE_JWT_SECRET or TIDEGATE_JWKS_URL');
  }
  if (jwksUrl !== null && !isKeySetUrl(jwksUrl)) {
    throw new ConfigError(
      'TIDEGATE_JWKS_URL: the value given is not valid; expected an http or https URL without user and password',
    );
  }
  if (jwtSecret !== null && isWeakSecret(jwtSecret) && !isLoopback(host)) {
    throw new ConfigError(`TIDEGATE_JWT_SECRET: too short to be safe; expected at least ${SECRET_BYTES_MIN} bytes`);
  }
}

function text(name: string, fallback: string, help: string, more: { fallbackShown?: string } = {}) {
  return { name, schema: z.string().min(1), fallback, expected: 'some text', help, ...more };
}

function pattern(name: string, fallback: string, form: RegExp, expected: string, help: string) {
  return { name, schema: z.string().regex(form), fallback, expected, help };
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

/** Patterns as in a token's grants. */
function grants(name: string, help: string) {
  const schema = z.string().transform((value, context) => {
    if (value === 'none') return [];
    const patterns = value.split(',').map((pattern) => pattern.trim());
    try {
      Grants.of({ join: patterns, publish: [], presence: [] }, 'somebody');
    } catch {
      context.addIssue({ code: 'custom' });
    }
    return patterns;
  });
  return { name, schema, fallback: '**', expected: 'none, or comma-separated patterns such as team/* or **', help };
}

function rate(name: string, fallback: string, help: string) {
  const schema = z
    .string()
    .regex(/^(0|[1-9]\d{0,8}:[1-9]\d{0,8})$/)
    .transform((value): Rate | null => {
      const [perSecond = 0, burst = 0] = value.split(':').map(Number);
      return value === '0' ? null : { perSecond, burst };
    });
  const expected = '"rate per second:burst", each from 1 to 999999999, or 0 for no limit';
  return { name, schema, fallback, expected, help: `${help}, rate per second:burst; 0: no limit` };
}
