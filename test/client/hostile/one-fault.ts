import type { TestContext } from 'vitest';
import { Script } from './faults.ts';
import type { HostileServer, ServerOptions } from './hostile-server.ts';
import type { Entry, ModelRoom } from './model-room.ts';
import type { Participant } from './participant.ts';
import { Stage } from './stage.ts';

/** Slow enough for a slow machine to keep up with, as it is not asked whether it does. */
const PATIENT = { speed: 10, heartbeatMs: 0, connectTimeoutMs: 60_000 };
/** For clients that are to find out by themselves: a second of theirs is 50 ms. */
export const IMPATIENT = { speed: 20, heartbeatMs: 2_000, connectTimeoutMs: 10_000 };

interface Options extends Partial<ServerOptions> {
  readonly connectTimeoutMs?: number;
}

/** A room of one test, a script of its faults, and ann, to whom they happen. */
export class OneFault {
  readonly stage: Stage;
  readonly script: Script;
  readonly server: HostileServer;
  readonly tea: ModelRoom;
  readonly ann: Participant;

  private constructor(stage: Stage, script: Script, connectTimeoutMs: number) {
    this.stage = stage;
    this.script = script;
    this.server = stage.server;
    this.tea = stage.server.room('tea');
    this.ann = stage.participant('ann', { connectTimeoutMs }, 0.1);
  }

  static async open({ onTestFinished }: Pick<TestContext, 'onTestFinished'>, options: Options = {}): Promise<OneFault> {
    const script = new Script();
    const { connectTimeoutMs, ...more } = { ...PATIENT, ...options };
    const stage = await Stage.open(script, more);
    onTestFinished(() => stage.close());
    return new OneFault(stage, script, connectTimeoutMs);
  }

  /** Somebody without a connection says so many things. */
  say(count: number, room = this.tea): Entry[] {
    return Array.from({ length: count }, () => {
      const data = this.stage.words('somebody');
      return this.server.append(room, 'somebody', `s-${this.stage.messageCount}`, data);
    });
  }

  /** Connects ann, who has joined the room from its beginning, and waits until she is live. */
  async live(): Promise<void> {
    this.ann.follow('tea', { since: this.tea.beginning });
    this.ann.expect('connect', this.ann.client.connect());
    await this.stage.until('ann to be at rest', () => this.ann.isAtRest);
  }

  /** Resolves with the reason in the very moment in which ann is cut off. */
  cutOff(): Promise<string> {
    return new Promise((resolve) => {
      const off = this.ann.client.on('state', (state) => {
        if (state.name !== 'waiting') return;
        off();
        resolve(state.reason);
      });
    });
  }

  /** Waits until every fault has happened and all is well again. Resolves with what is wrong then. */
  async settle(): Promise<string[]> {
    await this.stage.until(`all faults to have happened`, () => this.script.due.length === 0);
    return this.stage.settle();
  }

  /** What ann was told of the room: offsets of messages, and of gaps the two ends. */
  told(room = 'tea'): (number | readonly (number | null)[])[] {
    const told: (number | readonly (number | null)[])[] = [];
    for (const event of this.ann.followings.get(room)?.events ?? []) {
      if (event.what === 'message') told.push(event.message.offset);
      else if (event.what === 'gap') told.push([event.gap.from?.offset ?? null, event.gap.to.offset]);
    }
    return told;
  }
}

export function offsetsOf(entries: readonly Entry[]): number[] {
  return entries.map(({ offset }) => offset);
}
