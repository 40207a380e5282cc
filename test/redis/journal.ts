import type { LogLines } from '../../src/fanout/log-lines.ts';

/** What happened in a run, and what must not have happened. */
export class Journal {
  readonly #lines: string[] = [];
  readonly #violations: string[] = [];
  readonly #beganMs = performance.now();

  get lines(): readonly string[] {
    return this.#lines;
  }

  /** What was seen that is never to be so, not even for a moment. */
  get violations(): readonly string[] {
    return this.#violations;
  }

  note(what: string): void {
    this.#lines.push(`${(performance.now() - this.#beganMs).toFixed(0).padStart(6)} ${what}`);
  }

  violate(what: string): void {
    this.#violations.push(what);
    this.note(`VIOLATED: ${what}`);
  }

  /** What a part says by itself. */
  logOf(name: string): LogLines {
    const say = (level: string) => (fields: object, message: string) =>
      this.note(`${name} ${level}: ${message} ${JSON.stringify(fields)}`);
    return { info: say('info'), warn: say('warn'), error: say('error') };
  }
}
