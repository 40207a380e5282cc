import { type Dirent, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, extname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const LINES_MAX = 400;
const TEXT_FILES = ['.ts', '.js', '.mjs', '.json', '.md', '.html', '.css', '.yml', '.yaml', '.sh', '.lua'];

interface SourceFile {
  /** From the repository's root. */
  readonly path: string;
  readonly text: string;
}

function filesUnder(...directories: readonly string[]): SourceFile[] {
  const isText = (entry: Dirent) => entry.isFile() && TEXT_FILES.includes(extname(entry.name));
  return directories.flatMap((directory) =>
    readdirSync(join(ROOT, directory), { recursive: true, withFileTypes: true })
      .filter(isText)
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => ({ path: relative(ROOT, path), text: readFileSync(path, 'utf8') })),
  );
}

const src = filesUnder('src');
const web = filesUnder('web');
const test = filesUnder('test');
/** What runs, in the gateway and in browsers. */
const code = [...src, ...web.filter(({ path }) => path.endsWith('.ts'))];
const all = [...src, ...web, ...test, ...filesUnder('loadtest', 'services', 'cluster', 'dashboards', 'docs', 'deploy')];

/** Paths and lines where something stands that must not. */
function offences(files: readonly SourceFile[], pattern: RegExp): string[] {
  return files.flatMap(({ path, text }) =>
    text.split('\n').flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}: ${line.trim()}`] : [])),
  );
}

/** The modules that a file imports or re-exports; our own as paths from the root. */
function importsOf({ path, text }: SourceFile): string[] {
  const found = text.matchAll(/^(?:import|export)\b(?:[^';]*\bfrom)?\s*'([^']+)'|\bimport\(\s*'([^']+)'/gm);
  const specifiers = [...found].map(([, written, loaded]) => written ?? loaded ?? '');
  return specifiers.map((specifier) =>
    specifier.startsWith('.') ? normalize(join(dirname(path), specifier)) : specifier,
  );
}

function importers(files: readonly SourceFile[], isForbidden: (imported: string, path: string) => boolean): string[] {
  return files.flatMap((file) =>
    importsOf(file)
      .filter((imported) => isForbidden(imported, file.path))
      .map((imported) => `${file.path} imports ${imported}`),
  );
}

describe('style', () => {
  it('looks at the whole source', () => {
    expect(src.map(({ path }) => path)).toEqual(expect.arrayContaining(['src/app.ts', 'src/protocol/reader.ts']));
    expect(code.map(({ path }) => path)).toContain('web/build.ts');
    expect(test.map(({ path }) => path)).toContain('test/unit/tidy.test.ts');
    const main = { path: 'src/main.ts', text: readFileSync(join(ROOT, 'src/main.ts'), 'utf8') };
    expect(importsOf(main)).toContain('src/app.ts');
    const several =
      "import {\n  a,\n} from './x.ts';\nexport { b } from '../y.ts';\nconst c = await import('./z.ts');\n";
    expect(importsOf({ path: 'src/a/b.ts', text: several })).toEqual(['src/a/x.ts', 'src/y.ts', 'src/a/z.ts']);
  });

  it(`has no file of more than ${LINES_MAX} lines`, () => {
    const long = code.filter(({ text }) => text.trimEnd().split('\n').length > LINES_MAX);
    expect(long.map(({ path }) => path)).toEqual([]);
  });

  it('names every file after what it holds, in kebab-case', () => {
    const files = [...code, ...test].filter(({ path }) => path.endsWith('.ts'));
    const names = files.map(({ path }) => basename(path));
    expect(names.filter((name) => /(^|[-.])(utils?|helpers?|managers?|misc|common)[-.]/.test(name))).toEqual([]);
    expect(names.filter((name) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.(test|contract))?\.ts$/.test(name))).toEqual([]);
  });

  it('has no barrels', () => {
    expect(src.filter(({ path }) => basename(path) === 'index.ts')).toEqual([]);
    expect(offences(src, /^export \* from/)).toEqual([]);
  });

  it('has no `any` and no silenced checks', () => {
    const typed = all.filter(({ path }) => path.endsWith('.ts'));
    expect(offences(typed, /(:|\bas|<|,|\||=>)\s*any\b\s*([;,)>\]|=[{]|$)/)).toEqual([]);
    expect(offences(code, /@ts-(ignore|expect-error|nocheck)|biome-ignore/)).toEqual([]);
  });

  it('puts nothing off', () => {
    // Put together here, so that this file is no offence itself.
    const words = [
      ['TO', 'DO'],
      ['FIX', 'ME'],
    ].map((parts) => parts.join(''));
    expect(offences(all, new RegExp(`\\b(${words.join('|')})\\b`))).toEqual([]);
  });

  it('leaves out no test', () => {
    expect(offences(test, /\b(it|test|describe)(\.\w+)*\.(only|skip|todo|fails)\(/)).toEqual([]);
  });

  it('names no machine', () => {
    // Absolute paths as of somebody's home or checkout.
    const pattern = /(^|[\s"'`(=])\/(home|root|Users|work|mnt|workspace)\/[\w.-]/;
    expect(pattern.test(`see /${'home'}/ann/x`)).toBe(true);
    expect(offences(all, pattern)).toEqual([]);
  });
});

describe('architecture', () => {
  it('lets only the composition root and the logs themselves know which log there is', () => {
    const isOneLog = (imported: string) => /^src\/(fanout\/(embedded-[\w-]+|backup)|kafka\/[\w-]+)\.ts$/.test(imported);
    const isRoot = (path: string) => path === 'src/open-log.ts' || path === 'src/main.ts';
    const others = src.filter(({ path }) => !/^src\/(fanout|kafka)\//.test(path) && !isRoot(path));
    expect(importers(others, isOneLog)).toEqual([]);
    const root = src.filter(({ path }) => path === 'src/open-log.ts');
    expect(importers(root, (imported) => imported.startsWith('src/kafka/'))).not.toEqual([]);
    expect(importers(root, (imported) => imported.startsWith('src/fanout/embedded-'))).not.toEqual([]);
    const kafka = src.filter(({ path }) => path.startsWith('src/kafka/'));
    expect(importers(kafka, (imported) => imported.startsWith('src/fanout/embedded-'))).toEqual([]);
  });

  it('lets only the composition root and what is in Redis itself know of Redis', () => {
    const isRoot = (path: string) => /^src\/open-[\w-]+\.ts$/.test(path);
    const others = src.filter(({ path }) => !path.startsWith('src/redis/') && !isRoot(path));
    const isOfRedis = (imported: string) => imported.startsWith('src/redis/') || imported === 'ioredis';
    expect(importers(others, isOfRedis)).toEqual([]);
    const roots = src.filter(({ path }) => isRoot(path));
    for (const name of ['redis', 'presence', 'peers', 'history'].map((each) => `src/open-${each}.ts`)) {
      expect(importers(roots, isOfRedis)).toContainEqual(expect.stringMatching(`^${name} imports src/redis/`));
    }
    // Who has no Redis does not load its library.
    expect(offences(roots, /^import (?!type\b).*'(\.\/redis\/|ioredis)/)).toEqual([]);
  });

  it('lets only what makes traces of it know of OpenTelemetry, and loads that for nobody else', () => {
    const others = src.filter(({ path }) => !path.startsWith('src/observability/opentelemetry-'));
    expect(importers(others, (imported) => imported.startsWith('@opentelemetry/'))).toEqual([]);
    const isOfTraces = (imported: string) => imported.startsWith('src/observability/opentelemetry-');
    expect(importers(others, isOfTraces)).toEqual(
      new Array(2).fill('src/open-tracing.ts imports src/observability/opentelemetry-tracing.ts'),
    );
    const root = others.filter(({ path }) => path === 'src/open-tracing.ts');
    expect(offences(root, /^import (?!type\b).*opentelemetry/)).toEqual([]);
  });

  it('keeps the hub and catching up free of any one log', () => {
    const files = src.filter(({ path }) => /\/(hub|catch-up|publication|room-log|partition)\.ts$/.test(path));
    expect(files).toHaveLength(5);
    expect(importers(files, (imported) => /\/(embedded-|append-queue|log-thread)/.test(imported))).toEqual([]);
  });

  const protocol = src.filter(({ path }) => path.startsWith('src/protocol/'));

  it('keeps the protocol below the gateway and the transports', () => {
    const isAbove = (imported: string) => /^src\/(gateway|tcp|observability|app|main|config)\b/.test(imported);
    expect(importers(protocol, isAbove)).toEqual([]);
  });

  it('takes only types from the log into the protocol', () => {
    const imports = protocol.flatMap(({ path, text }) =>
      [...text.matchAll(/^import (?!type\b).*from '\.\.\/fanout\/.*$/gm)].map(([line]) => `${path}: ${line}`),
    );
    expect(imports).toEqual([]);
  });

  it('keeps input and output out of the protocol', () => {
    const allowed = ['node:buffer', 'node:crypto'];
    const isOther = (imported: string) => !imported.startsWith('src/') && !allowed.includes(imported);
    expect(importers(protocol, isOther)).toEqual([]);
  });

  it('keeps the client library free of everything but itself and the types of the protocol', () => {
    const client = src.filter(({ path }) => path.startsWith('src/client/'));
    expect(client.map(({ path }) => path)).toContain('src/client/client.ts');
    expect(importers(client, (imported) => !/^src\/(client|protocol)\//.test(imported))).toEqual([]);
    const values = client.flatMap(({ path, text }) =>
      [...text.matchAll(/^(?:import|export)\s+(?!type\b)[^';]*'\.\.\/protocol\/[^']*'/gm)].map(
        ([line]) => `${path}: ${line}`,
      ),
    );
    expect(values).toEqual([]);
  });

  it('keeps the transports of TCP out of the gateway', () => {
    const gateway = src.filter(({ path }) => path.startsWith('src/gateway/'));
    expect(importers(gateway, (imported) => imported.startsWith('src/tcp/'))).toEqual([]);
  });

  it('imports no program from a module', () => {
    expect(importers(src, (imported, path) => imported === 'src/app.ts' && path !== 'src/main.ts')).toEqual([]);
    expect(importers(src, (imported) => imported === 'src/main.ts')).toEqual([]);
  });
});
