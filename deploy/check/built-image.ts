import { type ChildProcessByStdio, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { ROOT, run } from './programs.ts';

/** What of Debian the steps of the Dockerfile need, and its base image has. */
const DEBIAN = 'base-files,bash,coreutils,dash,findutils,grep,gzip,libc-bin,libstdc++6,sed,tar';
const MERGED_USR = '/usr/share/mmdebstrap/hooks/merged-usr';
const BUILD_MS_MAX = 600_000;

/** What an image says of how it is run, as Docker has it. */
export interface ImageConfig {
  /** `uid:gid`. */
  readonly User: string;
  readonly Env: readonly string[];
  readonly Entrypoint: readonly string[];
  readonly Volumes: Readonly<Record<string, unknown>>;
  readonly ExposedPorts: Readonly<Record<string, unknown>>;
  readonly Healthcheck?: { readonly Test: readonly string[] };
}

/**
 * The image that the Dockerfile makes, by buildah. No registry is asked: its base image is put together of Debian's own
 * packages, the Node that npm has installed here, and this machine's npm.
 */
export class BuiltImage {
  readonly config: ImageConfig;
  /** Where its files are, to look at. */
  readonly root: string;
  readonly #folder: string;

  private constructor(config: ImageConfig, root: string, folder: string) {
    this.config = config;
    this.root = root;
    this.#folder = folder;
  }

  /** @param base the image that is stood in for. @throws Error with what the step that failed has said */
  static async build(base: string): Promise<BuiltImage> {
    const folder = mkdtempSync(join(tmpdir(), 'tidegate-image-'));
    const buildah = buildahIn(folder);
    try {
      const scratch = (await buildah('from', 'scratch')).trim();
      await fillBase((await buildah('mount', scratch)).trim(), folder);
      await buildah('commit', '--rm', '--quiet', scratch, `docker.io/library/${base}`);
      const options = ['--isolation=chroot', '--format=docker', '--pull-never', '--layers=false'];
      const mounts = await packageMounts(folder);
      await buildah('build', ...options, ...mounts.map((mount) => `--volume=${mount}`), '--tag=tidegate', ROOT);
      const { Docker } = JSON.parse(await buildah('inspect', '--type=image', 'tidegate')) as {
        Docker: { config: ImageConfig };
      };
      const container = (await buildah('from', '--pull-never', 'tidegate')).trim();
      return new BuiltImage(Docker.config, (await buildah('mount', container)).trim(), folder);
    } catch (error) {
      await removeAll(folder);
      throw error;
    }
  }

  /**
   * Runs a command in it as a container would, as far as that goes without an engine: as the image's user, as process 1 of
   * its own, with its files read-only and a volume at /data; on this machine's network.
   */
  start(
    command: readonly string[],
    env: Readonly<Record<string, string>>,
  ): ChildProcessByStdio<null, Readable, Readable> {
    const data = mkdtempSync(join(this.#folder, 'data-'));
    // A new volume belongs to whom the image's folder does.
    const { uid, gid, mode } = lstatSync(join(this.root, 'data'));
    chownSync(data, uid, gid);
    chmodSync(data, mode);
    for (const name of ['proc', 'dev']) mkdirSync(join(this.root, name), { recursive: true });
    const script = `set -e
      mount --bind "$1" "$1"
      mount --bind "$2" "$1/data"
      mount -o remount,bind,ro "$1"
      mount -t proc proc "$1/proc"
      mount --bind /dev "$1/dev"
      root=$1 user=$3
      shift 3
      exec chroot --userspec="$user" --groups= "$root" "$@"`;
    const args = [
      '--mount',
      '--pid',
      '--fork',
      '--kill-child',
      'sh',
      '-c',
      script,
      'sh',
      this.root,
      data,
      this.config.User,
    ];
    const ofImage = Object.fromEntries(this.config.Env.map((each) => each.split('=', 2)));
    return spawn('unshare', [...args, ...command], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...ofImage, ...env, PATH: `${ofImage.PATH}:${process.env.PATH}` },
    });
  }

  async remove(): Promise<void> {
    await removeAll(this.#folder);
  }
}

function buildahIn(folder: string) {
  const where = ['--root', join(folder, 'images'), '--runroot', join(folder, 'run')];
  return (...args: readonly string[]) => run('buildah', [...where, ...args], { timeoutMs: BUILD_MS_MAX });
}

/** How this machine gets at packages, which is not the image's to know; what npm has here is not fetched again. */
async function packageMounts(folder: string): Promise<string[]> {
  const config = join(folder, 'npmrc');
  const own = join(homedir(), '.npmrc');
  writeFileSync(config, `${existsSync(own) ? readFileSync(own, 'utf8') : ''}\nprefer-offline=true\n`);
  const cache = (await run('npm', ['config', 'get', 'cache'])).trim();
  return [`${cache}:/root/.npm`, `${config}:/root/.npmrc:ro`, '/etc/ssl/certs:/etc/ssl/certs:ro'];
}

async function fillBase(root: string, folder: string): Promise<void> {
  const archive = join(folder, 'debian.tar');
  const options = ['--quiet', '--variant=extract', `--include=${DEBIAN}`, `--hook-dir=${MERGED_USR}`];
  await run('mmdebstrap', [...options, 'bookworm', archive], { timeoutMs: BUILD_MS_MAX });
  await run('tar', ['-xf', archive, '-C', root]);
  rmSync(archive);
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/root:/bin/bash\n');
  const bin = join(root, 'usr/local/bin');
  cpSync(join(ROOT, 'node_modules/node/bin/node'), join(bin, 'node'));
  // …/npm/bin/npm-cli.js
  const npm = dirname(dirname(realpathSync((await run('which', ['npm'])).trim())));
  cpSync(npm, join(root, 'usr/local/lib/npm'), { recursive: true });
  symlinkSync('../lib/npm/bin/npm-cli.js', join(bin, 'npm'));
}

async function removeAll(folder: string): Promise<void> {
  const buildah = buildahIn(folder);
  await buildah('rm', '--all');
  await buildah('rmi', '--all', '--force');
  rmSync(folder, { recursive: true });
}
