import { type Daemon, type End, startDaemon, stopDaemon, untilReady } from '../services/daemon.ts';
import type { RunningList } from './running-list.ts';

export interface Program {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Besides this process's own. */
  readonly env: Readonly<Record<string, string>>;
  readonly logFile: string;
  readonly readyMsMax: number;
  readonly isReady: () => Promise<boolean>;
}

/** What becomes of it, in words, for whoever looks on. */
export interface Says {
  info(text: string): void;
  warn(text: string): void;
}

/** Who has run for so long is not in a loop of ends and starts. */
const SETTLED_MS = 30_000;
const WAIT_MS_MIN = 500;
const WAIT_MS_MAX = 10_000;

/** A process that is started again when it ends by itself, more and more slowly if it does so again and again. */
export class KeptProcess {
  readonly #program: Program;
  readonly #list: RunningList;
  readonly #says: Says;
  #daemon: Daemon | null = null;
  #ended: Promise<End> | null = null;
  /** Whether its end would be nobody's wish. */
  #isKept = false;
  #begunMs = 0;
  #quickEnds = 0;
  #again: NodeJS.Timeout | undefined;

  constructor(program: Program, list: RunningList, says: Says) {
    this.#program = program;
    this.#list = list;
    this.#says = says;
  }

  get name(): string {
    return this.#program.name;
  }

  get pid(): number | null {
    return this.#daemon?.pid ?? null;
  }

  async isReady(): Promise<boolean> {
    return this.#daemon !== null && (await this.#program.isReady());
  }

  /** Resolves when it is ready; from then on it is kept. @throws Error, with what it said, if it ends before */
  async start(): Promise<void> {
    await this.#begin();
    this.#isKept = true;
  }

  /** Ends it, by force after `graceMs`. Resolves with how it has ended; null: it did not run. */
  async stop(graceMs: number): Promise<End | null> {
    this.#isKept = false;
    clearTimeout(this.#again);
    if (this.#daemon === null) return null;
    await stopDaemon(this.#daemon, graceMs);
    return this.#ended;
  }

  async #begin(): Promise<void> {
    const { name, command, args, logFile, env, readyMsMax, isReady } = this.#program;
    const ended = Promise.withResolvers<End>();
    this.#ended = ended.promise;
    this.#begunMs = performance.now();
    const daemon = await startDaemon(command, args, logFile, env, (end) => {
      this.#onEnd(end);
      ended.resolve(end);
    });
    this.#daemon = daemon;
    this.#list.set(name, daemon);
    await untilReady(name, daemon, logFile, readyMsMax, isReady);
  }

  #onEnd(end: End): void {
    this.#daemon = null;
    this.#list.delete(this.name);
    if (!this.#isKept) return;
    const isSettled = performance.now() - this.#begunMs >= SETTLED_MS;
    this.#quickEnds = isSettled ? 0 : this.#quickEnds + 1;
    const waitMs = Math.min(WAIT_MS_MAX, WAIT_MS_MIN * 2 ** this.#quickEnds);
    this.#says.warn(`${this.name} ${endInWords(end)}; it is started again in ${waitMs} ms`);
    this.#again = setTimeout(() => void this.#beginAgain(), waitMs);
  }

  async #beginAgain(): Promise<void> {
    try {
      await this.#begin();
      this.#says.info(`${this.name} is ready again`);
    } catch (error) {
      // Where it has ended, that was told, and it is tried again.
      if (this.#isKept && this.#daemon !== null) this.#says.warn((error as Error).message);
    }
  }
}

export function endInWords({ code, signal }: End): string {
  return signal === null ? `has ended with ${code}` : `was ended by ${signal}`;
}
