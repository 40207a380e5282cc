import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadUws } from '../../../src/gateway/uws-library.ts';
import { UWS_PINS } from '../../../src/gateway/uws-pins.ts';

const BINARY = `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`;

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidegate-uws-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** A package whose main file is `main`. */
function packageOf(name: string, main: string, files: Readonly<Record<string, string | Buffer>>): () => string {
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name, version: '20.9.9' }));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  return () => pathToFileURL(join(folder, main)).href;
}

describe('the library', () => {
  it('is there, and says which build it is', () => {
    const loaded = loadUws();
    expect(loaded.library).toHaveProperty('App');
    expect(loaded).toMatchObject({
      what: expect.stringMatching(/^uWebSockets\.js, repacked as uws-pack 20\.0\.8, SHA-256/),
    });
  });

  it('is pinned by the bytes of each binary', () => {
    const bin = new URL('../../../node_modules/uWebSockets.js/dist/bin/', import.meta.url);
    for (const [name, sha256] of Object.entries(UWS_PINS)) {
      const bytes = readFileSync(fileURLToPath(new URL(name, bin)));
      expect(createHash('sha256').update(bytes).digest('hex'), name).toBe(sha256);
    }
    expect(Object.keys(UWS_PINS)).toContain('uws_linux_x64_127.node');
  });

  it('is not run where a binary of the repack is another one than the pinned', () => {
    const main = packageOf('uws-pack', 'dist/index.mjs', { 'dist/index.mjs': '', [`dist/bin/${BINARY}`]: 'evil' });
    const loaded = loadUws(main);
    expect(loaded).toMatchObject({
      library: null,
      why: expect.stringMatching(/is not the one that is pinned.*SHA-256 is/),
    });
  });

  it('is not run where the repack has none for this platform', () => {
    const loaded = loadUws(packageOf('uws-pack', 'dist/index.mjs', { 'dist/index.mjs': '' }));
    expect(loaded).toEqual({ library: null, why: `uws-pack 20.9.9 has no ${BINARY}` });
  });

  it('is what the operator has installed, if that is the official build', () => {
    const loaded = loadUws(packageOf('uWebSockets.js', 'uws.js', { 'uws.js': 'module.exports = { App: 1 };' }));
    expect(loaded).toEqual({ library: { App: 1 }, what: 'uWebSockets.js 20.9.9, as installed' });
  });

  it('may be missing, or fail to load: in words of one line', () => {
    const missing = loadUws(() => {
      throw new Error('Cannot find package\nat somewhere');
    });
    expect(missing).toEqual({ library: null, why: 'Cannot find package' });
    const broken = loadUws(packageOf('uWebSockets.js', 'uws.js', { 'uws.js': "throw new Error('no such ABI');" }));
    expect(broken).toEqual({ library: null, why: 'no such ABI' });
  });
});
