import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';

export const HOST = '127.0.0.1';

/** Loopback ports that nobody listens on now, each another one. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, HOST));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

/** The least that we give out, above those that programs are known by. */
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
  const server = createServer().listen(port, HOST);
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
