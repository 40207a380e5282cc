import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';

const FIRST = 10_000;
/** Where Linux begins to give ports to whoever does not ask for one. */
const RANGE_FILE = '/proc/sys/net/ipv4/ip_local_port_range';
const RANGE_BEGIN = 32_768;

/**
 * Free ports that stay free while nobody listens on them, as during a restart: the kernel gives them to no connection,
 * which otherwise might even connect to itself.
 */
export async function lastingPorts(count: number): Promise<number[]> {
  const range = await readFile(RANGE_FILE, 'utf8').catch(() => `${RANGE_BEGIN}`);
  const end = Number.parseInt(range, 10);
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = FIRST + Math.floor(Math.random() * (end - FIRST));
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

export async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}

/** Settings of a gateway that can be started again where it was: it keeps its ports while it is away. */
export async function lastingPlace(): Promise<Readonly<Record<string, string>>> {
  const [http, tcp, internal] = await lastingPorts(3);
  return { TIDEGATE_HTTP_PORT: `${http}`, TIDEGATE_TCP_PORT: `${tcp}`, TIDEGATE_INTERNAL_PORT: `${internal}` };
}
