import { execFile } from 'node:child_process';
import { constants, copyFile, mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { GatewayProcess } from '../e2e/gateway-process.ts';

const execute = promisify(execFile);

/** Runs a program to its end. @throws if it fails */
export async function run(program: string, ...args: string[]): Promise<string> {
  const { stdout } = await execute(program, args);
  return stdout;
}

/**
 * Whether a test that needs something of the machine runs here: where `works` fails it is skipped, but not in
 * CI, where it must run and so fails.
 */
export async function isPossible(works: () => Promise<unknown>): Promise<boolean> {
  if (process.env.CI) return true;
  try {
    await works();
    return true;
  } catch {
    return false;
  }
}

/** Something mounted on a directory of ours. */
export class Mount {
  readonly path: string;
  #mounted = true;

  private constructor(path: string) {
    this.path = path;
  }

  static async make(path: string, ...args: string[]): Promise<Mount> {
    await mkdir(path, { recursive: true });
    await run('mount', ...args, path);
    return new Mount(path);
  }

  /** A file system in memory. */
  static tmpfs(path: string, mebibytes: number): Promise<Mount> {
    return Mount.make(path, '-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs');
  }

  /** Gives a file system in memory another size. */
  async resize(mebibytes: number): Promise<void> {
    await run('mount', '-o', `remount,size=${mebibytes}m`, this.path);
  }

  /** Idempotent. Lazy, so that nothing stays behind when a file is still open. */
  async unmount(): Promise<void> {
    if (!this.#mounted) return;
    this.#mounted = false;
    await run('umount', '--lazy', this.path);
  }
}

/** A disk that is a file, with ext4 on it. */
export class Disk {
  readonly image: string;

  private constructor(image: string) {
    this.image = image;
  }

  static async make(image: string, mebibytes: number): Promise<Disk> {
    await writeFile(image, '');
    await truncate(image, mebibytes * 1_048_576);
    await run('mkfs.ext4', '-q', '-E', 'lazy_itable_init=0,lazy_journal_init=0', image);
    return new Disk(image);
  }

  /** The kernel commits its journal by itself only every minute: what is on the disk was synced. */
  mount(path: string): Promise<Mount> {
    return Mount.make(path, '-o', 'loop,commit=60', this.image);
  }

  /**
   * What a power cut would leave: the bytes that have reached the disk, without those that the kernel still
   * holds. Nobody may write to it meanwhile, or the copy is of no one moment.
   */
  async copy(image: string): Promise<Disk> {
    await copyFile(this.image, image, constants.COPYFILE_FICLONE);
    return new Disk(image);
  }
}

/** Stops a gateway in the middle of whatever it does. A sync under way is the disk's, and goes on. */
export async function freeze(gateway: GatewayProcess): Promise<void> {
  process.kill(gateway.pid, 'SIGSTOP');
  for (;;) {
    const states: string[] = [];
    for (const thread of await readdir(`/proc/${gateway.pid}/task`)) {
      const stat = await readFile(`/proc/${gateway.pid}/task/${thread}/stat`, 'utf8');
      // The name before the state may hold anything.
      states.push(stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3));
    }
    if (states.every((state) => 'TtDZX'.includes(state))) return;
    await delay(1);
  }
}

/** What the internal port says: the status of `/health/ready`. */
export async function readiness(gateway: GatewayProcess): Promise<{ status: number; reason?: string }> {
  const response = await fetch(`http://127.0.0.1:${gateway.ports.internal}/health/ready`);
  return { ...((await response.json()) as { reason?: string }), status: response.status };
}
