import { readFileSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { startServer } from './contender.ts';
import type { IdlePlan, IdleResult } from './idle-plan.ts';
import { formatIdleFacts, formatIdleResults, type IdleServer, type IdleStanding, idleServers } from './idle-report.ts';
import { runLoad } from './load-process.ts';
import { describeMachine } from './machine.ts';
import type { IdleOptions } from './options.ts';
import { inTurn, Progress } from './progress.ts';

const PRELOAD = new URL('./servers/gc-on-signal.ts', import.meta.url).href;
/** Once nobody was told of presence for so long, what a server has to say of the last joins has been said. */
const QUIET_MS = 1_000;
/** For planning: what starting, warming up, connecting, collecting garbage, checking and stopping take in one turn. */
const OVERHEAD_MS = 13_000;
const SESSION_MS = 0.5;
const SNAPSHOTS_MS = 15_000;
/** Beyond this many times what was planned a load process is stuck. */
const TURN_FACTOR_MAX = 4;
/** Files that a process has open beside its sessions. */
const OTHER_FILES = 200;

/** Lets idle sessions come to each server and prints what they cost. Returns whether all went well. */
export async function runIdle(
  options: IdleOptions,
  cores: readonly [number, number],
  directory: string,
): Promise<boolean> {
  checkOpenFiles(options.sessions);
  const facts = { machine: describeMachine(directory), options };
  console.log(formatIdleFacts(facts));
  const progress = new Progress(plannedIdleMs(options));
  const rounds = new Map<IdleServer, IdleResult[]>(idleServers(options).map((server) => [server, []]));
  let failures = 0;
  for (let round = 0; round < options.rounds; round++) {
    for (const server of inTurn([...rounds.keys()], round)) {
      progress.say(`idle: round ${round + 1}/${options.rounds}, ${server.name}`);
      try {
        rounds.get(server)?.push(await measure(server, options, cores, directory));
      } catch (error) {
        failures++;
        progress.say(`FAILED: idle, ${server.name}: ${(error as Error).message}`);
      }
    }
  }
  const standings: IdleStanding[] = [...rounds].flatMap(([server, results]) =>
    results.length === 0 ? [] : [{ server, rounds: results }],
  );
  console.log(`\n${formatIdleResults(standings, options)}`);
  if (options.json !== undefined)
    await writeFile(options.json, `${JSON.stringify({ facts, standings }, undefined, 2)}\n`);
  return failures === 0;
}

export function plannedIdleMs(options: IdleOptions): number {
  return options.rounds * idleServers(options).length * turnMs(options);
}

function turnMs({ sessions, settleSeconds, snapshots }: IdleOptions): number {
  return OVERHEAD_MS + sessions * SESSION_MS + settleSeconds * 1000 + (snapshots === undefined ? 0 : SNAPSHOTS_MS);
}

async function measure(
  { name, contender, presence }: IdleServer,
  options: IdleOptions,
  [serverCore, clientCore]: readonly [number, number],
  directory: string,
): Promise<IdleResult> {
  const memoryFile = join(directory, 'memory');
  writeFileSync(memoryFile, '');
  const server = await startServer(contender, serverCore, directory, {
    nodeOptions: ['--expose-gc', '--import', PRELOAD],
    env: {
      BENCH_MEMORY_FILE: memoryFile,
      ...(options.snapshots !== undefined && {
        BENCH_SNAPSHOT: resolve(`${options.snapshots}-${fileName(name)}.heapsnapshot`),
      }),
    },
  });
  const plan: IdlePlan = {
    wire: contender.name,
    presence,
    port: server.port,
    serverPid: server.pid,
    memoryFile,
    clientCore,
    rooms: options.sessions / options.sessionsPerRoom,
    sessionsPerRoom: options.sessionsPerRoom,
    quietMs: QUIET_MS,
    settleMs: options.settleSeconds * 1000,
  };
  try {
    return await runLoad<IdleResult>('./idle-load.ts', plan, TURN_FACTOR_MAX * turnMs(options));
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${server.output()}`);
  } finally {
    await server.stop();
  }
}

function fileName(server: string): string {
  return server.replaceAll(/[^a-z.-]+/g, '-');
}

function checkOpenFiles(sessions: number): void {
  const max = Number(/^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]);
  if (sessions + OTHER_FILES > max) {
    throw new Error(`--sessions ${sessions}: a process may have ${max} files open here (ulimit -n)`);
  }
}
