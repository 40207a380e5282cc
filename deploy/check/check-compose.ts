import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { fetchKafkaJars } from '../../services/kafka-jars.ts';
import { freePorts } from '../../services/ports.ts';
import { Redis as RedisServer } from '../../services/redis.ts';
import { VERSION } from '../../src/version.ts';
import { checkObservability } from './check-observability.ts';
import { type ComposeProject, type ComposeService, durationMs, loadCompose } from './compose-file.ts';
import type { Findings } from './findings.ts';
import { checkMemory, checkSettings, checkStopGrace } from './gateway-settings.ts';
import { ROOT, run } from './programs.ts';
import type { Renderer } from './renderer.ts';

const SECRETS = 'TIDEGATE_API_KEYS=a-key\n';
const HAPROXY = 'deploy/haproxy/haproxy.cfg';
const LOOPBACK = '127.0.0.1';
const STORAGE_TOOL_MS_MAX = 60_000;

/** Looks at compose.yml as it is with one broker and with three. */
export async function checkCompose(renderer: Renderer, findings: Findings): Promise<void> {
  const refused = await loadCompose(renderer, '').then(() => 'nothing', String);
  findings.expect(
    refused.includes('TIDEGATE_API_KEYS') && refused.includes('docs/OPERATIONS.md'),
    `without secrets it must be refused with a word on how to make them, and is with ${refused}`,
  );
  await checkProject(await loadCompose(renderer, SECRETS), SECRETS, 1, findings);
  const threeBrokers = SECRETS + readFileSync(join(ROOT, 'deploy/compose/three-brokers.env'), 'utf8');
  await checkProject(await loadCompose(renderer, threeBrokers), threeBrokers, 3, findings);
  const observed = await loadCompose(renderer, `${SECRETS}COMPOSE_PROFILES=observability\n`);
  for (const [name, service] of Object.entries(observed.services)) checkService(name, service, findings);
  checkObservability(observed, findings);
}

async function checkProject(project: ComposeProject, env: string, brokers: number, findings: Findings): Promise<void> {
  const services = Object.entries(project.services);
  const named = (prefix: string) => services.filter(([name]) => name.startsWith(prefix));
  const gateways = named('gateway-');
  const kafkas = named('kafka-');
  findings.expect(gateways.length === 3, `there are ${gateways.length} gateways instead of 3`);
  findings.expect(kafkas.length === brokers, `there are ${kafkas.length} brokers instead of ${brokers}`);

  for (const [name, service] of services) checkService(name, service, findings);
  for (const [name, service] of gateways) checkGateway(name, service, env, project, findings);
  const { haproxy, redis } = project.services;
  if (haproxy === undefined || redis === undefined) {
    findings.problems.push('there is no haproxy or no redis');
    return;
  }
  await checkHaproxy(haproxy, gateways, findings);
  findings.expect(
    Object.entries(project.networks).some(([name, { internal }]) => internal === true && name in redis.networks) &&
      !Object.keys(redis.networks).some((name) => name in haproxy.networks),
    'redis and kafka must be on a network of their own with the gateways',
  );
  // Those that npm run services takes, and so the tests' versions.
  const started = readFileSync(join(ROOT, 'services/docker.ts'), 'utf8');
  for (const { image } of [redis, ...kafkas.map(([, kafka]) => kafka)]) {
    findings.expect(started.includes(`'${image}'`), `${image} is another one than services/docker.ts has`);
  }
  await checkRedis(redis, findings);
  await checkKafka(kafkas, findings);
}

/** What is asked of each of them. */
function checkService(name: string, service: ComposeService, findings: Findings): void {
  findings.expect(/:v?\d+\.\d+\.\d+(-\w+)?$/.test(service.image), `${name}: its image ${service.image} is not pinned`);
  findings.expect(service.restart !== undefined, `${name}: it is not started again`);
  findings.expect(Number(service.mem_limit) > 0, `${name}: its memory is not limited`);
  for (const { host_ip, target } of service.ports ?? []) {
    findings.expect(host_ip === LOOPBACK, `${name}: port ${target} is published beyond this machine`);
  }
}

function checkGateway(
  name: string,
  service: ComposeService,
  env: string,
  project: ComposeProject,
  findings: Findings,
): void {
  const { environment = {}, depends_on = {}, networks } = service;
  const ofOperator = Object.fromEntries(
    [...env.matchAll(/^(TIDEGATE_\w+)=(.*)$/gm)].map(([, key, value]) => [key, value]),
  );
  const config = checkSettings({ ...ofOperator, ...environment }, findings);
  findings.expect(service.image === `tidegate:${VERSION}`, `${name}: its image is not of this version, ${VERSION}`);
  findings.expect(service.hostname === name, `${name}: its host name, and so its name in logs, is another one`);
  const others = Object.keys(project.services).filter((each) => each === 'redis' || each.startsWith('kafka-'));
  for (const other of others) {
    const isAwaited =
      depends_on[other]?.condition === 'service_healthy' && project.services[other]?.healthcheck !== undefined;
    findings.expect(isAwaited, `${name}: it does not wait until ${other} is healthy`);
  }
  if (config === null) return;
  checkStopGrace(durationMs(service.stop_grace_period ?? ''), 0, config, findings);
  checkMemory(Number(service.mem_limit), environment.NODE_OPTIONS ?? '', config, findings);
  const brokers = others.filter((each) => each !== 'redis');
  findings.expect(
    config.kafkaBrokers.join() === brokers.map((each) => `${each}:9092`).join(),
    `${name}: it knows of the brokers ${config.kafkaBrokers.join()}, and there are ${brokers.join()}`,
  );
  findings.expect(config.kafkaReplication === brokers.length, `${name}: not every broker is to keep each record`);
  const subnets = Object.keys(networks).flatMap((each) => project.networks[each]?.ipam?.config ?? []);
  findings.expect(
    subnets.some(({ subnet }) => subnet !== undefined && subnet === environment.TIDEGATE_TRUSTED_PROXIES),
    `${name}: whom it believes is not the network between it and HAProxy`,
  );
}

/** HAProxy's own check of its file with the service's variables, and whether these name the gateways. */
async function checkHaproxy(
  { environment = {}, depends_on = {} }: ComposeService,
  gateways: readonly (readonly [string, ComposeService])[],
  findings: Findings,
): Promise<void> {
  gateways.forEach(([name], index) => {
    const variable = `GATEWAY_${index + 1}`;
    const isNamed =
      environment[`${variable}_HTTP`] === `${name}:8080` &&
      environment[`${variable}_TCP`] === `${name}:7000` &&
      environment[`${variable}_HEALTH_PORT`] === '9100';
    findings.expect(isNamed, `haproxy: ${variable}_HTTP, _TCP and _HEALTH_PORT are not the ports of ${name}`);
    findings.expect(depends_on[name]?.condition === 'service_healthy', `haproxy: it does not wait for ${name}`);
  });
  if (!existsSync(join(ROOT, HAPROXY))) {
    findings.problems.push(`${HAPROXY} is not there`);
    return;
  }
  const env = { PATH: process.env.PATH, ...environment };
  const failure = await run('haproxy', ['-c', '-f', HAPROXY], { env }).then(() => null, String);
  findings.expect(failure === null, `${HAPROXY}: ${failure}`);
}

/** Starts it with the container's arguments, and asks it what they have come to. */
async function checkRedis({ command, mem_limit }: ComposeService, findings: Findings): Promise<void> {
  const [program, ...args] = command ?? [];
  findings.expect(program === 'redis-server', 'redis: its command is another one than redis-server');
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-redis-'));
  const [port = 0] = await freePorts(1);
  try {
    const server = await RedisServer.start(folder, port, args);
    const client = new Redis(port);
    const [, policy] = (await client.config('GET', 'maxmemory-policy')) as string[];
    const [, bytes] = (await client.config('GET', 'maxmemory')) as string[];
    client.disconnect();
    await server.stop();
    findings.expect(policy === 'noeviction', `redis: it evicts keys (${policy})`);
    findings.expect(
      Number(bytes) > 0 && Number(bytes) < Number(mem_limit),
      `redis: it may hold ${bytes} bytes, of the ${mem_limit} that it may take in all`,
    );
  } catch (error) {
    findings.problems.push(`redis: ${(error as Error).message}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Has Kafka's own tool read the settings of each broker, which it does as the broker itself would at its start. */
async function checkKafka(kafkas: readonly (readonly [string, ComposeService])[], findings: Findings): Promise<void> {
  const jars = await fetchKafkaJars(join(ROOT, '.cache'));
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-kafka-'));
  try {
    const checks = kafkas.map(async ([name, { environment = {} }]) => {
      const file = join(folder, `${name}.properties`);
      // As the image makes them of its variables.
      const properties = Object.entries({ ...environment, KAFKA_LOG_DIRS: join(folder, name) })
        .filter(([variable]) => variable.startsWith('KAFKA_') && variable !== 'KAFKA_HEAP_OPTS')
        .map(([variable, value]) => `${variable.slice('KAFKA_'.length).toLowerCase().replaceAll('_', '.')}=${value}\n`);
      writeFileSync(file, properties.join(''));
      const format = ['kafka.tools.StorageTool', 'format', '-t', environment.CLUSTER_ID ?? '', '-c', file];
      const java = ['-Xmx256m', '-XX:TieredStopAtLevel=1', '-cp', join(jars, '*'), ...format];
      const failure = await run('java', java, { timeoutMs: STORAGE_TOOL_MS_MAX }).then(() => null, String);
      findings.expect(failure === null, `${name}: ${failure}`);
    });
    await Promise.all(checks);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
