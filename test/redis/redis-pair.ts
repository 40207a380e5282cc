import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis as Connection } from 'ioredis';
import { isRunning, stopDaemon } from '../../services/daemon.ts';
import { HOST, isFree, lastingPorts } from '../../services/ports.ts';
import { Redis } from '../../services/redis.ts';
import { RedisProxy } from './redis-proxy.ts';

/** Enough for a standby to get a copy of what little there is here. */
const SYNC_MS_MAX = 10_000;
const POLL_MS = 20;
const SNAPSHOT = 'dump.rdb';

interface Member {
  readonly directory: string;
  readonly port: number;
  server: Redis;
}

/** A primary and a standby that follows it, through a proxy, which either may become of the other. */
export class RedisPair {
  #primary: Member;
  #standby: Member;
  readonly #replication: RedisProxy;

  private constructor(primary: Member, standby: Member, replication: RedisProxy) {
    this.#primary = primary;
    this.#standby = standby;
    this.#replication = replication;
  }

  /** Those that run. A process that is ended must not leave servers behind. */
  static readonly #running = new Set<RedisPair>();

  static killAll(): void {
    for (const pair of RedisPair.#running) {
      for (const { server } of [pair.#primary, pair.#standby])
        if (isRunning(server.daemon)) process.kill(server.daemon.pid, 'SIGKILL');
    }
  }

  static async start(directory: string): Promise<RedisPair> {
    const ports = await lastingPorts(2);
    const [primary, standby] = await Promise.all(ports.map((port) => startMember(join(directory, `${port}`), port)));
    if (primary === undefined || standby === undefined) throw new Error('two ports were asked for');
    const pair = new RedisPair(primary, standby, await RedisProxy.open(primary.port));
    RedisPair.#running.add(pair);
    await pair.#follow();
    return pair;
  }

  get port(): number {
    return this.#primary.port;
  }

  /** Runs a command on the primary. */
  ask(command: string, ...args: readonly (string | number)[]): Promise<unknown> {
    return ask(this.#primary, command, ...args);
  }

  /** Keeps a snapshot for `restart`. */
  async save(): Promise<void> {
    // Not while the standby is given its copy.
    await until('no snapshot can be kept', () =>
      this.ask('SAVE').then(
        () => true,
        (error: Error) => {
          if (error.message.includes('in progress')) return false;
          throw error;
        },
      ),
    );
  }

  /** Kills the primary, and starts it where it was: empty, or as it was when it was saved. */
  async restart(from: 'nothing' | 'snapshot', downMs: number): Promise<void> {
    await kill(this.#primary);
    if (from === 'nothing') rmSync(join(this.#primary.directory, SNAPSHOT), { force: true });
    await delay(downMs);
    this.#primary = await startMember(this.#primary.directory, this.#primary.port);
    rmSync(join(this.#primary.directory, SNAPSHOT), { force: true });
    await this.#untilFollowed();
  }

  /** The primary does nothing for a while, and then all that it was asked. */
  async hang(ms: number): Promise<void> {
    const { pid } = this.#primary.server.daemon;
    process.kill(pid, 'SIGSTOP');
    await delay(ms);
    process.kill(pid, 'SIGCONT');
  }

  /** What is written from now on does not come to the standby. */
  holdReplication(): void {
    this.#replication.hold();
  }

  /** The standby becomes a primary, beside the other one. Returns its port. */
  async promote(): Promise<number> {
    await ask(this.#standby, 'REPLICAOF', 'NO', 'ONE');
    [this.#primary, this.#standby] = [this.#standby, this.#primary];
    return this.#primary.port;
  }

  /** The former primary is gone, and comes back as an empty standby. */
  async demote(): Promise<void> {
    await kill(this.#standby);
    this.#replication.switchTo(this.#primary.port);
    this.#replication.release();
    rmSync(join(this.#standby.directory, SNAPSHOT), { force: true });
    this.#standby = await startMember(this.#standby.directory, this.#standby.port);
    await this.#follow();
  }

  async close(): Promise<void> {
    await this.#replication.close();
    await Promise.all([kill(this.#primary), kill(this.#standby)]);
    RedisPair.#running.delete(this);
  }

  /** Resolves when the standby has all that has been written before. */
  async inSync(): Promise<void> {
    const written = await offsetIn(this.#primary, 'master_repl_offset');
    await until(
      'the standby does not follow',
      async () => (await offsetIn(this.#standby, 'slave_repl_offset')) >= written,
    );
  }

  async #follow(): Promise<void> {
    await ask(this.#standby, 'REPLICAOF', HOST, this.#replication.port);
    await this.#untilFollowed();
  }

  /** A primary that is followed anew is another one by its id: nobody is to see that later. */
  async #untilFollowed(): Promise<void> {
    const isUp = async () => String(await ask(this.#standby, 'INFO', 'replication')).includes('master_link_status:up');
    await until('the standby gets no copy', isUp);
  }
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + SYNC_MS_MAX;
  while (!(await isSo())) {
    if (performance.now() > deadlineMs) throw new Error(`${what} within ${SYNC_MS_MAX} ms`);
    await delay(POLL_MS);
  }
}

async function offsetIn(member: Member, field: string): Promise<number> {
  const info = String(await ask(member, 'INFO', 'replication'));
  return Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(info)?.[1]);
}

async function startMember(directory: string, port: number): Promise<Member> {
  const args = ['--repl-diskless-sync', 'yes', '--repl-diskless-sync-delay', '0', '--enable-debug-command', 'no'];
  return { directory, port, server: await Redis.start(directory, port, args) };
}

async function kill({ server, port }: Member): Promise<void> {
  await stopDaemon(server.daemon, 0);
  // It is gone before all of its threads are, and they hold the port.
  await until('the port is not let go', () => isFree(port));
}

async function ask({ port }: Member, command: string, ...args: readonly (string | number)[]): Promise<unknown> {
  const connection = new Connection({ host: HOST, port, lazyConnect: true, retryStrategy: () => null });
  try {
    await connection.connect();
    return await connection.call(command, ...args);
  } finally {
    connection.disconnect();
  }
}
