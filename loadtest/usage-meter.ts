import { performance } from 'node:perf_hooks';
import { coreBusySeconds, processCpuSeconds } from './cpu.ts';
import type { Usage, UsageTarget } from './load-plan.ts';

interface Reading {
  readonly atMs: number;
  readonly serverSeconds: number;
  readonly besideSeconds: readonly number[];
  readonly clientSeconds: number;
  /** By core. */
  readonly busySeconds: ReadonlyMap<number, number>;
}

/** What server and client used of their cores between `start` and `stop`. Runs in the client. */
export class UsageMeter {
  readonly #target: UsageTarget;
  #before: Reading | undefined;
  #loopBefore = performance.eventLoopUtilization();

  constructor(target: UsageTarget) {
    this.#target = target;
  }

  start(): void {
    this.#loopBefore = performance.eventLoopUtilization();
    this.#before = this.#read();
  }

  stop(): Usage {
    const before = this.#before;
    if (before === undefined) throw new Error('the meter was not started');
    const after = this.#read();
    const seconds = (after.atMs - before.atMs) / 1000;
    const serverCpu = (after.serverSeconds - before.serverSeconds) / seconds;
    const besideCpus = after.besideSeconds.map((each, index) => (each - (before.besideSeconds[index] ?? 0)) / seconds);
    const clientCpu = (after.clientSeconds - before.clientSeconds) / seconds;
    const servingCpu = sum([serverCpu, ...besideCpus]);
    const busy = (cores: readonly number[]): number =>
      sum(cores.map((core) => (after.busySeconds.get(core) ?? 0) - (before.busySeconds.get(core) ?? 0))) / seconds;
    const { serverCores, clientCores } = this.#target;
    const areShared = serverCores.some((core) => clientCores.includes(core));
    const otherCpu = areShared
      ? busy(this.#cores) - servingCpu - clientCpu
      : Math.max(busy(serverCores) - servingCpu, busy(clientCores) - clientCpu);
    return {
      seconds,
      serverCpu,
      besideCpus,
      clientCpu,
      // CPU time alone would miss a client that another process keeps off its core.
      clientBusy: performance.eventLoopUtilization(this.#loopBefore).utilization,
      otherCpu: Math.max(0, otherCpu),
    };
  }

  get #cores(): number[] {
    return [...new Set([...this.#target.serverCores, ...this.#target.clientCores])];
  }

  #read(): Reading {
    const { user, system } = process.cpuUsage();
    return {
      atMs: performance.now(),
      serverSeconds: processCpuSeconds(this.#target.serverPid),
      besideSeconds: this.#target.besidePids.map(processCpuSeconds),
      clientSeconds: (user + system) / 1e6,
      busySeconds: new Map(this.#cores.map((core) => [core, coreBusySeconds(core)])),
    };
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
