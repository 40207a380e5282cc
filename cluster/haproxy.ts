import { fileURLToPath } from 'node:url';
import { output } from '../services/missing.ts';
import { HOST } from '../services/ports.ts';
import { accepts } from '../src/listen.ts';
import type { Program } from './kept-process.ts';
import type { Places } from './places.ts';

const CONFIG = fileURLToPath(new URL('../deploy/haproxy/haproxy.cfg', import.meta.url));
/** Where it is: Debian has it where only root looks. */
const PROGRAMS = ['haproxy', '/usr/sbin/haproxy', '/usr/local/sbin/haproxy'];
const READY_MS_MAX = 10_000;
const ANSWER_MS_MAX = 1_000;
/** Columns of what it says of its servers: the backend, the server, and how that is. */
const [BACKEND, SERVER, STATUS] = [0, 1, 17];

/** What it is, and how to get it. */
export const HAPROXY = 'haproxy (Debian, Ubuntu: apt-get install haproxy; macOS: brew install haproxy)';

/** The program to run, or null if there is none. */
export async function findHaproxy(): Promise<string | null> {
  for (const program of PROGRAMS) if ((await output(program, '-v')) !== undefined) return program;
  return null;
}

/** HAProxy as it is deployed, before gateways that are called gateway-1 and so on. */
export function haproxyProgram(command: string, places: Places, logFile: string): Program {
  const env: Record<string, string> = {
    HTTP_BIND: `${HOST}:${places.http}`,
    TCP_BIND: `${HOST}:${places.tcp}`,
    STATS_BIND: `${HOST}:${places.stats}`,
  };
  for (const [index, { http, tcp, internal }] of places.gateways.entries()) {
    env[`GATEWAY_${index + 1}_HTTP`] = `${HOST}:${http}`;
    env[`GATEWAY_${index + 1}_TCP`] = `${HOST}:${tcp}`;
    env[`GATEWAY_${index + 1}_HEALTH_PORT`] = `${internal}`;
  }
  // In the foreground, and one process: that is all there is to end.
  const args = ['-db', '-f', CONFIG];
  const isReady = () => accepts(places.http, HOST);
  return { name: 'haproxy', command, args, env, logFile, readyMsMax: READY_MS_MAX, isReady };
}

/** Whether HAProxy leads clients to a gateway, of either kind. False, too, where it can't be asked just now. */
export async function isLedClients(gateway: string, statsPort: number): Promise<boolean> {
  const signal = AbortSignal.timeout(ANSWER_MS_MAX);
  const page = await fetch(`http://${HOST}:${statsPort}/;csv`, { signal })
    .then((answer) => answer.text())
    .catch(() => '');
  const rows = page.split('\n').map((line) => line.split(','));
  const servers = rows.filter((row) => ['http', 'tcp'].includes(row[BACKEND] ?? '') && row[SERVER] === gateway);
  return servers.length === 2 && servers.every((row) => row[STATUS]?.startsWith('UP'));
}
