/** `npm run load` and `npm run herd`: loads a gateway, and checks what it does. See load-options.ts for how to use it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { access, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatComparison } from './comparison.ts';
import { allowedCores } from './cpu.ts';
import { type LoadOptions, loadHelp, readLoadOptions } from './load-options.ts';
import { formatResult } from './load-report.ts';
import { hasPassed, type LoadResult, parseResult, RESULT_FORMAT } from './load-result.ts';
import { LoadRun } from './load-run.ts';
import { describeMachine } from './machine.ts';
import { Progress } from './progress.ts';
import { slotMsFor } from './recorder.ts';
import { SCENARIOS } from './scenarios.ts';
import { ServerWatch } from './server-watch.ts';
import { Target } from './target.ts';
import { Ticker } from './ticker.ts';
import { Timeline } from './timeline.ts';

/** The whole run may take this many times as long as planned, and so much more. */
const PLAN_FACTOR_MAX = 3;
const OVERTIME_MS = 180_000;

class UsageError extends Error {
  override readonly name = 'UsageError';
}

async function main(): Promise<number> {
  const command = readCommand();
  if (command.kind === 'help') {
    console.log(loadHelp(SCENARIOS));
    return 0;
  }
  if (command.kind === 'compare') {
    const [before, after] = await Promise.all(
      command.files.map(async (file) => parseResult(await readFile(file, 'utf8'), file)),
    );
    console.log(formatComparison(before as LoadResult, after as LoadResult));
    if (command.html !== undefined) await writeReport(command.html, [before, after] as LoadResult[]);
    return 0;
  }
  const { options } = command;
  const result = await load(options);
  console.log(formatResult(result));
  if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify(result)}\n`);
  if (options.html !== undefined) await writeReport(options.html, [result]);
  return hasPassed(result) ? 0 : 1;
}

async function writeReport(file: string, results: readonly LoadResult[]): Promise<void> {
  // Bundles its script, which takes a while: only where it is wanted.
  const { renderReport } = await import('./report/render.ts');
  await writeFile(file, await renderReport(results));
}

function readCommand() {
  try {
    return readLoadOptions(process.argv.slice(2), SCENARIOS);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

async function load(options: LoadOptions): Promise<LoadResult> {
  const { scenario, heeds } = SCENARIOS.find(({ name }) => name === options.scenario) as (typeof SCENARIOS)[number];
  if (options.given === undefined) {
    await access(new URL('../dist/main.js', import.meta.url)).catch(() => {
      throw new Error('dist/main.js is missing: npm run build makes it');
    });
  }
  const directory = mkdtempSync(join(options.directory ?? tmpdir(), 'tidegate-load-'));
  // Runs behind the handler that kills the children, so nobody writes there any more.
  process.on('exit', () => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }));
  const plannedMs = scenario.plannedMs(options);
  const limitMs = PLAN_FACTOR_MAX * plannedMs + OVERTIME_MS;
  setTimeout(() => fail(`took longer than ${limitMs} ms`), Math.min(limitMs, 2 ** 31 - 1)).unref();
  const progress = new Progress(plannedMs);
  const stopping = endOnSignals(progress);
  const machine = describeMachine(directory);
  const cores = allowedCores();
  progress.say(options.given === undefined ? 'the gateway is started' : 'the gateway is there');
  const target =
    options.given === undefined
      ? await Target.start(options, cores, directory, scenario.env(options))
      : Target.given(options.given);
  const startedAt = new Date();
  const timeline = new Timeline({ originMs: startedAt.getTime(), slotMs: slotMsFor(plannedMs, scenario.slotMsMin) });
  const watch = new ServerWatch(target, timeline);
  const run = new LoadRun(options, cores, target, timeline, watch, stopping, progress);
  const ticker = new Ticker(run);
  try {
    await scenario.run(run);
  } finally {
    ticker.end();
    await watch.end();
    await target.stop();
  }
  return {
    format: RESULT_FORMAT,
    scenario: options.scenario,
    startedAt: startedAt.toISOString(),
    options: shown(options, heeds),
    gateway: target.what,
    machine,
    isWhole: !stopping.aborted,
    checks: run.checks,
    warnings: run.warnings,
    figures: run.figures,
    latencies: timeline.summaries(),
    moments: run.moments,
    series: timeline.series(),
  };
}

/** Those options that made the result what it is. */
function shown(options: LoadOptions, heeds: readonly (keyof LoadOptions)[]): LoadResult['options'] {
  const { sessions, roomSize, rate, seconds, replicas, processes, addresses, engine, given } = options;
  const those = Object.fromEntries(heeds.map((name) => [name, options[name]])) as LoadResult['options'];
  const all = { sessions, roomSize, rate, seconds, processes, addresses, ...those };
  if (given === undefined) return { ...all, replicas, engine };
  return { ...all, given: [...given.urls.map(({ href }) => href), ...given.tcp] };
}

/** The first signal has the run come to its end, the second one ends it. */
function endOnSignals(progress: Progress): AbortSignal {
  const stopping = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (stopping.signal.aborted) fail(`ended by ${signal}`);
      progress.say(`${signal}: it comes to its end, with checks and report; once more ends it at once`);
      stopping.abort();
    });
  }
  return stopping.signal;
}

function fail(message: string): never {
  console.error(`load: ${message}`);
  process.exit(1);
}

try {
  process.exit(await main());
} catch (error) {
  console.error(`load: ${(error as Error).message}`);
  process.exit(error instanceof UsageError ? 2 : 1);
}
