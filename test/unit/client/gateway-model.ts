import type { Position } from '../../../src/protocol/position.ts';
import type { ClientModel } from './client-model.ts';
import type { RoomModel } from './room-model.ts';
import type { LogPage } from './virtual-log.ts';
import type { Command } from './virtual-server.ts';

/** What the server makes of a command. */
export type Fate =
  /** It does it; a page has so many messages at most. */
  | { readonly kind: 'done'; readonly pageMax: number }
  /** It refuses for now, though what it was asked for may have been done. */
  | { readonly kind: 'later'; readonly afterMs: number | undefined; readonly isDone: boolean }
  | { readonly kind: 'never' };

/** Of a session in a room; a position: it is being caught up with behind there. */
type Membership = 'live' | 'suspended' | Position;

/** The server of one session: rooms, logs, and commands one after the other. */
export class GatewayModel {
  readonly #client: ClientModel;
  readonly #memberships = new Map<string, Membership>();
  /** Publishes whose last try failed. */
  readonly #failed = new Set<string>();
  /** Commands whose answers the client does not wait for any more. */
  readonly #stale = new Set<Command>();
  #others = 0;

  constructor(client: ClientModel) {
    this.#client = client;
  }

  begin(): void {
    this.#memberships.clear();
    this.#failed.clear();
    this.#stale.clear();
  }

  get hasCommands(): boolean {
    return this.#client.world.server.unanswered.length > 0;
  }

  /** Nothing that the client asked before about the room is of use to it. */
  forget(room: string): void {
    for (const command of this.#client.world.server.unanswered) if (command.room === room) this.#stale.add(command);
  }

  /** Whether it could end or suspend the room right now, with the client not about to do something of the kind. */
  mayEnd(room: string): boolean {
    const { state } = this.#client.room(room);
    const isLeaving = this.#client.world.server.unanswered.some(({ op, room: of }) => of === room && op === 'leave');
    return this.#memberships.has(room) && (state === 'live' || state === 'catching_up') && !isLeaving;
  }

  async answerAll(): Promise<void> {
    while (this.hasCommands) await this.answer({ kind: 'done', pageMax: 300 });
  }

  /** Answers the oldest command. */
  async answer(fate: Fate): Promise<void> {
    const command = this.#client.world.server.unanswered.shift();
    if (command === undefined) return;
    switch (command.op) {
      case 'join':
        return this.#join(command, fate);
      case 'leave':
        return this.#leave(command, fate);
      case 'history':
        return this.#history(command, fate);
      case 'publish':
        return this.#publish(command, fate);
      case 'refresh': {
        const expiresAtMs = this.#client.world.environment.wallMs() + 100_000;
        return fate.kind === 'done' ? this.#ok(command, { expiresAtMs }) : this.#refuse(command, fate, 'unauthorized');
      }
      default:
        return this.#ok(command, { serverMs: 0 });
    }
  }

  /** Somebody else says something. */
  async say(room: string): Promise<void> {
    this.#others += 1;
    await this.#append(this.#client.room(room), 'bob', `other-${this.#others}`, null);
  }

  /** Only those whose session it is are left out of what follows. */
  async resync(room: string, withGap: boolean): Promise<void> {
    const model = this.#client.room(room);
    const { position } = model.log;
    const from = model.position as Position;
    const isGap = withGap && from.epoch === position.epoch && from.offset < position.offset;
    const gap = isGap ? { from, to: position } : undefined;
    this.#memberships.set(room, 'suspended');
    this.forget(room);
    model.resyncs(gap);
    await this.#client.hear({ push: 'resync', room, position, gap });
  }

  async end(room: string): Promise<void> {
    this.#memberships.delete(room);
    this.forget(room);
    this.#client.room(room).ends();
    await this.#client.hear({ push: 'left', room, code: 'kicked' });
  }

  async #join(command: Command, fate: Fate): Promise<void> {
    const room = command.room as string;
    const model = this.#client.room(room);
    const membership = this.#memberships.get(room);
    if (membership !== undefined && membership !== 'suspended') return this.#error(command, 'already_joined');
    if (fate.kind !== 'done') {
      if (fate.kind === 'never' && !this.#stale.has(command)) model.ends();
      return this.#refuse(command, fate, 'forbidden');
    }
    const { since, history } = command as { since?: Position; history?: number };
    const page = since === undefined ? model.log.newest(history ?? 0) : model.log.after(since, fate.pageMax);
    this.#memberships.set(room, page.more ? page.position : 'live');
    await this.#say(command, page, { recovered: since !== undefined && page.gap === undefined });
  }

  async #leave(command: Command, fate: Fate): Promise<void> {
    const room = command.room as string;
    if (fate.kind === 'later') return this.#refuse(command, fate, '');
    if (!this.#memberships.delete(room)) return this.#error(command, 'not_joined');
    await this.#ok(command, { room });
  }

  async #history(command: Command, fate: Fate): Promise<void> {
    const room = command.room as string;
    const model = this.#client.room(room);
    if (fate.kind !== 'done') {
      if (fate.kind === 'never' && !this.#stale.has(command)) model.ends();
      return this.#refuse(command, fate, 'forbidden');
    }
    const after = command.after as Position;
    const page = model.log.after(after, fate.pageMax);
    const membership = this.#memberships.get(room);
    if (typeof membership === 'object' && membership.offset === after.offset) {
      this.#memberships.set(room, page.more ? page.position : 'live');
    }
    await this.#say(command, page, {});
  }

  async #say(command: Command, page: LogPage, more: object): Promise<void> {
    if (!this.#stale.has(command)) this.#client.room(page.room).takes(page);
    await this.#ok(command, { ...page, ...more });
  }

  async #publish(command: Command, fate: Fate): Promise<void> {
    const { room, mid, after, data } = command as Command & { readonly room: string; readonly mid: string };
    this.#failed.delete(mid);
    if (after !== undefined && this.#failed.has(after as string)) {
      this.#failed.add(mid);
      return this.#error(command, 'overloaded', 100);
    }
    if (fate.kind !== 'done') this.#failed.add(mid);
    if (fate.kind === 'never') {
      this.#client.publishes.refused(mid, 'mid_conflict');
      return this.#error(command, 'mid_conflict');
    }
    if (fate.kind === 'later' && !fate.isDone) return this.#refuse(command, fate, '');
    const { entry, isDuplicate } = await this.#append(this.#client.room(room), 'ann', mid, data);
    if (fate.kind === 'later') return this.#error(command, 'unknown_outcome', fate.afterMs);
    const { epoch, offset } = entry;
    const ok = { room, mid, epoch, offset, duplicate: isDuplicate };
    this.#client.publishes.acknowledged(mid, ok);
    await this.#ok(command, ok);
  }

  async #append(model: RoomModel, from: string, mid: string, data: unknown) {
    const appended = model.log.append(from, mid, data);
    const { entry, isDuplicate } = appended;
    if (!isDuplicate && this.#client.phase === 'session' && this.#memberships.get(model.name) === 'live') {
      model.hears({ epoch: entry.epoch, offset: entry.offset });
      await this.#client.hear({ push: 'message', ...entry });
    }
    return appended;
  }

  #ok({ id }: Command, ok: object): Promise<void> {
    return this.#client.hear({ id, ok });
  }

  #refuse(command: Command, fate: Fate, code: string): Promise<void> {
    return fate.kind === 'later' ? this.#error(command, 'unavailable', fate.afterMs) : this.#error(command, code);
  }

  #error({ id }: Command, code: string, retryAfterMs?: number): Promise<void> {
    return this.#client.hear({ id, error: { code, message: 'no', retryAfterMs } });
  }
}
