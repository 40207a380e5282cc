import { execFile, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** The repository's root. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

const OUTPUT_BYTES_MAX = 64 * 1_048_576;

/** Of `programs`, those that are not to be had. */
export function missingOf(programs: readonly string[]): string[] {
  return programs.filter((program) => spawnSync('which', [program]).status !== 0);
}

export interface RunOptions {
  readonly cwd?: string;
  /** Instead of this process' own environment. */
  readonly env?: NodeJS.ProcessEnv;
  readonly timeoutMs?: number;
}

/** @returns what a program prints. @throws Error with its command line and all that it said, if it fails */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { cwd = ROOT, env = process.env, timeoutMs = 120_000 } = options;
  try {
    const settings = { cwd, env, timeout: timeoutMs, maxBuffer: OUTPUT_BYTES_MAX };
    return (await promisify(execFile)(program, args, settings)).stdout;
  } catch (error) {
    const { stdout = '', stderr = '', message } = error as Error & { stdout?: string; stderr?: string };
    const said = `${stdout}${stderr}`.trim().split('\n').slice(-40).join('\n');
    throw new Error(`${program} ${args.join(' ')}\n${said === '' ? message : said}`);
  }
}
