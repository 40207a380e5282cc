import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { type BuildOptions, build, type Plugin } from 'esbuild';

/** A file that browsers load. */
export interface WebFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface Size {
  readonly name: string;
  readonly bytes: number;
  /** Bytes at gzip's level 9. */
  readonly gzipBytes: number;
}

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const CLIENT = 'src/client/client.ts';
const OPTIONS = {
  absWorkingDir: ROOT,
  bundle: true,
  minify: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  charset: 'utf8',
  legalComments: 'none',
  logLevel: 'warning',
} as const satisfies BuildOptions;

/** The page and whoever else is on it share one copy of the client: it stays a file of its own. */
const clientApart: Plugin = {
  name: 'client-apart',
  setup({ onResolve }) {
    onResolve({ filter: /\/src\/client\// }, ({ path }) =>
      path.endsWith(CLIENT)
        ? { path: './client.js', external: true }
        : { errors: [{ text: `The page may import nothing else of the client than ${CLIENT}` }] },
    );
  },
};

/** The client as one file without imports. @throws what esbuild has to say, warnings too. */
export function bundleClient(): Promise<WebFile> {
  return bundle('client.js', { entryPoints: [CLIENT] });
}

/** Every file of dist/web, which the public port serves. @throws what esbuild has to say, warnings too. */
export function bundleAll(): Promise<WebFile[]> {
  return Promise.all([
    bundleClient(),
    bundle('chat.js', { entryPoints: ['web/chat.ts'], plugins: [clientApart] }),
    // A classic script: not every browser takes a module for a service worker.
    bundle('sw.js', { entryPoints: ['web/sw.ts'], format: 'iife' }),
    bundle('chat.css', { entryPoints: ['web/chat.css'] }),
    copy('index.html'),
    copy('icon.svg'),
  ]);
}

/** Every file of dist/dashboard, which the internal port serves. @throws what esbuild has to say, warnings too. */
export async function bundleDashboard(): Promise<WebFile[]> {
  const license = await readFile(`${ROOT}node_modules/uplot/LICENSE`, 'utf8');
  const banner = { js: `/*! uPlot is in here:\n${license.trim()}\n*/` };
  return Promise.all([
    bundle('dashboard.js', { entryPoints: ['web/dashboard/dashboard.ts'], banner }),
    bundle('dashboard.css', { entryPoints: ['web/dashboard/dashboard.css'] }),
    copy('index.html', 'dashboard/'),
    copy('icon.svg'),
  ]);
}

export function sizeOf({ name, bytes }: WebFile): Size {
  return { name, bytes: bytes.length, gzipBytes: gzipSync(bytes, { level: 9 }).length };
}

async function bundle(name: string, options: BuildOptions): Promise<WebFile> {
  const { outputFiles, warnings } = await build({ ...OPTIONS, ...options, write: false });
  const [file, ...others] = outputFiles;
  if (warnings.length > 0) throw new Error(`${name}: esbuild warns`);
  if (file === undefined || others.length > 0) throw new Error(`${name}: not one file but ${outputFiles.length}`);
  return { name, bytes: file.contents };
}

async function copy(name: string, folder = './'): Promise<WebFile> {
  return { name, bytes: await readFile(new URL(`${folder}${name}`, import.meta.url)) };
}
