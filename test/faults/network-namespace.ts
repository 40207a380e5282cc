import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { isPossible, run } from './machine.ts';

/** Names hold the pid of the process that made them, so that what a killed one has left can be told. */
const PREFIX = 'tidegate';

let count = 0;

/**
 * Another machine as far as the network goes: a network namespace behind a pair of virtual Ethernet devices. Needs
 * Linux, root and iproute2.
 */
export class NetworkNamespace {
  /** Of this process' machine, as seen from inside. */
  readonly hostAddress: string;
  /** Of the namespace, as seen from here. */
  readonly address: string;
  readonly #name: string;
  /** The device's name here; inside it is `eth0`. */
  readonly #device: string;
  readonly #children = new Set<ChildProcess>();
  #closed = false;

  private constructor() {
    const number = count;
    count += 1;
    this.#name = `${PREFIX}-${process.pid}-${number}`;
    this.#device = `tg${process.pid}-${number}`;
    // Four addresses each of 198.18.0.0/15, which is set aside for tests of networks (RFC 2544).
    const base = ((process.pid * 8 + number) % 32_768) * 4;
    const addressAt = (n: number) => `198.${18 + (n >> 16)}.${(n >> 8) & 0xff}.${n & 0xff}`;
    this.hostAddress = addressAt(base + 1);
    this.address = addressAt(base + 2);
  }

  static async create(): Promise<NetworkNamespace> {
    await removeLeftovers();
    const namespace = new NetworkNamespace();
    try {
      await namespace.#setUp();
    } catch (error) {
      await namespace.close();
      throw error;
    }
    return namespace;
  }

  /** Whether a test that needs one runs here: see {@link isPossible}. */
  static isPossible(): Promise<boolean> {
    return isPossible(async () => {
      await (await NetworkNamespace.create()).close();
    });
  }

  /** Starts a program inside. It is killed by `close` if it still runs. */
  run(command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    // `ip` becomes the program, with the same pid.
    const child = spawn('ip', ['netns', 'exec', this.#name, command, ...args], options);
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  /**
   * From now on packets are lost in both directions, and nobody is told: no ICMP error, no reset, the link stays up.
   * Each side takes the other for a device that there isn't.
   */
  async cutOff(): Promise<void> {
    const nobody = ['lladdr', '02:00:00:00:00:01', 'nud', 'permanent'];
    await Promise.all([
      run('ip', 'neigh', 'replace', this.address, ...nobody, 'dev', this.#device),
      this.#inside('neigh', 'replace', this.hostAddress, ...nobody, 'dev', 'eth0'),
    ]);
  }

  /** Ends what `cutOff` began. */
  async restore(): Promise<void> {
    await Promise.all([
      run('ip', 'neigh', 'del', this.address, 'dev', this.#device),
      this.#inside('neigh', 'del', this.hostAddress, 'dev', 'eth0'),
    ]);
  }

  /** Pulls the plug at the other end: the host sees that there is no carrier. */
  async unplug(): Promise<void> {
    await this.#inside('link', 'set', 'eth0', 'down');
  }

  /** Kills what runs inside and removes the namespace with its devices. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const exits = [...this.#children].map((child) => {
      const exited = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      return exited;
    });
    await Promise.all(exits);
    await removeNamespace(this.#name);
    // The kernel removes the devices with the namespace, but at its leisure, and its addresses may be wanted again.
    await run('ip', 'link', 'delete', this.#device).catch(() => {});
  }

  async #setUp(): Promise<void> {
    await run('ip', 'netns', 'add', this.#name);
    const peer = ['type', 'veth', 'peer', 'name', 'eth0', 'netns', this.#name];
    await run('ip', 'link', 'add', this.#device, ...peer);
    await run('ip', 'address', 'add', `${this.hostAddress}/30`, 'dev', this.#device);
    await run('ip', 'link', 'set', this.#device, 'up');
    await this.#inside('address', 'add', `${this.address}/30`, 'dev', 'eth0');
    await this.#inside('link', 'set', 'lo', 'up');
    await this.#inside('link', 'set', 'eth0', 'up');
  }

  #inside(...args: string[]): Promise<string> {
    return run('ip', '-netns', this.#name, ...args);
  }
}

async function namespaces(): Promise<string[]> {
  const lines = (await run('ip', 'netns', 'list')).split('\n');
  return lines.map((line) => line.split(' ')[0] ?? '').filter((name) => name.startsWith(`${PREFIX}-`));
}

async function removeNamespace(name: string): Promise<void> {
  if (!(await namespaces()).includes(name)) return;
  await run('ip', 'netns', 'delete', name);
}

/** Removes what processes have left that were killed. */
async function removeLeftovers(): Promise<void> {
  for (const name of await namespaces()) {
    const pid = /^\w+-(\d+)-\d+$/.exec(name)?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    // Another test may be at it as well.
    await removeNamespace(name).catch(() => {});
  }
}
