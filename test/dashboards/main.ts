/**
 * `npm run check:dashboards`: whether Prometheus takes what it is given (page, configuration, rules), and whether each
 * expression of each panel has something to show under a load that does a little of everything.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { missingOf } from '../../deploy/check/programs.ts';
import { lastingPorts } from '../../services/ports.ts';
import { METRICS } from '../../src/observability/catalogue.ts';
import { randomName } from '../../src/random-name.ts';
import { Replica } from '../e2e/replica.ts';
import { CuttingProxy } from '../faults/cutting-proxy.ts';
import setUp from '../services/test-services.ts';
import { type Expression, expressions, filledIn, labelsIn } from './expressions.ts';
import { type Crew, loadAll, PARTITIONS, PAST_IN_REDIS } from './load.ts';
import { FOLDER, Prometheus, promtool } from './prometheus.ts';
import { QUIET } from './quiet.ts';

const DOCS = new URL('../../docs/DASHBOARDS.md', import.meta.url);
/** Clusters, as in the configuration that is made for this. */
const CLUSTERS = ['compose', 'alone'];
/** All of the load lies within it. */
const RATE_INTERVAL = '1m';
/** For the last that happens to be scraped. */
const LAST_SCRAPES_MS = 2_000;
/** One address each, as the configuration tells nodes apart by their hosts. */
const INTERNAL_HOSTS = ['127.0.0.1', '127.0.0.2', '127.0.0.3'] as const;

/** What promtool has to say of names that are not ours. */
const OF_PROM_CLIENT = /^nodejs_active_(handles|requests|resources)_total non-counter metrics should not have/;

/** What is to be done at the end, the last first. */
const ends: (() => Promise<unknown>)[] = [];

async function main(): Promise<boolean> {
  const missing = missingOf(['prometheus', 'promtool']);
  if (missing.length > 0) throw new Error(`${missing.join(', ')} can't be found (Debian: apt-get install prometheus)`);
  const directory = mkdtempSync(join(tmpdir(), 'tidegate-dashboards-'));
  ends.push(async () => rmSync(directory, { recursive: true, force: true }));
  const stopServices = await setUp();
  if (stopServices !== undefined) ends.push(stopServices);
  const crew = await startCrew(directory);
  const { first, second, alone } = crew;
  const problems = await problemsOfFormats(first.ports.internal, directory);

  const targets = [first, second, alone].map(({ ports }, i) => `${INTERNAL_HOSTS[i]}:${ports.internal}`);
  const fromSeconds = Date.now() / 1_000;
  const prometheus = await Prometheus.start(join(directory, 'prometheus'), {
    compose: targets.slice(0, 2),
    alone: targets.slice(2),
  });
  ends.push(() => prometheus.stop());
  await prometheus.untilScraped(targets.length);
  await loadAll(crew);
  await new Promise((resolve) => setTimeout(resolve, LAST_SCRAPES_MS));

  const all = expressions();
  const stale = Object.keys(QUIET).filter((part) => all.every(({ expr }) => !expr.includes(part)));
  problems.push(...stale.map((part) => `quiet.ts has what no panel has: ${part}`));
  for (const each of all) problems.push(...(await problemsOf(each, prometheus, fromSeconds)));
  if (!(await prometheus.hasExemplars(METRICS.publishAppend.name))) problems.push('Prometheus has no exemplars');
  for (const problem of problems) console.error(problem);
  console.log(`${all.length} expressions, ${problems.length} problems`);
  return problems.length === 0;
}

async function startCrew(directory: string): Promise<Crew> {
  const { TIDEGATE_TEST_REDIS_URL: redisUrl, TIDEGATE_TEST_KAFKA_BROKERS: brokers } = process.env;
  if (redisUrl === undefined || brokers === undefined) throw new Error('it takes Redis and Kafka, which are not there');
  const redis = await CuttingProxy.open(Number(new URL(redisUrl).port));
  ends.push(() => redis.close());
  const ports = await lastingPorts(INTERNAL_HOSTS.length);
  const env = (i: number) => ({
    TIDEGATE_HTTP_PORT: '0',
    TIDEGATE_TCP_PORT: '0',
    TIDEGATE_INTERNAL_HOST: INTERNAL_HOSTS[i] ?? '',
    TIDEGATE_INTERNAL_PORT: String(ports[i]),
    TIDEGATE_PROBE_MS: '200',
    TIDEGATE_GRACE_MS: '1500',
    TIDEGATE_DRAIN_MS: '3000',
    TIDEGATE_DRAIN_NOTICE_MS: '1500',
  });
  const shared = {
    TIDEGATE_KAFKA_BROKERS: brokers,
    TIDEGATE_KAFKA_REPLICATION: '1',
    TIDEGATE_PREFIX: `dashboards-${randomName(4, 'hex')}`,
    TIDEGATE_PARTITIONS: String(PARTITIONS),
    TIDEGATE_HISTORY_LENGTH: String(PAST_IN_REDIS),
    TIDEGATE_PRESENCE_LEASE_MS: '1500',
    TIDEGATE_PRESENCE_REAP_PAUSE_MS: '500',
    TIDEGATE_PRESENCE_HEAL_MS: '500',
    TIDEGATE_PRESENCE_COMPARE_MS: '1000',
  };
  // All of them, to a collector that is not there.
  const traces = { TIDEGATE_OTLP_ENDPOINT: 'http://127.0.0.1:9', TIDEGATE_TRACE_SAMPLE: '1' };
  const tokens = {
    TIDEGATE_AUTH: 'jwt',
    TIDEGATE_JWKS_URL: 'http://127.0.0.1:9/keys',
    TIDEGATE_DATA_DIR: join(directory, 'data'),
  };
  const start = async (settings: Readonly<Record<string, string>>) => {
    const replica = await Replica.start(settings);
    ends.push(() => replica.stop('SIGKILL'));
    return replica;
  };
  const starts = [
    start({ ...env(0), ...shared, ...traces, TIDEGATE_REDIS_URL: `redis://127.0.0.1:${redis.port}` }),
    start({ ...env(1), ...shared, TIDEGATE_REDIS_URL: redisUrl }),
    start({ ...env(2), ...tokens }),
  ] as const;
  // If one can't be started the others have to be known all the same, to be ended.
  await Promise.allSettled(starts);
  const [first, second, alone] = await Promise.all(starts);
  return { first, second, alone, redis };
}

/** What promtool finds wrong with the page, the configurations that are committed and documented, and the rules. */
async function problemsOfFormats(internalPort: number, directory: string): Promise<string[]> {
  const page = await (await fetch(`http://${INTERNAL_HOSTS[0]}:${internalPort}/metrics`)).text();
  const metrics = await promtool(['check', 'metrics'], page);
  const ofMetrics = metrics.said.split('\n').filter((line) => line !== '' && !OF_PROM_CLIENT.test(line));
  const documented = [...readFileSync(DOCS, 'utf8').matchAll(/^ *```yaml\n([^`]*)```/gm)].map(([, text = ''], i) => {
    const file = join(directory, `documented-${i}.yml`);
    // Debian's build knows nothing of Kubernetes.
    const known = text.replace(/kubernetes_sd_configs:\n.*\n/, 'static_configs: []\n');
    writeFileSync(file, known.replaceAll(/^ {3}/gm, ''));
    return file;
  });
  const configs = [join(FOLDER, 'prometheus.yml'), ...documented].map(async (file) => {
    const { said, isGood } = await promtool(['check', 'config', file]);
    return isGood ? [] : [said];
  });
  return [...ofMetrics, ...(await Promise.all(configs)).flat()];
}

/** What an expression has to show in neither cluster, or not as its legend says. */
async function problemsOf(
  { where, expr, legend }: Expression,
  prometheus: Prometheus,
  fromSeconds: number,
): Promise<string[]> {
  const answers = await Promise.all(
    CLUSTERS.map((cluster) => {
      const filled = filledIn(expr, { cluster, node: '.*', __rate_interval: RATE_INTERVAL });
      return prometheus.range(filled, fromSeconds, Date.now() / 1_000);
    }),
  );
  const series = answers.flat();
  const values = series.flatMap((each) => each.values).filter((value) => !Number.isNaN(value));
  if (values.length === 0) return [`no data: ${where}: ${expr}`];
  const missing = labelsIn(legend).filter((label) => series.some(({ labels }) => labels[label] === undefined));
  if (missing.length > 0) return [`no label ${missing.join(', ')}: ${where}: ${expr}`];
  const isQuiet = Object.keys(QUIET).some((part) => expr.includes(part));
  return values.some((value) => value !== 0) || isQuiet ? [] : [`nothing but zeros: ${where}: ${expr}`];
}

async function end(): Promise<void> {
  for (const each of ends.splice(0).reverse()) await each().catch(console.error);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void end().finally(() => process.exit(1)));
}
try {
  process.exitCode = (await main()) ? 0 : 1;
} finally {
  await end();
}
