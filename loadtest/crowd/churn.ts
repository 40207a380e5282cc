import { setTimeout as sleep } from 'node:timers/promises';
import type { Crowd } from './crowd.ts';
import type { ChurnTask } from './crowd-plan.ts';
import type { Member } from './member.ts';

const POLL_MS = 20;

/** Has the members of a crowd come and go, whose number stays what it was. */
export class Churn {
  readonly #crowd: Crowd;
  readonly #fail: (error: Error) => void;
  readonly #timers = new Map<Member, NodeJS.Timeout>();
  #hasEnded = false;
  #arriving = 0;

  constructor(crowd: Crowd, fail: (error: Error) => void) {
    this.#crowd = crowd;
    this.#fail = fail;
  }

  begin(task: ChurnTask): void {
    for (const member of this.#crowd.members) this.#live(member, task);
  }

  /** Nobody goes any more. Resolves when all who were to come are here. */
  async end(): Promise<void> {
    this.#hasEnded = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    while (this.#arriving > 0) await sleep(POLL_MS);
  }

  #live(member: Member, task: ChurnTask): void {
    const lifeMs = -Math.log(1 - Math.random()) * task.lifeMs;
    this.#timers.set(
      member,
      setTimeout(() => this.#turnOver(member, task).catch(this.#fail), lifeMs),
    );
  }

  async #turnOver(member: Member, task: ChurnTask): Promise<void> {
    this.#timers.delete(member);
    const chance = Math.random();
    if (chance < task.cut) {
      member.line.cut();
      this.#live(member, task);
      return;
    }
    this.#arriving += 1;
    const gone = this.#crowd.dismiss(member, chance < task.cut + task.vanishing ? 'vanished' : 'goodbye');
    const { member: next, arrival } = this.#crowd.admit(member.room);
    await Promise.all([gone, arrival]);
    this.#arriving -= 1;
    if (!this.#hasEnded) this.#live(next, task);
  }
}
