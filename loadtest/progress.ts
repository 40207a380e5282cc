/** Says on standard error what is being done, after how long and of about how long. */
export class Progress {
  readonly #plannedMs: number;
  readonly #startMs = performance.now();

  constructor(plannedMs: number) {
    this.#plannedMs = plannedMs;
  }

  say(what: string): void {
    const elapsed = toSeconds(performance.now() - this.#startMs);
    console.error(`[${elapsed} of about ${toSeconds(this.#plannedMs)} s] ${what}`);
  }
}

function toSeconds(ms: number): string {
  return (ms / 1000).toFixed(0).padStart(4);
}
