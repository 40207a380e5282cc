// Fills dist/web and dist/dashboard with what the gateway serves to browsers.

import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { bundleAll, bundleDashboard, type WebFile } from './bundle.ts';

fill(new URL('../dist/web/', import.meta.url), await bundleAll());
fill(new URL('../dist/dashboard/', import.meta.url), await bundleDashboard());

function fill(folder: URL, files: readonly WebFile[]): void {
  mkdirSync(folder, { recursive: true });
  for (const { name, bytes } of files) {
    // Renamed, so that a gateway that starts meanwhile reads the old file or the new one. It serves no `.tmp`.
    const temporary = new URL(`${name}.${process.pid}.tmp`, folder);
    writeFileSync(temporary, bytes);
    renameSync(temporary, new URL(name, folder));
  }
  const names = files.map(({ name }) => name);
  for (const name of readdirSync(folder)) {
    // The temporary files of another build are its own business.
    if (!names.includes(name) && !name.endsWith('.tmp')) rmSync(new URL(name, folder));
  }
}
