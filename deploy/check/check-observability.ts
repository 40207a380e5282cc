import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ComposeProject, ComposeService } from './compose-file.ts';
import type { Findings } from './findings.ts';
import { ROOT } from './programs.ts';

const PROMETHEUS = 'dashboards/prometheus/prometheus.yml';
const DATASOURCES = 'dashboards/grafana/provisioning/datasources/tidegate.yml';
const DASHBOARDS = 'dashboards/grafana/provisioning/dashboards/tidegate.yml';

/** Of compose.yml with the profile `observability`: whether who looks finds what there is to look at. */
export function checkObservability({ services, networks }: ComposeProject, findings: Findings): void {
  const { prometheus, grafana, jaeger } = services;
  if (prometheus === undefined || grafana === undefined || jaeger === undefined) {
    findings.problems.push('the profile observability has no prometheus, no grafana or no jaeger');
    return;
  }
  const gateways = Object.entries(services).filter(([name]) => name.startsWith('gateway-'));
  const targets = [...textOf(PROMETHEUS).matchAll(/"([\w-]+:\d+)"/g)].map(([, target]) => target);
  findings.expect(
    targets.join() === gateways.map(([name, { environment }]) => `${name}:${portOf(environment)}`).join(),
    `prometheus reads ${targets.join()}, which are not the gateways`,
  );
  for (const [name, gateway] of gateways) {
    findings.expect(share(prometheus, gateway), `prometheus does not get to ${name}`);
    findings.expect(share(jaeger, gateway), `${name} does not get to jaeger`);
  }
  for (const [, host = '', port = ''] of textOf(DATASOURCES).matchAll(/^ +url: http:\/\/([\w-]+):(\d+)$/gm)) {
    const service = services[host];
    const isThere = service !== undefined && share(grafana, service);
    const isItsPort = service?.ports?.some(({ target }) => target === Number(port)) ?? false;
    findings.expect(isThere && isItsPort, `grafana does not get to ${host}:${port}, which it has as a data source`);
  }
  const [, path] = /^ +path: (\S+)$/m.exec(textOf(DASHBOARDS)) ?? [];
  findings.expect(
    grafana.volumes?.some(({ target }) => target === path) ?? false,
    `grafana looks for dashboards in ${path}, where nothing is mounted`,
  );
  for (const [name, service] of Object.entries({ prometheus, grafana, jaeger })) {
    const missing = (service.volumes ?? []).filter(({ type, source }) => type === 'bind' && !existsSync(source));
    for (const { source } of missing) findings.problems.push(`${name}: ${source} is mounted and not there`);
    // Those of the first are believed when they say who a client is, and the others ask nobody who they are.
    const trusted = Object.keys(service.networks).filter((each) => networks[each]?.internal ?? each === 'front');
    findings.expect(trusted.length === 0, `${name} has no business on ${trusted.join()}`);
  }
}

function share(one: ComposeService, other: ComposeService): boolean {
  return Object.keys(one.networks).some((name) => name in other.networks);
}

function portOf(environment: ComposeService['environment'] = {}): string {
  return environment.TIDEGATE_INTERNAL_PORT ?? '9100';
}

function textOf(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}
