/** `npm run bench`: compares tidegate with Socket.IO and bare ws. See options.ts for how to use it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { allowedCores } from './cpu.ts';
import { plannedIdleMs, runIdle } from './idle-bench.ts';
import { HELP, readOptions } from './options.ts';
import { plannedSpeedMs, runSpeed } from './speed-bench.ts';

/** The whole run may take this many times as long as planned. */
const PLAN_FACTOR_MAX = 3;

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (options.part === 'help') {
    console.log(HELP);
    return 0;
  }
  const [serverCore, clientCore] = allowedCores();
  if (serverCore === undefined || clientCore === undefined) throw new Error('the bench needs two cores');
  const cores = [serverCore, clientCore] as const;
  if (options.contenders.some(({ isTidegate }) => isTidegate)) {
    await access(new URL('../dist/main.js', import.meta.url)).catch(() => {
      throw new Error('dist/main.js is missing: npm run build makes it');
    });
  }
  const directory = mkdtempSync(join(options.directory ?? tmpdir(), 'tidegate-bench-'));
  // Runs behind the handler that kills the children, so nobody writes there any more.
  process.on('exit', () => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }));
  const limitMs = PLAN_FACTOR_MAX * (options.part === 'idle' ? plannedIdleMs(options) : plannedSpeedMs(options));
  setTimeout(() => fail(`took longer than ${limitMs} ms`), limitMs).unref();
  const isWell =
    options.part === 'idle' ? await runIdle(options, cores, directory) : await runSpeed(options, cores, directory);
  return isWell ? 0 : 1;
}

function fail(message: string): never {
  console.error(`bench: ${message}`);
  process.exit(1);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => fail(`ended by ${signal}`));
try {
  process.exit(await main());
} catch (error) {
  fail((error as Error).message);
}
