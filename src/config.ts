import { isIPv4 } from 'node:net';
import { isKeySetUrl } from './identity/remote-key-set.ts';
import { isWeakSecret, SECRET_BYTES_MIN } from './identity/shared-secret.ts';
import type { Variable } from './variable-kinds.ts';
import { VARIABLES, type Variables } from './variables.ts';

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
  'TIDEGATE_REDIS_SENTINEL_PASSWORD',
  'TIDEGATE_KAFKA_PASSWORD',
  'TIDEGATE_OTLP_ENDPOINT',
]);

/** What the log on Kafka has no use for, and what the embedded one has none for. */
const OF_EMBEDDED_LOG = ['TIDEGATE_DATA_DIR', 'TIDEGATE_RETENTION_BYTES', 'TIDEGATE_RETENTION_INTERVAL_MS'];
const OF_KAFKA = /^TIDEGATE_(KAFKA_|PREFIX$)/;
/** What has no use where nothing is shared through Redis. */
const OF_REDIS = /^TIDEGATE_(REDIS_|HISTORY_|PRESENCE_(LEASE|REAP_PAUSE|HEAL|COMPARE)_MS$|PRESENCE_RETURNS$)/;

/** What has no use where traces go nowhere. */
const OF_TRACES = /^TIDEGATE_TRACE_/;

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
  const isOfOthers = (name: string): boolean =>
    (isAnonymous && /^TIDEGATE_(JWT|JWKS)_/.test(name)) ||
    (isOnKafka ? OF_EMBEDDED_LOG.includes(name) : OF_KAFKA.test(name)) ||
    (!env.TIDEGATE_REDIS_URL && OF_REDIS.test(name)) ||
    (!env.TIDEGATE_OTLP_ENDPOINT && OF_TRACES.test(name)) ||
    (!env.TIDEGATE_TRUSTED_PROXIES && name === 'TIDEGATE_PROXY_PROTOCOL');
  return Object.values<Variable<unknown> & { readonly name: string }>(VARIABLES)
    .filter(({ name, later }) => later || isOfOthers(name))
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
  checkPair('TIDEGATE_TLS_CERT', config.tlsCert, 'TIDEGATE_TLS_KEY', config.tlsKey);
  if (config.proxyProtocol === 'required' && config.trustedProxies.isEmpty) {
    throw new ConfigError('TIDEGATE_PROXY_PROTOCOL: nobody is required to send a header; set TIDEGATE_TRUSTED_PROXIES');
  }
  checkKafka(config);
  checkRedis(config);
  checkTokens(config);
  if (!isLoopback(config.host) && config.auth === 'anonymous' && !config.publicAnonymous) {
    throw new ConfigError(
      `TIDEGATE_HOST: "${config.host}" is reachable by others, and access is anonymous; ` +
        'set TIDEGATE_PUBLIC_ANONYMOUS=true if that is meant',
    );
  }
}

function checkPair(one: string, value: string | null, other: string, otherValue: string | null): void {
  if ((value === null) === (otherValue === null)) return;
  throw new ConfigError(`${one} and ${other} go together: one of them is missing`);
}

function checkKafka({ kafkaSasl, kafkaUser, kafkaPassword }: Config): void {
  if ((kafkaSasl !== 'none') === (kafkaUser !== null && kafkaPassword !== null)) return;
  throw new ConfigError(
    'TIDEGATE_KAFKA_SASL, TIDEGATE_KAFKA_USER and TIDEGATE_KAFKA_PASSWORD go together: one of them is missing',
  );
}

function checkRedis(config: Config): void {
  const { redisUrl, redisSentinels, redisSentinelName, redisSentinelUser, redisSentinelPassword } = config;
  if (redisUrl === null) return;
  // What asks for protection or a cluster must not be ignored.
  if (config.kafkaBrokers.length === 0) {
    throw new ConfigError('TIDEGATE_REDIS_URL: replicas share their rooms through Kafka; set TIDEGATE_KAFKA_BROKERS');
  }
  const sentinels = redisSentinels.length > 0 ? redisSentinels.join() : null;
  checkPair('TIDEGATE_REDIS_SENTINELS', sentinels, 'TIDEGATE_REDIS_SENTINEL_NAME', redisSentinelName);
  if (redisSentinelUser !== null && redisSentinelPassword === null) {
    throw new ConfigError('TIDEGATE_REDIS_SENTINEL_USER: has no use without TIDEGATE_REDIS_SENTINEL_PASSWORD');
  }
  if (redisSentinelPassword !== null && sentinels === null) {
    throw new ConfigError('TIDEGATE_REDIS_SENTINEL_PASSWORD: has no use without TIDEGATE_REDIS_SENTINELS');
  }
  checkPair('TIDEGATE_REDIS_CERT', config.redisCert, 'TIDEGATE_REDIS_KEY', config.redisKey);
  if (redisUrl.startsWith('rediss:')) return;
  for (const [name, value] of [
    ['TIDEGATE_REDIS_CA', config.redisCa],
    ['TIDEGATE_REDIS_CERT', config.redisCert],
  ]) {
    if (value !== null)
      throw new ConfigError(`${name}: TLS is meant, but TIDEGATE_REDIS_URL does not begin with rediss:`);
  }
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
