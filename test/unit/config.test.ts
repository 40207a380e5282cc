import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ConfigError, describeVariables, readConfig, withoutEffect } from '../../src/config.ts';
import { rightsOf } from '../../src/redis/redis-setup-error.ts';
import { VARIABLES } from '../../src/variables.ts';

const KAFKA = { TIDEGATE_KAFKA_BROKERS: 'kafka:9092' };
const REDIS = { ...KAFKA, TIDEGATE_REDIS_URL: 'redis://redis' };

/** The words that an environment is refused with. */
function refusal(env: Readonly<Record<string, string>>): string {
  try {
    readConfig(env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  }
  throw new Error('it was not refused');
}

describe('the settings of Redis', () => {
  it.each([
    'redis://redis',
    'redis://redis:6380',
    'redis://redis:6380/',
    'redis://redis:6380/12',
    'redis://[::1]:6379',
    'redis://:secret@redis',
    'redis://ann:sec%2Fret@redis',
    'rediss://ann:secret@redis.example:6380/1',
  ])('may be at %s', (url) => {
    expect(readConfig({ ...KAFKA, TIDEGATE_REDIS_URL: url }).redisUrl).toBe(url);
  });

  it.each([
    'redis',
    'redis.example:6379',
    'http://:secret@redis',
    'redis://',
    'redis://:secret@redis:99999',
    'redis://secret@redis',
    'redis://:secret%zz@redis',
    'redis://:secret@redis/first',
    'redis://:secret@redis/1/2',
    'redis://:secret@redis?db=1',
    'redis://:secret@redis#1',
  ])('is not at %s, which is not told', (url) => {
    const said = refusal({ ...KAFKA, TIDEGATE_REDIS_URL: url });
    expect(said).toContain(
      'TIDEGATE_REDIS_URL: the value given is not valid; expected redis://host:port, or rediss://',
    );
    expect(said).not.toContain('secret');
  });

  it.each([
    [{ TIDEGATE_KAFKA_BROKERS: '' }, 'TIDEGATE_REDIS_URL: replicas share their rooms through Kafka'],
    [{ TIDEGATE_REDIS_SENTINELS: 'a:26379' }, 'TIDEGATE_REDIS_SENTINELS and TIDEGATE_REDIS_SENTINEL_NAME go together'],
    [{ TIDEGATE_REDIS_SENTINEL_NAME: 'm' }, 'TIDEGATE_REDIS_SENTINELS and TIDEGATE_REDIS_SENTINEL_NAME go together'],
    [
      { TIDEGATE_REDIS_SENTINELS: 'a:26379,b', TIDEGATE_REDIS_SENTINEL_NAME: 'm' },
      'TIDEGATE_REDIS_SENTINELS: "a:26379,b" is not valid; expected host:port, comma-separated',
    ],
    [{ TIDEGATE_REDIS_SENTINELS: 'a:99999' }, 'TIDEGATE_REDIS_SENTINELS: "a:99999" is not valid'],
    [{ TIDEGATE_REDIS_SENTINEL_USER: 'u' }, 'TIDEGATE_REDIS_SENTINEL_USER: has no use without'],
    [{ TIDEGATE_REDIS_SENTINEL_PASSWORD: 'secret' }, 'TIDEGATE_REDIS_SENTINEL_PASSWORD: has no use without'],
    [{ TIDEGATE_REDIS_CA: '/ca.pem' }, 'TIDEGATE_REDIS_CA: TLS is meant, but TIDEGATE_REDIS_URL does not begin with'],
    [{ TIDEGATE_REDIS_CERT: '/a.pem', TIDEGATE_REDIS_KEY: '/a.key' }, 'TIDEGATE_REDIS_CERT: TLS is meant'],
    [{ TIDEGATE_REDIS_CERT: '/a.pem' }, 'TIDEGATE_REDIS_CERT and TIDEGATE_REDIS_KEY go together'],
    [{ TIDEGATE_REDIS_TIMEOUT_MS: '5' }, 'TIDEGATE_REDIS_TIMEOUT_MS: "5" is not valid; expected an integer from 10'],
    [{ TIDEGATE_PRESENCE_LEASE_MS: '100' }, 'TIDEGATE_PRESENCE_LEASE_MS: "100" is not valid'],
  ])('are not %j', (env, words) => {
    const said = refusal({ ...REDIS, ...(env as Record<string, string>) });
    expect(said).toContain(words);
    expect(said).not.toContain('secret');
  });

  it('have no effect without a Redis, each of them', () => {
    const names = Object.values(VARIABLES)
      .map(({ name }) => name)
      .filter((name) => /^TIDEGATE_(REDIS_|PRESENCE_(LEASE|REAP|HEAL|COMPARE|RETURNS))/.test(name));
    expect(names).toHaveLength(14);
    const others = names.filter((name) => name !== 'TIDEGATE_REDIS_URL');
    const env = Object.fromEntries(others.map((name) => [name, '1']));
    expect(withoutEffect({ ...KAFKA, ...env })).toEqual(others);
    expect(withoutEffect({ ...REDIS, ...env })).toEqual([]);
  });

  it('are in the help and in docs/OPERATIONS.md', () => {
    const operations = readFileSync(new URL('../../docs/OPERATIONS.md', import.meta.url), 'utf8');
    const help = describeVariables();
    for (const name of help.match(/TIDEGATE_(REDIS_\w+|PRESENCE_(LEASE|REAP|HEAL|COMPARE|RETURNS)\w*)/g) ?? []) {
      expect(operations, name).toContain(`\`${name}\``);
    }
    expect(help).toContain('TIDEGATE_REDIS_URL');
    expect(operations).toContain(`ACL SETUSER <user> on >… ${rightsOf('<prefix>')}\n`);
  });
});

describe('the settings of traces', () => {
  const TRACES = { TIDEGATE_OTLP_ENDPOINT: 'http://collector:4318' };

  it('are off by default, and trace one in a hundred where they are on', () => {
    expect(readConfig({})).toMatchObject({ otlpEndpoint: null });
    expect(readConfig(TRACES)).toMatchObject({ otlpEndpoint: TRACES.TIDEGATE_OTLP_ENDPOINT, traceSample: 0.01 });
  });

  it.each([
    ['0', 0],
    ['1', 1],
    ['0.001', 0.001],
    ['1.0', 1],
  ])('take %s of them', (text, traceSample) => {
    expect(readConfig({ ...TRACES, TIDEGATE_TRACE_SAMPLE: text })).toMatchObject({ traceSample });
  });

  it.each(['-1', '1.1', '2', '1%', '.5', '1e-3', 'all'])('are not to be %s of them', (text) => {
    expect(refusal({ ...TRACES, TIDEGATE_TRACE_SAMPLE: text })).toBe(
      `TIDEGATE_TRACE_SAMPLE: "${text}" is not valid; expected a number from 0 to 1`,
    );
  });

  it.each([
    'collector:4318',
    'grpc://collector:4317',
    'http://ann:secret@collector:4318',
    'http://collector:4318?key=secret',
    'http://collector:4318#secret',
  ])('do not go to %s, which is not told', (url) => {
    expect(refusal({ TIDEGATE_OTLP_ENDPOINT: url })).toBe(
      'TIDEGATE_OTLP_ENDPOINT: the value given is not valid; expected an http or https URL without user, password and query',
    );
  });

  it('have no effect without a collector', () => {
    const env = { TIDEGATE_TRACE_SAMPLE: '1', TIDEGATE_TRACE_SPANS_MAX: '10' };
    expect(withoutEffect(env)).toEqual(Object.keys(env));
    expect(withoutEffect({ ...env, ...TRACES })).toEqual([]);
  });
});

describe('the settings of proxies', () => {
  it('have addresses and networks, or nobody', () => {
    expect(readConfig({}).trustedProxies.isEmpty).toBe(true);
    const { trustedProxies, proxyProtocol } = readConfig({ TIDEGATE_TRUSTED_PROXIES: ' 10.0.0.0/8, ::1,' });
    expect(['10.1.2.3', '::1', '127.0.0.1'].map((address) => trustedProxies.includes(address))).toEqual([
      true,
      true,
      false,
    ]);
    expect(proxyProtocol).toBe('optional');
  });

  it.each([
    [
      { TIDEGATE_TRUSTED_PROXIES: '10.0.0.0/8,balancer' },
      'TIDEGATE_TRUSTED_PROXIES: "10.0.0.0/8,balancer" is not valid; expected addresses and networks such as',
    ],
    [{ TIDEGATE_TRUSTED_PROXIES: '10.0.0.0/33' }, 'TIDEGATE_TRUSTED_PROXIES: "10.0.0.0/33" is not valid'],
    [{ TIDEGATE_PROXY_PROTOCOL: 'on' }, 'TIDEGATE_PROXY_PROTOCOL: "on" is not valid; expected optional, required, off'],
    [{ TIDEGATE_PROXY_PROTOCOL: 'required' }, 'TIDEGATE_PROXY_PROTOCOL: nobody is required to send a header'],
  ])('are not %j', (env, words) => {
    expect(refusal(env as Record<string, string>)).toContain(words);
  });

  it('have no effect without proxies', () => {
    const env = { TIDEGATE_PROXY_PROTOCOL: 'off' };
    expect(withoutEffect(env)).toEqual(['TIDEGATE_PROXY_PROTOCOL']);
    expect(withoutEffect({ ...env, TIDEGATE_TRUSTED_PROXIES: '::1' })).toEqual([]);
  });
});
