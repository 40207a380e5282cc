import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from './programs.ts';

const HERE = fileURLToPath(new URL('./', import.meta.url));
const BUILD_MS_MAX = 600_000;

/** The program of this folder's Go files, which renders with what Compose and kubectl themselves are made of. */
export class Renderer {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** @throws Error with the compiler's words */
  static async build(): Promise<Renderer> {
    const folder = mkdtempSync(join(tmpdir(), 'tidegate-renderer-'));
    try {
      await run('go', ['build', '-ldflags=-s -w', '-o', join(folder, 'check'), '.'], {
        cwd: HERE,
        timeoutMs: BUILD_MS_MAX,
      });
    } catch (error) {
      rmSync(folder, { recursive: true });
      throw error;
    }
    return new Renderer(folder);
  }

  /** `args` as its own usage has them; paths are from the repository's root. @throws Error with its words */
  async render<T>(...args: readonly string[]): Promise<T> {
    return JSON.parse(await run(join(this.#folder, 'check'), args)) as T;
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }
}
