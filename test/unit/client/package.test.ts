import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');

/** A program of somebody who has installed the package, without Node's types. */
const CONSUMER = `
import { Client, ClientError, type ClientState, type Message, tabDevice } from 'tidegate/client';

const client = new Client({ url: new URL('wss://chat.example/ws'), device: tabDevice(), token: async () => 'token' });
client.on('state', (state: ClientState) => {
  if (state.name === 'waiting') state.retryAtMs satisfies number;
});
client.on('presence', ({ user, lastSeenMs }) => [user satisfies string, lastSeenMs satisfies number]);
client.on('error', (error) => {
  error satisfies ClientError;
});
const room = client.room('lobby');
const off: () => void = room.on('message', ({ from, offset, data }) => {
  from satisfies string;
  offset satisfies number;
  data satisfies unknown;
});
off();
room.on('gap', ({ from, to }) => [from?.offset satisfies number | undefined, to.epoch satisfies string]);
export async function read(): Promise<Message[]> {
  const session = await client.connect();
  session.limits.dataBytesMax satisfies number;
  await room.join({ history: 50, presence: 'full' });
  const { offset, duplicate } = await room.publish({ text: 'hello' });
  offset satisfies number;
  duplicate satisfies boolean;
  for await (const message of room) return [message];
  return [];
}

// @ts-expect-error there is no such event
client.on('stat', () => {});
// @ts-expect-error there is no such event of a room
room.on('messages', () => {});
// @ts-expect-error an offset is a number
room.on('message', ({ offset }) => offset.trim());
// @ts-expect-error what was published is not known to be a text
room.on('message', ({ data }) => data.trim());
// @ts-expect-error there is no such mode
void room.join({ presence: 'some' });
`;

let folder: string;
/** Paths of the package's files, from its root. */
let packed: string[];
let installed: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tidegate-package-'));
  installed = join(folder, 'node_modules/tidegate');
  mkdirSync(installed, { recursive: true });
  // Without scripts: `prepack` would build what other tests are running.
  const { stdout } = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
    cwd: ROOT,
    env: { ...process.env, npm_config_update_notifier: 'false' },
  });
  const [{ filename }] = JSON.parse(stdout) as [{ readonly filename: string }];
  await run('tar', ['-xzf', join(folder, filename), '-C', installed, '--strip-components', '1']);
  packed = readdirSync(installed, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(installed, join(entry.parentPath, entry.name)));
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module', private: true }));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What a program prints, run where the package is installed. */
async function printed(program: string): Promise<string> {
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program], { cwd: folder });
  return stdout.trim();
}

/** The modules that these files of the package import from elsewhere, themselves or through others of its files. */
async function imported(paths: readonly string[]): Promise<string[]> {
  const { metafile } = await build({
    absWorkingDir: installed,
    entryPoints: [...paths],
    bundle: true,
    packages: 'external',
    platform: 'neutral',
    outdir: 'out',
    write: false,
    metafile: true,
  });
  return Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path));
}

describe('the package', () => {
  test('holds what runs and what is read, and no sources', () => {
    const web = ['chat.css', 'chat.js', 'client.js', 'icon.svg', 'index.html', 'sw.js'].map(
      (name) => `dist/web/${name}`,
    );
    expect(packed.filter((path) => path.startsWith('dist/web/')).sort()).toEqual(web);
    expect(packed).toEqual(
      expect.arrayContaining(['README.md', 'LICENSE', 'dist/main.js', 'dist/client/client.d.ts', 'docs/openapi.json']),
    );
    const folders = ['dashboards', 'dist', 'docs'];
    expect(packed.filter((path) => path.includes('/') && !folders.includes(path.split('/')[0] ?? ''))).toEqual([]);
    expect(packed.filter((path) => /\.test\.|(?<!\.d)\.ts$/.test(path))).toEqual([]);
  });

  test('has a client that needs no other module', async () => {
    const modules = packed.filter((path) => /^dist\/client\/.*\.js$/.test(path));
    expect(modules).toContain('dist/client/client.js');
    expect(await imported(modules)).toEqual([]);
    // What would find them.
    expect(await imported(['dist/main.js'])).toEqual(expect.arrayContaining(['node:http', 'ws']));
  });

  test('has types of the client that need no other module', () => {
    const types = packed.filter((path) => path.endsWith('.d.ts'));
    expect(types).toContain('dist/client/client.d.ts');
    const specifiers = types.flatMap((path) => {
      const text = readFileSync(join(installed, path), 'utf8');
      return [...text.matchAll(/\bfrom '([^']+)'|\bimport\('([^']+)'\)/g)].map(([, from, type]) => from ?? type ?? '');
    });
    expect(specifiers).not.toEqual([]);
    expect(specifiers.filter((specifier) => !specifier.startsWith('.'))).toEqual([]);
    expect(types.filter((path) => /<reference/.test(readFileSync(join(installed, path), 'utf8')))).toEqual([]);
  });

  test('runs in Node.js', async () => {
    const program = "const client = new Client({ url: 'ws://127.0.0.1:9/ws' }); console.log(client.state.name)";
    expect(await printed(`import { Client } from 'tidegate/client'; ${program}`)).toBe('closed');
  });

  test('has the client in one file for browsers', async () => {
    expect(await imported(['dist/web/client.js'])).toEqual([]);
    expect(await imported(['dist/web/chat.js'])).toEqual([]);
    const exported = await printed("console.log(Object.keys(await import('tidegate/client')).sort().join())");
    expect(exported.split(',')).toContain('Client');
    const url = JSON.stringify(join(installed, 'dist/web/client.js'));
    expect(await printed(`console.log(Object.keys(await import(${url})).sort().join())`)).toBe(exported);
  });

  test.each([
    ['ESNext', 'bundler'],
    ['NodeNext', 'nodenext'],
  ])('has types for module %s, resolved as by %s', async (module, moduleResolution) => {
    const project = mkdtempSync(join(folder, 'consumer-'));
    writeFileSync(join(project, 'consumer.ts'), CONSUMER);
    const compilerOptions = {
      ...{ module, moduleResolution, target: 'ES2022', lib: ['ES2022', 'DOM'], types: [] },
      ...{ strict: true, skipLibCheck: false, noEmit: true },
    };
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consumer.ts'] }));
    const { stdout } = await run(process.execPath, [TSC, '-p', project]).catch((error: { stdout: string }) => error);
    expect(stdout).toBe('');
  });
});
