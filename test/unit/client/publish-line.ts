import { ClientError, type ClientErrorCode } from '../../../src/client/client-error.ts';
import type { Outcome } from '../../../src/client/connection.ts';
import { Publishes } from '../../../src/client/publishes.ts';
import { FakeEnvironment } from './fake-environment.ts';

export interface SentPublish {
  readonly room: string;
  readonly mid: string;
  readonly after?: string;
  /** The line, without its id. */
  readonly members: string;
  readonly answer: (outcome: Outcome) => void;
}

/** A line of publishes, and a session whose answers the test gives. */
export class PublishLine {
  readonly environment = new FakeEnvironment();
  readonly publishes: Publishes;
  readonly sent: SentPublish[] = [];
  /** What became of each: `mid: ok`, or the error's code and whether it was sent. */
  readonly outcomes: string[] = [];
  isConnected = true;

  constructor({ waitingMax = 256, windowMax = 32 } = {}) {
    this.publishes = new Publishes(this.environment, { waitingMax, retryForMs: 60_000 }, (members, answer) => {
      if (!this.isConnected) return false;
      const { room, mid, after } = JSON.parse(`{${members}}`);
      this.sent.push({ room, mid, after, members, answer });
      return true;
    });
    this.publishes.resume(windowMax);
  }

  /** Publishes under these mids, each `ROOM/NUMBER`. */
  add(...mids: readonly string[]): void {
    for (const mid of mids) {
      const room = mid.split('/')[0] as string;
      this.publishes.add(room, mid, `{"n":"${mid}"}`).then(
        () => this.outcomes.push(`${mid}: ok`),
        ({ code, wasSent }) => this.outcomes.push(`${mid}: ${code}, ${wasSent ? 'sent' : 'not sent'}`),
      );
    }
  }

  /** What was sent since this was asked last, as `mid` or `mid<after`. */
  taken(): string[] {
    const taken = this.sent.slice(this.#taken).map(({ mid, after }) => (after === undefined ? mid : `${mid}<${after}`));
    this.#taken = this.sent.length;
    return taken;
  }

  #taken = 0;

  /** Of the last try. */
  ok(...mids: readonly string[]): void {
    for (const mid of mids) this.#last(mid).answer({ ok: { mid } });
  }

  fail(mid: string, code: ClientErrorCode, retryAfterMs?: number): void {
    this.#last(mid).answer({ error: new ClientError(code, 'no', true, retryAfterMs) });
  }

  /** The session ends, without an answer to these. */
  lose(...mids: readonly string[]): void {
    this.isConnected = false;
    for (const mid of mids) this.#last(mid).answer(null);
  }

  reconnect(windowMax = 32): void {
    this.isConnected = true;
    this.publishes.resume(windowMax);
  }

  #last(mid: string): SentPublish {
    const sent = this.sent.findLast((each) => each.mid === mid);
    if (sent === undefined) throw new Error(`${mid} was not sent`);
    return sent;
  }
}
