import { BOUNDS } from '../protocol/bounds.ts';
import type { Framing } from '../protocol/dialect.ts';
import type { RoomPresencePush } from '../protocol/presence-push.ts';
import type { UserState } from '../protocol/presence-state.ts';
import { Feed, type PresenceReader } from './feed.ts';
import type { RoomChange } from './presence-store.ts';

/** What a reader has not been given yet while its join is under way, in pushes; more are replaced by a count. */
const HELD_MAX = 16;

/** One reader of one room's presence. */
export class RoomWatch {
  readonly reader: PresenceReader;
  readonly mode: 'full' | 'count';
  /** What the reader knows the room by: its snapshot's, then the last push's. null: it has no snapshot yet. */
  version: number | null = null;
  /** The count that it was told last. */
  count = -1;
  /** The version at which it has looked at the room by itself: it may know what pushes leave out as come and gone. */
  lookedVersion = 0;
  /** Pushes that came before the reader may be told. */
  held: Held[] | null = [];

  constructor(reader: PresenceReader, mode: 'full' | 'count') {
    this.reader = reader;
    this.mode = mode;
  }

  /** The reader has been given a snapshot, and is told from now on what changed after it. */
  begin({ version, count }: { readonly version: number; readonly count: number }): void {
    const held = this.held ?? [];
    this.held = null;
    this.version = version;
    this.count = count;
    for (const push of held) {
      if (push.version <= version) continue;
      this.version = push.version;
      this.count = push.count;
      this.reader.push(push.chunk);
    }
  }
}

/** A push for a reader that may not be told yet. */
interface Held {
  readonly version: number;
  readonly count: number;
  readonly chunk: Buffer;
}

/** How somebody has changed since the last push. */
interface Touched {
  readonly wasPresent: boolean;
  isPresent: boolean;
  state: UserState;
}

/** What the readers of one room have not been told yet. */
export class RoomFeed extends Feed<RoomWatch> {
  readonly subject: { readonly room: string };
  #version = 0;
  #count = 0;
  /** Of the count and the names to be told. */
  #partial = false;
  /** The version of the last push. */
  #toldVersion = 0;
  /** null: more than can be told by name. */
  #touched: Map<string, Touched> | null = new Map();

  constructor(room: string, onDue: (feed: RoomFeed) => void) {
    super((feed) => onDue(feed as RoomFeed));
    this.subject = { room };
  }

  add({ version, count, names, partial }: RoomChange): void {
    this.#version = version;
    this.#count = count;
    // What was known in part gives no names to what is known as a whole: a push is one or the other.
    if (names === null || (this.#partial && !partial)) this.#touched = null;
    this.#partial = partial;
    for (const state of names?.joined ?? []) this.#touch(state, false, true);
    for (const state of names?.left ?? []) this.#touch(state, true, false);
    for (const state of names?.changed ?? []) this.#touch(state, true, true);
  }

  /** Users who would be told by name. */
  get namedCount(): number {
    return this.#touched?.size ?? 0;
  }

  tell(withNames: boolean): number {
    let pushes = 0;
    const touched = this.#touched;
    const told = this.#toldVersion;
    this.#touched = new Map();
    this.#toldVersion = this.#version;
    const head = { ...this.subject, version: this.#version, count: this.#count, partial: this.#partial };
    this.#partial = false;
    const variants = new Variants(head, withNames ? touched : null);
    for (const watch of this.watches) {
      const { version, mode, count, held } = watch;
      if (version !== null && version >= this.#version) continue;
      // Whose snapshot fell within this push's time knows some of it, and may know somebody who came and went.
      const fellWithin = version === null || version > told || watch.lookedVersion > told;
      const { framing } = watch.reader;
      const isKnown = mode === 'count' && count === this.#count && watch.lookedVersion <= told;
      const chunk = isKnown
        ? null
        : variants.chunk(framing, mode === 'count' ? 'count' : fellWithin ? 'touched' : 'net');
      if (held !== null) {
        if (chunk !== null) hold(held, { version: this.#version, count: this.#count, chunk }, variants, framing);
        continue;
      }
      watch.version = this.#version;
      watch.count = this.#count;
      if (chunk === null) continue;
      watch.reader.push(chunk);
      pushes += 1;
    }
    return pushes;
  }

  #touch(state: UserState, wasPresent: boolean, isPresent: boolean): void {
    if (this.#touched === null) return;
    const touched = this.#touched.get(state.user);
    if (touched === undefined) {
      this.#touched.set(state.user, { wasPresent, isPresent, state });
      if (this.#touched.size > BOUNDS.presencePageMax) this.#touched = null;
      return;
    }
    touched.isPresent = isPresent;
    touched.state = state;
  }
}

/** Keeps a push for a reader that may not be told yet; too many become one that says that something changed. */
function hold(held: Held[], push: Held, variants: Variants, framing: Framing): void {
  held.push(push);
  if (held.length <= HELD_MAX) return;
  const chunk = variants.chunk(framing, 'count');
  held.splice(0, held.length, ...(chunk === null ? [] : [{ ...push, chunk }]));
}

/**
 * - `net`: who is there now and was not before, or the other way round, or has changed;
 * - `touched`: also who came and went in between;
 * - `count`: no names.
 */
type Variant = 'net' | 'touched' | 'count';

/** One push in the forms that its readers need, each framed when the first one wants it. */
class Variants {
  readonly #head: RoomPresencePush;
  readonly #touched: ReadonlyMap<string, Touched> | null;
  readonly #chunks: { framing: Framing; variant: Variant; chunk: Buffer | null }[] = [];
  readonly #payloads: { framing: Framing; variant: Variant; payloads: readonly Buffer[] }[] = [];

  constructor(head: RoomPresencePush, touched: ReadonlyMap<string, Touched> | null) {
    this.#head = head;
    this.#touched = touched;
  }

  /** null: there is nothing to say in this form. */
  chunk(framing: Framing, wanted: Variant): Buffer | null {
    const variant = this.#touched === null ? 'count' : wanted;
    let made = this.#chunks.find((known) => known.framing === framing && known.variant === variant);
    if (made === undefined) {
      const payloads = this.#payloadsOf(framing, variant);
      made = { framing, variant, chunk: payloads.length === 0 ? null : framing.frame(payloads) };
      this.#chunks.push(made);
    }
    return made.chunk;
  }

  #payloadsOf(framing: Framing, variant: Variant): readonly Buffer[] {
    // Framings that say presence alike share its bytes.
    const alike = this.#payloads.find(
      (known) => known.framing.roomPresence === framing.roomPresence && known.variant === variant,
    );
    if (alike !== undefined) return alike.payloads;
    const push =
      variant === 'count' || this.#touched === null ? this.#head : withNames(this.#head, this.#touched, variant);
    const payloads = push === null ? [] : framing.roomPresence(push);
    this.#payloads.push({ framing, variant, payloads });
    return payloads;
  }
}

function withNames(
  head: RoomPresencePush,
  touched: ReadonlyMap<string, Touched>,
  variant: 'net' | 'touched',
): RoomPresencePush | null {
  const joined: UserState[] = [];
  const left: UserState[] = [];
  const changed: UserState[] = [];
  for (const { wasPresent, isPresent, state } of touched.values()) {
    if (isPresent) (wasPresent ? changed : joined).push(state);
    else if (wasPresent || variant === 'touched') left.push(state);
  }
  if (joined.length + left.length + changed.length === 0) return null;
  return {
    ...head,
    ...(joined.length > 0 && { joined }),
    ...(left.length > 0 && { left }),
    ...(changed.length > 0 && { changed }),
  };
}
