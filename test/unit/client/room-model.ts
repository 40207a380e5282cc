import { expect } from 'vitest';
import type { Room, RoomState } from '../../../src/client/client.ts';
import type { Gap, Position } from '../../../src/protocol/position.ts';
import type { LogPage, VirtualLog } from './virtual-log.ts';

/** A message with its number, or a gap, behind which another log may follow, and how many messages there were then. */
type Told =
  | { readonly mid: string; readonly number: number }
  | { readonly isElsewhere: boolean; readonly count: number };

/** What a client's room has to be like: its state, its place, and all that it has told since it was joined. */
export class RoomModel {
  readonly name: string;
  readonly log: VirtualLog;
  isWanted = false;
  state: RoomState = 'idle';
  /** Behind what was handed on last. */
  position: Position | null = null;
  #history = 0;
  /** What the first page had, and how many messages there were then; null: it has not come. */
  #beginning: { readonly mids: readonly string[]; readonly count: number } | null = null;
  #told: Told[] = [];
  readonly #gapsSaid: Gap[] = [];
  /** What it told and was not to. */
  readonly #offences: string[] = [];

  constructor(log: VirtualLog) {
    this.name = log.room;
    this.log = log;
  }

  /** It was joined before, and is not yet where it was. */
  get isBehind(): boolean {
    return this.isWanted && this.state !== 'live' && this.position !== null;
  }

  /** What a join of it says. */
  get joinMembers(): object {
    const { name, position } = this;
    return position === null
      ? { room: name, since: undefined, history: this.#history }
      : { room: name, since: position, history: undefined };
  }

  listenTo(room: Room): void {
    room.on('message', ({ mid }) => {
      const number = this.log.numberOf(mid);
      const before = this.#told.findLast((each) => 'mid' in each || each.isElsewhere);
      if (!this.isWanted) this.#offences.push(`${mid} of a room that was left`);
      if (this.#told.some((each) => 'mid' in each && each.mid === mid)) this.#offences.push(`${mid} twice`);
      if (before !== undefined && 'mid' in before && before.number > number) {
        this.#offences.push(`${mid} behind ${before.mid}`);
      }
      this.#told.push({ mid, number });
    });
    room.on('gap', (gap) => {
      const said = this.#gapsSaid.find((each) => JSON.stringify(each) === JSON.stringify(gap));
      if (said === undefined) this.#offences.push(`a gap that nobody spoke of: ${JSON.stringify(gap)}`);
      this.#told.push({ isElsewhere: gap.from === null, count: this.log.count });
    });
  }

  joins(history: number): void {
    this.isWanted = true;
    this.state = 'joining';
    this.position = null;
    this.#history = history;
    this.#beginning = null;
    this.#told = [];
  }

  ends(): void {
    this.isWanted = false;
    this.state = 'idle';
  }

  suspended(): void {
    this.state = 'joining';
  }

  /** The server is about to say this page, and the client to take it. */
  takes(page: LogPage): void {
    this.#beginning ??= { mids: page.messages.map(({ mid }) => mid), count: this.log.count };
    if (page.gap !== undefined) this.#gapsSaid.push(page.gap);
    this.position = page.position;
    this.state = page.more ? 'catching_up' : 'live';
  }

  /** The server is about to push a message, which the client hands on if it is live. */
  hears(position: Position): void {
    if (this.state === 'live') this.position = position;
  }

  /** The server is about to suspend it, and to step over what cannot be had. */
  resyncs(gap: Gap | undefined): void {
    this.state = 'joining';
    if (gap === undefined) return;
    this.#gapsSaid.push(gap);
    this.position = gap.to;
  }

  check(room: Room | undefined): void {
    expect(room?.state ?? 'idle', `the state of ${this.name}`).toBe(this.state);
    if (this.isWanted) expect(room?.position).toEqual(this.position);
    expect(this.#offences).toEqual([]);
  }

  /** Nothing is on its way: all there ever was since the join was told, or lies in a gap. */
  checkAtRest(): void {
    if (!this.isWanted) return;
    expect(this.state).toBe('live');
    const { mids, count } = this.#beginning ?? { mids: [], count: 0 };
    const told = new Set(this.#told.map((each) => ('mid' in each ? each.mid : '')));
    const missing = this.log.everyMid.filter((mid, i) => !told.has(mid) && (i >= count || mids.includes(mid)));
    const covered = missing.filter((mid) => this.#isInGap(this.log.numberOf(mid)));
    expect(missing, `missing in ${this.name}`).toEqual(covered);
  }

  /** Whether a gap was told where the message with that number would have been. */
  #isInGap(number: number): boolean {
    let last = 0;
    return this.#told.some((each, i) => {
      if ('mid' in each) {
        last = each.number;
        return false;
      }
      const next = this.#told.slice(i).find((after) => 'mid' in after);
      const isBefore = each.isElsewhere || next === undefined || number < next.number;
      const isIn = number > last && number <= each.count && isBefore;
      // What comes then is a log of its own.
      if (each.isElsewhere) last = 0;
      return isIn;
    });
  }
}
