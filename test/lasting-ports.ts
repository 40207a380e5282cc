import { lastingPorts } from '../services/ports.ts';

/** Settings of a gateway that can be started again where it was: it keeps its ports while it is away. */
export async function lastingPlace(): Promise<Readonly<Record<string, string>>> {
  const [http, tcp, internal] = await lastingPorts(3);
  return { TIDEGATE_HTTP_PORT: `${http}`, TIDEGATE_TCP_PORT: `${tcp}`, TIDEGATE_INTERNAL_PORT: `${internal}` };
}
