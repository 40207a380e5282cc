// `npm run check:deploy`: holds compose.yml, the Dockerfile, the kustomizations and HAProxy's file against the programs that
// they are for, and against what the gateway itself knows. Where these can't be had the part that wants them is left out,
// but for CI, where that fails.

import { checkCompose } from './check-compose.ts';
import { checkImage } from './check-image.ts';
import { checkKubernetes } from './check-kubernetes.ts';
import { Findings } from './findings.ts';
import { missingOf } from './programs.ts';
import { Renderer } from './renderer.ts';

interface Part {
  readonly name: string;
  /** Programs. */
  readonly needs: readonly string[];
  /** @returns what there is to tell of it */
  check(findings: Findings): Promise<string>;
}

let building: Promise<Renderer> | undefined;
const renderer = () => {
  building ??= Renderer.build();
  return building;
};

const PARTS: readonly Part[] = [
  {
    name: 'compose.yml',
    needs: ['go', 'haproxy', 'redis-server', 'java', 'mvn'],
    async check(findings) {
      await checkCompose(await renderer(), findings);
      return 'with one broker, with three, and with what looks at it';
    },
  },
  {
    name: 'deploy/kubernetes',
    needs: ['go'],
    async check(findings) {
      await checkKubernetes(await renderer(), findings);
      return 'base and overlays/example';
    },
  },
  { name: 'Dockerfile', needs: ['buildah', 'mmdebstrap', 'unshare'], check: checkImage },
];

async function isGood({ name, needs, check }: Part): Promise<boolean> {
  const missing = missingOf(needs);
  if (missing.length > 0) {
    console.error(`${name}: left out, as ${missing.join(', ')} can't be found`);
    return !process.env.CI;
  }
  const findings = new Findings();
  const told = await check(findings).catch((error: Error) => {
    findings.problems.push(error.message);
    return '';
  });
  for (const problem of new Set(findings.problems)) console.error(`${name}: ${problem}`);
  if (findings.problems.length > 0) return false;
  console.log(`${name}: good, ${told}`);
  return true;
}

const asked = process.argv.slice(2);
const parts = PARTS.filter(({ name }) => asked.length === 0 || asked.includes(name));
const results = await Promise.all(parts.map(isGood));
(await building?.catch(() => undefined))?.remove();
process.exitCode = results.length > 0 && results.every((isSo) => isSo) ? 0 : 1;
