/** `npm run bench`: measures tidegate beside other servers. See options.ts for how to use it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { access, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Bench } from './bench-run.ts';
import { allowedCores } from './cpu.ts';
import { describeRun, formatFacts } from './facts.ts';
import { formatMarks } from './mark.ts';
import { type BenchOptions, helpOf, readOptions } from './options.ts';
import { type Part, roundsOf } from './part.ts';
import { PARTS } from './parts.ts';

/** The whole run may take this many times as long as planned, and so much more for turns that are taken again. */
const PLAN_FACTOR_MAX = 3;
const REPETITIONS_MS_MAX = 120_000;

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2), PARTS);
  if (options === undefined) {
    console.log(helpOf(PARTS));
    return 0;
  }
  if (options.contenders.some(({ isTidegate }) => isTidegate)) {
    await access(new URL('../dist/main.js', import.meta.url)).catch(() => {
      throw new Error('dist/main.js is missing: npm run build makes it');
    });
  }
  const directory = mkdtempSync(join(options.directory ?? tmpdir(), 'tidegate-bench-'));
  // Runs behind the handler that kills the children, so nobody writes there any more.
  process.on('exit', () => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }));
  const parts = await measurable(options.parts.filter((part) => part.entrants(options.contenders).length > 0));
  const plannedMs = printPlan(parts, options);
  const limitMs = Math.ceil(PLAN_FACTOR_MAX * plannedMs + REPETITIONS_MS_MAX);
  setTimeout(() => fail(`took longer than ${limitMs} ms`), limitMs).unref();
  const bench = new Bench(options, allowedCores(), directory, plannedMs);
  const facts = describeRun(options, directory);
  console.log(formatFacts(facts));
  const results: Record<string, unknown> = {};
  const marks = [];
  for (const part of parts) {
    const report = await part.run(bench);
    console.log(`\n${report.markdown}`);
    results[part.name] = report.results;
    marks.push(...report.marks);
    // After each part, so that what comes later can spoil nothing.
    if (options.json !== undefined) {
      await writeFile(options.json, `${JSON.stringify({ facts, marks, results }, undefined, 2)}\n`);
    }
  }
  if (marks.length > 0) console.log(`\n${formatMarks(marks)}`);
  return bench.failures === 0 ? 0 : 1;
}

/** Says which parts can't be measured here. @throws Error if none can */
async function measurable(parts: readonly Part[]): Promise<Part[]> {
  const missing = await Promise.all(parts.map(async (part) => (await part.missing?.()) ?? []));
  for (const [index, part] of parts.entries()) {
    for (const what of missing[index] ?? []) console.error(`${part.name} is left out, for want of ${what}`);
  }
  const rest = parts.filter((_, index) => missing[index]?.length === 0);
  if (rest.length === 0) throw new Error('there is nothing to measure');
  return rest;
}

/** Returns how long all of it takes. */
function printPlan(parts: readonly Part[], options: BenchOptions): number {
  let totalMs = 0;
  for (const part of parts) {
    const plannedMs = part.plannedMs(options);
    totalMs += plannedMs;
    const servers = part.entrants(options.contenders).map(({ name }) => name);
    const rounds = roundsOf(part, options);
    console.error(
      `${toMinutes(plannedMs)} ${part.name}: ${rounds} ${rounds === 1 ? 'round' : 'rounds'} of ${servers.join(', ')}`,
    );
  }
  console.error(`${toMinutes(totalMs)} in all`);
  return totalMs;
}

function toMinutes(ms: number): string {
  return `${(ms / 60_000).toFixed(1).padStart(5)} min`;
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
