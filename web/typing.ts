import { Changes } from './changes.ts';

/** Least time between two notices that one is typing. */
const NOTICE_EVERY_MS = 3_000;
/** How long a notice counts. */
const NOTICE_HOLDS_MS = 5_000;
/** Names that are remembered as typing at the same time. */
const TYPING_MAX = 20;

/** Who else is typing in a room. */
export class TypingUsers {
  readonly changes = new Changes();
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>();

  get users(): readonly string[] {
    return [...this.#timers.keys()];
  }

  heard(user: string, isTyping: boolean): void {
    if (!isTyping) {
      this.stopped(user);
      return;
    }
    const timer = this.#timers.get(user);
    if (timer === undefined && this.#timers.size >= TYPING_MAX) return;
    clearTimeout(timer);
    this.#timers.set(
      user,
      setTimeout(() => this.stopped(user), NOTICE_HOLDS_MS),
    );
    if (timer === undefined) this.changes.tell();
  }

  stopped(user: string): void {
    clearTimeout(this.#timers.get(user));
    if (this.#timers.delete(user)) this.changes.tell();
  }
}

/** Tells the others that one is typing: now and then, and when it is over. */
export class TypingNotice {
  readonly #send: (isTyping: boolean) => void;
  #saidAtMs = Number.NEGATIVE_INFINITY;

  constructor(send: (isTyping: boolean) => void) {
    this.#send = send;
  }

  typed(): void {
    const nowMs = performance.now();
    if (nowMs - this.#saidAtMs < NOTICE_EVERY_MS) return;
    this.#saidAtMs = nowMs;
    this.#send(true);
  }

  ended(): void {
    if (this.#saidAtMs === Number.NEGATIVE_INFINITY) return;
    this.#saidAtMs = Number.NEGATIVE_INFINITY;
    this.#send(false);
  }
}

export function typingWords([first, second, third]: readonly string[]): string {
  if (first === undefined) return '';
  if (second === undefined) return `${first} is typing…`;
  return third === undefined ? `${first} and ${second} are typing…` : 'Several people are typing…';
}
