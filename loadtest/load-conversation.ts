import { fileURLToPath } from 'node:url';
import { startNode, stop } from './children.ts';
import type { Sample } from './recorder.ts';

/** What a load process is asked to do next, and what it answers. */
interface Step {
  readonly number: number;
  readonly name: string;
  readonly argument: unknown;
}

interface StepOutcome {
  readonly kind: 'outcome';
  readonly number: number;
  readonly result?: unknown;
  readonly failure?: string;
}

/** The first step of all, which is answered by whoever is there. */
const BEGIN = 'begin';
const STOP_GRACE_MS = 3_000;

/** A load process that does one step after the other, as it is asked to, and tells samples meanwhile. */
export class LoadConversation {
  readonly #child: ReturnType<typeof startNode>;
  readonly #waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  #failure: Error | undefined;
  #next = 0;

  private constructor(child: ReturnType<typeof startNode>, onSample: (sample: Sample) => void) {
    this.#child = child;
    child.on('message', (message: Sample | StepOutcome | LoadFault) => {
      if (message.kind === 'sample') onSample(message);
      else if (message.kind === 'fault') this.#fail(new Error(message.reason));
      else this.#settle(message);
    });
    child.once('exit', (code, signal) => this.#fail(new Error(`a load process ended with ${code ?? signal}`)));
  }

  /** Starts a script beside this one that `answerSteps`, and resolves when it does. */
  static async start(
    script: string,
    plan: unknown,
    cores: readonly number[],
    onSample: (sample: Sample) => void,
  ): Promise<LoadConversation> {
    const path = fileURLToPath(new URL(script, import.meta.url));
    const child = startNode(cores, [path, JSON.stringify(plan)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const conversation = new LoadConversation(child, onSample);
    await conversation.ask(BEGIN);
    return conversation;
  }

  /** @throws Error where the step failed, or the process has. */
  ask<Result>(name: string, argument: unknown = null): Promise<Result> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const number = this.#next++;
    const step: Step = { number, name, argument };
    return new Promise((resolve, reject) => {
      this.#waiting.set(number, { resolve: resolve as (result: unknown) => void, reject });
      this.#child.send(step);
    });
  }

  async end(): Promise<void> {
    this.#failure ??= new Error('the load process was ended');
    await stop(this.#child, STOP_GRACE_MS);
  }

  #settle({ number, result, failure }: StepOutcome): void {
    const waiting = this.#waiting.get(number);
    this.#waiting.delete(number);
    if (failure === undefined) waiting?.resolve(result);
    else waiting?.reject(new Error(failure));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }
}

/** Something went wrong outside of any step, and the run is over. */
interface LoadFault {
  readonly kind: 'fault';
  readonly reason: string;
}

/** What a load process can be asked to do; arguments and results are plain JSON. */
export type Steps = Readonly<Record<string, (argument: never) => unknown>>;

/** What a load process does: makes its steps of the plan that is its argument, and does those that it is asked for. */
export function answerSteps<Plan>(
  begin: (plan: Plan, tell: (sample: Sample) => void, fail: (error: Error) => void) => Steps,
): void {
  const send = (message: Sample | StepOutcome | LoadFault) => process.send?.(message);
  const steps = begin(JSON.parse(process.argv[2] ?? '') as Plan, send, ({ message: reason }) =>
    send({ kind: 'fault', reason }),
  );
  process.on('message', async ({ number, name, argument }: Step) => {
    try {
      const result = name === BEGIN ? null : await (steps[name] as (argument: unknown) => unknown)(argument);
      send({ kind: 'outcome', number, result });
    } catch (error) {
      send({ kind: 'outcome', number, failure: (error as Error).message });
    }
  });
  // Who started it is gone.
  process.on('disconnect', () => process.exit(1));
}
