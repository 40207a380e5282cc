import type { LogLines } from '../fanout/log-lines.ts';
import type { PeerListener, Peers, Removal, Removed, Signal } from '../fanout/peers.ts';
import { randomName } from '../random-name.ts';
import { readAnswer, readRemoval, readSignal, writeAnswer, writeRemoval, writeSignal } from './peer-messages.ts';
import type { RedisLink } from './redis-link.ts';
import { RedisUnavailableError } from './redis-unavailable-error.ts';
import { loadScript } from './scripts.ts';

const REMOVE = loadScript('peers-remove');

/** What peers have to tell beside. */
export interface PeerFigures {
  /** Rooms whose signals are heard. */
  readonly rooms: number;
  /** Signals said to other replicas, not said as Redis was down or too much was under way, and heard from others. */
  readonly signals: { readonly sent: number; readonly shed: number; readonly heard: number };
  /** Removals that all others have done, and those of which that is not known. */
  readonly removals: { readonly whole: number; readonly partial: number };
  /** Messages that were none of ours. */
  readonly unreadable: number;
}

export interface RedisPeersSettings {
  /** Milliseconds that the others are waited for. */
  readonly answerMs: number;
}

export const PEERS_DEFAULTS: RedisPeersSettings = { answerMs: 1_000 };

/** A removal that others are asked to do. */
class Question {
  readonly done = Promise.withResolvers<Removed>();
  readonly #answered = new Set<string>();
  /** Replicas that have heard it, and those that there are; null: not known yet. */
  #heardBy: { readonly hearing: number; readonly living: number } | null = null;
  #sessions = 0;

  asked(hearing: number, living: number): void {
    this.#heardBy = { hearing, living };
    this.#settle();
  }

  answer(by: string, sessions: number): void {
    if (this.#answered.has(by)) return;
    this.#answered.add(by);
    this.#sessions += sessions;
    this.#settle();
  }

  /** No more answers are waited for. */
  end(): void {
    const living = this.#heardBy?.living ?? Number.POSITIVE_INFINITY;
    this.done.resolve({ sessions: this.#sessions, partial: this.#answered.size < living });
  }

  #settle(): void {
    if (this.#heardBy !== null && this.#answered.size >= this.#heardBy.hearing) this.end();
  }
}

/**
 * Peers over channels of Redis: one for each room in which a replica has members, one that all hear, and one of each
 * replica for answers. Published signals come back to who has said them, and are left there.
 */
export class RedisPeers implements Peers {
  /** As which the others hear this replica. */
  readonly #id = randomName(12, 'base64url');
  readonly #link: RedisLink;
  readonly #settings: RedisPeersSettings;
  readonly #logger: LogLines;
  readonly #rooms = new Set<string>();
  readonly #questions = new Map<number, Question>();
  #asked = 0;
  #listener: PeerListener | null = null;
  readonly #signals = { sent: 0, shed: 0, heard: 0 };
  readonly #removals = { whole: 0, partial: 0 };
  #unreadable = 0;

  constructor(link: RedisLink, settings: RedisPeersSettings, logger: LogLines) {
    this.#link = link;
    this.#settings = settings;
    this.#logger = logger;
  }

  figures(): PeerFigures {
    return {
      rooms: this.#rooms.size,
      signals: this.#signals,
      removals: this.#removals,
      unreadable: this.#unreadable,
    };
  }

  async open(listener: PeerListener): Promise<void> {
    this.#listener = listener;
    try {
      await Promise.all([
        this.#link.subscribe(this.#channelOfAll, (text) => this.#onRemoval(text)),
        this.#link.subscribe(this.#answersOf(this.#id), (text) => this.#onAnswer(text)),
      ]);
    } catch (error) {
      // They are heard once Redis is back.
      if (!(error instanceof RedisUnavailableError)) throw error;
    }
  }

  setInterest(room: string, isInterested: boolean): void {
    if (this.#listener === null || isInterested === this.#rooms.has(room)) return;
    if (isInterested) {
      this.#rooms.add(room);
      // Where Redis does not answer, it is heard once it does.
      this.#link.subscribe(this.#channelOf(room), (text) => this.#onSignal(room, text)).catch(() => {});
    } else {
      this.#rooms.delete(room);
      this.#link.unsubscribe(this.#channelOf(room));
    }
  }

  signal({ room, from, data }: Signal): void {
    if (this.#listener === null) return;
    const isSent = this.#link.publish(this.#channelOf(room), writeSignal({ by: this.#id, from, data }));
    this.#signals[isSent ? 'sent' : 'shed'] += 1;
  }

  async remove(removal: Removal): Promise<Removed> {
    if (this.#listener === null) return { sessions: 0, partial: true };
    const number = this.#asked;
    this.#asked += 1;
    const question = new Question();
    this.#questions.set(number, question);
    const timer = setTimeout(() => question.end(), this.#settings.answerMs);
    void this.#ask(question, writeRemoval({ by: this.#id, question: number, removal }));
    const removed = await question.done.promise;
    clearTimeout(timer);
    this.#questions.delete(number);
    this.#removals[removed.partial ? 'partial' : 'whole'] += 1;
    return removed;
  }

  close(): void {
    if (this.#listener === null) return;
    this.#listener = null;
    for (const room of this.#rooms) this.#link.unsubscribe(this.#channelOf(room));
    this.#rooms.clear();
    this.#link.unsubscribe(this.#channelOfAll);
    this.#link.unsubscribe(this.#answersOf(this.#id));
    for (const question of this.#questions.values()) question.end();
  }

  async #ask(question: Question, text: string): Promise<void> {
    try {
      const [hearing, living] = (await this.#link.run(REMOVE, this.#channelOfAll, text)) as [number, number];
      // What hears and has no lease is there all the same.
      question.asked(hearing, Math.max(hearing, living));
    } catch (error) {
      this.#logger.warn({ error: (error as Error).message }, 'other replicas could not be told of a removal');
      question.end();
    }
  }

  #onSignal(room: string, text: string): void {
    const said = readSignal(text);
    if (said === null) {
      this.#unreadable += 1;
      return;
    }
    const { by, from, data } = said;
    if (by === this.#id) return;
    this.#signals.heard += 1;
    this.#listener?.onSignal({ room, from, data });
  }

  #onRemoval(text: string): void {
    const said = readRemoval(text);
    if (said === null) {
      this.#unreadable += 1;
      return;
    }
    const { by, question, removal } = said;
    if (by === this.#id) {
      // Done already: that it has come back tells that it counts among those who hear.
      this.#questions.get(question)?.answer(by, 0);
      return;
    }
    const sessions = this.#listener?.onRemoval(removal) ?? 0;
    this.#link.publish(this.#answersOf(by), writeAnswer({ by: this.#id, question, sessions }));
  }

  #onAnswer(text: string): void {
    const said = readAnswer(text);
    if (said === null) this.#unreadable += 1;
    else this.#questions.get(said.question)?.answer(said.by, said.sessions);
  }

  get #channelOfAll(): string {
    return this.#link.key('c');
  }

  #answersOf(id: string): string {
    return this.#link.key('c', id);
  }

  #channelOf(room: string): string {
    return this.#link.key('s', room);
  }
}
