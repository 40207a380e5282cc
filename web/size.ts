// Prints what browsers load, in bytes: as built, and compressed.

import { bundleAll, bundleDashboard, sizeOf } from './bundle.ts';

const files = [...(await bundleAll()), ...(await bundleDashboard())];
console.log(`${'file'.padEnd(16)}${'minified'.padStart(10)}${'gzip -9'.padStart(10)}`);
for (const { name, bytes, gzipBytes } of files.map(sizeOf)) {
  console.log(`${name.padEnd(16)}${`${bytes}`.padStart(10)}${`${gzipBytes}`.padStart(10)}`);
}
