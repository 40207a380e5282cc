import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type Daemon, startDaemon, stopDaemon, untilReady } from './daemon.ts';
import { HOST } from './ports.ts';

const READY_MS_MAX = 10_000;
const STOP_MS_MAX = 5_000;

/** A redis-server that keeps nothing on disk. */
export class Redis {
  readonly port: number;
  readonly daemon: Daemon;
  readonly logFile: string;

  private constructor(port: number, daemon: Daemon, logFile: string) {
    this.port = port;
    this.daemon = daemon;
    this.logFile = logFile;
  }

  /**
   * @param onBegun called before it is ready, so that it is known in any case
   * @throws Error if it is not ready in time, or can't be started
   */
  static async start(
    directory: string,
    port: number,
    args: readonly string[] = [],
    onBegun: (daemon: Daemon) => void = () => {},
  ): Promise<Redis> {
    mkdirSync(directory, { recursive: true });
    const logFile = join(directory, 'redis.log');
    const settings = { port, bind: HOST, dir: directory, save: '', appendonly: 'no', daemonize: 'no' };
    const options = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const daemon = await startDaemon('redis-server', [...options, ...args], logFile);
    onBegun(daemon);
    await untilReady('redis-server', daemon, logFile, READY_MS_MAX, () => answersPing(port));
    return new Redis(port, daemon, logFile);
  }

  get url(): string {
    return `redis://${HOST}:${this.port}`;
  }

  stop(): Promise<void> {
    return stopDaemon(this.daemon, STOP_MS_MAX);
  }
}

export async function answersPing(port: number): Promise<boolean> {
  const socket = connect(port, HOST);
  try {
    socket.write('PING\r\n');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    return answer.toString() === '+PONG\r\n';
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
