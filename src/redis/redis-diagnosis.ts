import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { RedisSettings } from './redis-settings.ts';
import { type RedisSetupError, setupErrorOf } from './redis-setup-error.ts';

/**
 * Finds out whether a Redis that says nothing, or goes without a word, was spoken to in the wrong way: with TLS where it
 * has none, without where it has, or without the certificate that it wants.
 *
 * @returns null: it is nothing of that kind
 */
export async function diagnose(settings: RedisSettings): Promise<RedisSetupError | null> {
  const { url, sentinels, tls, connectTimeoutMs } = settings;
  const { protocol, hostname, port } = new URL(url);
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  const address = sentinels?.addresses[0] ?? { host, port: Number(port || 6_379) };
  if (protocol === 'redis:') {
    const socket = connectTls({ ...address, rejectUnauthorized: false });
    const speaksTls = await within(socket, connectTimeoutMs, (resolve) => {
      socket.once('secureConnect', () => resolve(true));
    });
    return speaksTls ? setupErrorOf(new Error('it speaks TLS there'), settings) : null;
  }
  const plain = connect(address);
  const speaksPlain = await within(plain, connectTimeoutMs, (resolve) => {
    plain.once('connect', () => plain.write('PING\r\n'));
    plain.once('data', (bytes) => resolve(/^[+-]/.test(bytes.toString('latin1'))));
  });
  if (speaksPlain) return setupErrorOf(new Error('it speaks no TLS there'), settings);
  // Who says something at once is told of a reset, and not what it is for.
  const silent = connectTls({ ...address, ...tls });
  const refusal = await within<Error>(silent, connectTimeoutMs, (resolve) => {
    silent.once('error', resolve);
  });
  return refusal && setupErrorOf(refusal, settings);
}

/** What `listen` finds out before the socket fails or ends, or the time is over; else null. */
async function within<T>(
  socket: Socket,
  timeoutMs: number,
  listen: (resolve: (value: T | null) => void) => void,
): Promise<T | null> {
  try {
    return await new Promise<T | null>((resolve) => {
      listen(resolve);
      socket.setTimeout(timeoutMs, () => resolve(null));
      socket.once('error', () => resolve(null));
      socket.once('close', () => resolve(null));
    });
  } finally {
    socket.destroy();
  }
}
