import type { Framing } from '../protocol/dialect.ts';
import type { UserPresence } from '../protocol/presence-state.ts';
import { Feed, type PresenceReader } from './feed.ts';

/** One reader of one user's presence. */
export class UserWatch {
  readonly reader: PresenceReader;
  readonly #feed: UserFeed;
  /** The version that the reader knows; null: it has no snapshot yet. */
  version: number | null = null;

  constructor(reader: PresenceReader, feed: UserFeed) {
    this.reader = reader;
    this.#feed = feed;
  }

  /** The reader has been given a snapshot, and is told from now on what changed after it. */
  begin({ version }: { readonly version: number }): void {
    this.version = version;
    this.#feed.tellOne(this);
  }
}

/** What the readers of one user have not been told yet. */
export class UserFeed extends Feed<UserWatch> {
  readonly subject: { readonly user: string };
  latest: UserPresence | null = null;

  constructor(user: string, onDue: (feed: UserFeed) => void) {
    super((feed) => onDue(feed as UserFeed));
    this.subject = { user };
  }

  tell(): number {
    let pushes = 0;
    const chunks = new Map<Framing, Buffer | null>();
    for (const watch of this.watches) {
      const { framing } = watch.reader;
      if (!chunks.has(framing)) chunks.set(framing, this.#chunk(framing));
      if (this.#push(watch, chunks.get(framing) ?? null)) pushes += 1;
    }
    return pushes;
  }

  /** Whose snapshot is older than what was told to the others meanwhile is told by itself. */
  tellOne(watch: UserWatch): void {
    if (!this.isDirty) this.#push(watch, this.#chunk(watch.reader.framing));
  }

  /** Whether there was something to push. */
  #push(watch: UserWatch, chunk: Buffer | null): boolean {
    const { latest } = this;
    if (latest === null || watch.version === null || watch.version >= latest.version) return false;
    watch.version = latest.version;
    if (chunk === null) return false;
    watch.reader.push(chunk);
    return true;
  }

  #chunk(framing: Framing): Buffer | null {
    if (this.latest === null) return null;
    const { version: _, ...push } = this.latest;
    const payloads = framing.userPresence(push);
    return payloads.length === 0 ? null : framing.frame(payloads);
  }
}
