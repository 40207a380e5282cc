import { performance } from 'node:perf_hooks';
import { coreBusySeconds, processCpuSeconds } from './cpu.ts';
import type { LoadTarget, Usage } from './load-plan.ts';

interface Reading {
  readonly atMs: number;
  readonly serverSeconds: number;
  readonly clientSeconds: number;
  readonly serverCoreSeconds: number;
  readonly clientCoreSeconds: number;
}

/** What server and client used of their cores between `start` and `stop`. Runs in the client. */
export class UsageMeter {
  readonly #target: LoadTarget;
  #before: Reading | undefined;
  #loopBefore = performance.eventLoopUtilization();

  constructor(target: LoadTarget) {
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
    const clientCpu = (after.clientSeconds - before.clientSeconds) / seconds;
    return {
      seconds,
      serverCpu,
      clientCpu,
      // CPU time alone would miss a client that another process keeps off its core.
      clientBusy: performance.eventLoopUtilization(this.#loopBefore).utilization,
      serverCoreOther: Math.max(0, (after.serverCoreSeconds - before.serverCoreSeconds) / seconds - serverCpu),
      clientCoreOther: Math.max(0, (after.clientCoreSeconds - before.clientCoreSeconds) / seconds - clientCpu),
    };
  }

  #read(): Reading {
    const { user, system } = process.cpuUsage();
    return {
      atMs: performance.now(),
      serverSeconds: processCpuSeconds(this.#target.serverPid),
      clientSeconds: (user + system) / 1e6,
      serverCoreSeconds: coreBusySeconds(this.#target.serverCore),
      clientCoreSeconds: coreBusySeconds(this.#target.clientCore),
    };
  }
}
