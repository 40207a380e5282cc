import type { Status } from '../protocol/presence-state.ts';
import type { ClientError } from './client-error.ts';
import type { Said } from './connection.ts';
import type { UserPresence } from './messages.ts';

/** Of a command, but for `op` and `id`. */
export type Members = Readonly<Record<string, unknown>>;

/** @param members asked for in each try; null: there is nothing to ask any more. @param isOwn of the client itself */
export type Ask = (op: string, members: () => Members | null, isOwn?: boolean) => Promise<Said>;

interface StandingListener {
  /** How a watched user is, in a new session. */
  onPresence(presence: UserPresence): void;
  onError(error: ClientError): void;
}

/** What a client has said once and for all sessions: whom it watches, and how its user is. */
export class Standing {
  readonly #ask: Ask;
  readonly #listener: StandingListener;
  readonly #watched = new Set<string>();
  #status: { readonly status: Status; readonly text?: string | undefined } | null = null;

  readonly #waiting = new Set<string>();

  constructor(ask: Ask, listener: StandingListener) {
    this.#ask = ask;
    this.#listener = listener;
  }

  watches(user: string): boolean {
    return this.#watched.has(user);
  }

  async watch(users: readonly string[]): Promise<readonly UserPresence[]> {
    const added = users.filter((user) => !this.#watched.has(user));
    for (const user of added) this.#watched.add(user);
    try {
      // Sent again, it is not to undo what was said after it.
      return read(await this.#ask('watch', () => naming(users.filter((user) => this.#watched.has(user)))));
    } catch (error) {
      // One that was refused is not to be asked for again, but one that was not answered is.
      const { code } = error as ClientError;
      if (code !== 'closed' && code !== 'timed_out') for (const user of added) this.#watched.delete(user);
      throw error;
    }
  }

  async unwatch(users: readonly string[]): Promise<void> {
    for (const user of users) this.#watched.delete(user);
    await this.#ask('unwatch', () => naming(users.filter((user) => !this.#watched.has(user))));
  }

  async status(status: Status, text: string | undefined): Promise<void> {
    this.#status = { status, text };
    await this.#ask('status', () => this.#status);
  }

  /** Says it all in a new session. */
  resume(): void {
    const watched = () => naming([...this.#watched]);
    void this.#again('watch', watched, (reply) => read(reply).map((user) => this.#listener.onPresence(user)));
    void this.#again(
      'status',
      () => this.#status,
      () => {},
    );
  }

  async #again(op: string, members: () => Members | null, onReply: (reply: Said) => void): Promise<void> {
    // What an earlier session did not answer is sent again anyway.
    if (this.#waiting.has(op)) return;
    this.#waiting.add(op);
    try {
      onReply(await this.#ask(op, members, true));
    } catch (error) {
      if ((error as ClientError).code !== 'closed') this.#listener.onError(error as ClientError);
    } finally {
      this.#waiting.delete(op);
    }
  }
}

/** null: there is nobody to ask about. */
function naming(users: readonly string[]): Members | null {
  return users.length === 0 ? null : { users };
}

function read({ users }: Said): readonly UserPresence[] {
  return (users ?? []) as readonly UserPresence[];
}
