import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { type Daemon, isRunning, stopDaemon } from '../services/daemon.ts';

/** Milliseconds that what was left has to end. */
const LEFTOVER_MS_MAX = 5_000;

/** Which processes this cluster has, in a file: who was killed before it could end them leaves word of them to the next. */
export class RunningList {
  readonly #file: string;
  readonly #running: Map<string, Daemon>;

  /** Reads what there is. */
  constructor(file: string) {
    this.#file = file;
    const known = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, Daemon>) : {};
    this.#running = new Map(Object.entries(known).filter(([, daemon]) => isRunning(daemon)));
  }

  get names(): readonly string[] {
    return [...this.#running.keys()];
  }

  set(name: string, daemon: Daemon): void {
    this.#running.set(name, daemon);
    this.#write();
  }

  delete(name: string): void {
    this.#running.delete(name);
    this.#write();
  }

  /** Ends all that run, and resolves when they are gone. */
  async endAll(): Promise<void> {
    await Promise.all([...this.#running.values()].map((daemon) => stopDaemon(daemon, LEFTOVER_MS_MAX)));
    this.#running.clear();
    this.#write();
  }

  /** At once, and without waiting. */
  killAll(): void {
    for (const daemon of this.#running.values()) if (isRunning(daemon)) process.kill(daemon.pid, 'SIGKILL');
  }

  #write(): void {
    const partial = `${this.#file}.new`;
    writeFileSync(partial, JSON.stringify(Object.fromEntries(this.#running), null, 2));
    renameSync(partial, this.#file);
  }
}
