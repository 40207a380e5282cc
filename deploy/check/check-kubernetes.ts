import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { METRICS } from '../../src/observability/catalogue.ts';
import { VERSION } from '../../src/version.ts';
import type { Findings } from './findings.ts';
import { checkMemory, checkSettings, checkStopGrace } from './gateway-settings.ts';
import { ROOT } from './programs.ts';
import type { Renderer } from './renderer.ts';

const FOLDER = 'deploy/kubernetes';
/** What a secret of that name would hold. */
const SECRET: Readonly<Record<string, string>> = {
  'api-keys': 'a-key',
  'redis-url': 'rediss://tidegate:a-password@redis.redis.svc:6379',
  'kafka-password': 'a-password',
};

type Labels = Readonly<Record<string, string>>;
interface Selector {
  readonly matchLabels?: Labels;
}
interface Probe {
  readonly httpGet?: { readonly path: string; readonly port: string };
}

interface Container {
  readonly image: string;
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly env: readonly {
    readonly name: string;
    readonly valueFrom: { readonly secretKeyRef: { readonly key: string; readonly optional?: boolean } };
  }[];
  readonly envFrom: readonly { readonly configMapRef: { readonly name: string } }[];
  readonly startupProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly lifecycle?: { readonly preStop?: { readonly sleep?: { readonly seconds: number } } };
  readonly resources: { readonly limits: { readonly memory: string } };
  readonly securityContext?: Readonly<Record<string, unknown>>;
}

interface Pod {
  readonly automountServiceAccountToken?: boolean;
  readonly enableServiceLinks?: boolean;
  readonly terminationGracePeriodSeconds?: number;
  readonly securityContext?: Readonly<Record<string, unknown>>;
  readonly topologySpreadConstraints?: readonly { readonly labelSelector: Selector }[];
  readonly containers: readonly Container[];
}

/** An object of the API; its fields are as its kind has them, which was checked when it was rendered. */
interface KubernetesObject<Spec> {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: Spec;
  readonly data?: Readonly<Record<string, string>>;
}

interface PodTemplate {
  readonly metadata: { readonly labels: Labels };
  readonly spec: Pod;
}

type OfKind = <Spec>(kind: string) => KubernetesObject<Spec>[];

interface PodsMetric {
  readonly metric: { readonly name: string };
  readonly target: { readonly averageValue: string };
}

/** Looks at what the base and the example make of it. */
export async function checkKubernetes(renderer: Renderer, findings: Findings): Promise<void> {
  await renderer.render('kustomize', join(FOLDER, 'base'));
  const objects = await renderer.render<KubernetesObject<unknown>[]>('kustomize', join(FOLDER, 'overlays/example'));
  const ofKind: OfKind = <Spec>(kind: string) =>
    objects.filter((each) => each.kind === kind) as KubernetesObject<Spec>[];
  findings.expect(ofKind('Secret').length === 0, 'a secret is in a file');
  for (const kind of ['Deployment', 'NetworkPolicy', 'PodDisruptionBudget', 'ServiceAccount']) {
    findings.expect(ofKind(kind).length === 1, `there is no ${kind}, or more than one`);
  }

  const template = ofKind<{ template: PodTemplate }>('Deployment')[0]?.spec.template;
  const container = template?.spec.containers[0];
  if (template === undefined || container === undefined) throw new Error('there is nothing that runs');
  const settingsName = container.envFrom[0]?.configMapRef.name;
  const settings = ofKind('ConfigMap').find(({ metadata }) => metadata.name === settingsName)?.data ?? {};

  checkPod(template.spec, findings);
  checkContainer(container, template.spec, settings, findings);
  checkReferences(template, container, ofKind, findings);
  const [autoscaler] = ofKind<{ metrics: { pods: PodsMetric }[] }>('HorizontalPodAutoscaler');
  const [metric] = autoscaler?.spec.metrics ?? [];
  if (metric === undefined) throw new Error('the autoscaler goes by nothing');
  checkMetric(metric.pods, Number(settings.TIDEGATE_CONNECTIONS_MAX), findings);
}

/** What selects pods must select these, and what names their ports must name what they have. */
function checkReferences(
  { metadata, spec: pod }: PodTemplate,
  container: Container,
  ofKind: OfKind,
  findings: Findings,
): void {
  const expectSelected = (what: string, labels: Labels = {}) => {
    const wanted = Object.entries(labels);
    const isSo = wanted.length > 0 && wanted.every(([name, value]) => metadata.labels[name] === value);
    findings.expect(isSo, `${what}: it does not select the pods`);
  };
  const names = container.ports.map(({ name }) => name);
  const expectPort = (what: string, port: string) =>
    findings.expect(names.includes(port), `${what}: the pods have no port ${port}`);

  for (const service of ofKind<{ selector: Labels; ports: { targetPort: string }[] }>('Service')) {
    const what = `service ${service.metadata.name}`;
    expectSelected(what, service.spec.selector);
    for (const { targetPort } of service.spec.ports) expectPort(what, targetPort);
  }
  for (const { spec } of ofKind<{ podSelector: Selector; ingress: { ports: { port: string }[] }[] }>('NetworkPolicy')) {
    expectSelected('network policy', spec.podSelector.matchLabels);
    for (const { port } of spec.ingress.flatMap(({ ports }) => ports)) expectPort('network policy', port);
  }
  for (const { spec } of ofKind<{ selector: Selector }>('PodDisruptionBudget')) {
    expectSelected('disruption budget', spec.selector.matchLabels);
  }
  for (const { labelSelector } of pod.topologySpreadConstraints ?? []) {
    expectSelected('topology spread', labelSelector.matchLabels);
  }
}

function checkPod(pod: Pod, findings: Findings): void {
  findings.expect(pod.enableServiceLinks === false, 'services would set variables that the gateway takes for settings');
  findings.expect(
    pod.automountServiceAccountToken === false,
    'pods get a token of the API, which they have no use for',
  );
  const { runAsNonRoot, runAsUser, runAsGroup, seccompProfile } = pod.securityContext ?? {};
  const isConfined = (seccompProfile as { type?: string } | undefined)?.type === 'RuntimeDefault';
  findings.expect(runAsNonRoot === true && isConfined, 'pods may be root, or make every system call');
  const [, user] = /^USER (.*)$/m.exec(readFileSync(join(ROOT, 'Dockerfile'), 'utf8')) ?? [];
  findings.expect(
    user === `${runAsUser}:${runAsGroup}`,
    `pods are ${runAsUser}:${runAsGroup}, and the image is ${user}`,
  );
}

function checkContainer(container: Container, pod: Pod, settings: Labels, findings: Findings): void {
  const { securityContext = {}, env, ports, lifecycle, image, resources } = container;
  const { allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities } = securityContext;
  const dropped = (capabilities as { drop?: string[] } | undefined)?.drop?.join();
  findings.expect(
    allowPrivilegeEscalation === false && readOnlyRootFilesystem === true && dropped === 'ALL',
    'the container has rights that it has no use for',
  );
  findings.expect(image.endsWith(`/tidegate:${VERSION}`), `the image ${image} is not of this version, ${VERSION}`);
  const secrets = env.flatMap(({ name, valueFrom: { secretKeyRef } }): [string, string][] => {
    const value = SECRET[secretKeyRef.key];
    findings.expect(value !== undefined || secretKeyRef.optional === true, `the secret has no ${secretKeyRef.key}`);
    return [[name, value ?? '']];
  });
  const config = checkSettings({ ...settings, ...Object.fromEntries(secrets) }, findings);
  if (config === null) return;
  const preStopMs = (lifecycle?.preStop?.sleep?.seconds ?? 0) * 1_000;
  findings.expect(preStopMs > 0, 'a replica ends before it is known that it gets no more clients');
  checkStopGrace((pod.terminationGracePeriodSeconds ?? 30) * 1_000, preStopMs, config, findings);
  checkMemory(bytesOf(resources.limits.memory), settings.NODE_OPTIONS ?? '', config, findings);
  const { httpPort, tcpPort, internalPort } = config;
  const shown = ports.map(({ name, containerPort }) => `${name} ${containerPort}`).join();
  findings.expect(
    shown === `http ${httpPort},tcp ${tcpPort},internal ${internalPort}`,
    `the pods' ports are not those of the settings: ${shown}`,
  );
  const probes = [
    ['startup', container.startupProbe, '/health/live'],
    ['liveness', container.livenessProbe, '/health/live'],
    ['readiness', container.readinessProbe, '/health/ready'],
  ] as const;
  for (const [name, probe, path] of probes) {
    const isRight = probe?.httpGet?.path === path && probe.httpGet.port === 'internal';
    findings.expect(isRight, `the ${name} probe does not ask ${path} on the internal port`);
  }
}

/** Of a quantity such as `512Mi`; NaN of one that is written in another way. */
function bytesOf(quantity: string): number {
  const [, number, unit] = /^(\d+)(Mi|Gi)$/.exec(quantity) ?? [];
  return Number(number) * (unit === 'Gi' ? 2 ** 30 : 2 ** 20);
}

/** What the autoscaler goes by must be exported, made known by the adapter's rule, and within a replica's bound. */
function checkMetric({ metric: { name }, target }: PodsMetric, connectionsMax: number, findings: Findings): void {
  findings.expect(
    Object.values(METRICS).some((each) => each.name === name),
    `the autoscaler goes by ${name}, which is not exported`,
  );
  const rule = readFileSync(join(ROOT, FOLDER, 'prometheus-adapter.yaml'), 'utf8');
  findings.expect(rule.includes(`seriesQuery: ${name}{`), `prometheus-adapter.yaml has no rule for ${name}`);
  const { averageValue } = target;
  findings.expect(
    Number(averageValue) < connectionsMax,
    `the autoscaler wants ${averageValue} on a replica that takes ${connectionsMax}`,
  );
}
