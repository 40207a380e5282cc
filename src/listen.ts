import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';

/** Resolves with the port in use, once the server listens. @throws Error with `syscall` `listen` if it can't */
export async function listen(server: Server, port: number, host: string, backlog: number): Promise<number> {
  server.listen({ port, host, backlog });
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
