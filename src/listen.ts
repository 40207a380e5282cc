import { once } from 'node:events';
import { type AddressInfo, connect, type Server } from 'node:net';

/** Resolves with the port in use, once the server listens. @throws Error with `syscall` `listen` if it can't */
export async function listen(server: Server, port: number, host: string, backlog: number): Promise<number> {
  server.listen({ port, host, backlog });
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Whether somebody accepts connections there. */
export async function accepts(port: number, host: string): Promise<boolean> {
  const socket = connect({ port, host });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
