import type { ReadMark } from './read-mark.ts';

/** Conversations that are remembered for one user, of each kind. */
export const REMEMBERED_MAX = 100;
/** Conversations of which is remembered up to where they were read. */
const MARKS_MAX = 300;
/** Users of this browser that are remembered. */
const USERS_MAX = 8;
const USER_KEY = 'tidegate.user.';
const LAST_KEY = 'tidegate.last';

export interface Remembered {
  readonly rooms: readonly string[];
  /** Users that one talks with directly. */
  readonly partners: readonly string[];
  /** By conversation. */
  readonly marks: Readonly<Record<string, ReadMark>>;
}

type Kind = 'rooms' | 'partners';

/**
 * What this browser remembers of its user. Other tabs write it too, so that each change reads first; where storage is
 * refused or full, it is forgotten with the page.
 */
export class Store {
  readonly #key: string;
  #remembered: Remembered;

  constructor(user: string) {
    this.#key = `${USER_KEY}${user}`;
    this.#remembered = checked(read(this.#key));
  }

  get remembered(): Remembered {
    return this.#remembered;
  }

  mark(conversation: string): ReadMark | null {
    const { marks } = this.#remembered;
    // A room may have the name of what every object has.
    return Object.hasOwn(marks, conversation) ? (marks[conversation] ?? null) : null;
  }

  add(kind: Kind, name: string): void {
    this.#change((now) => ({ ...now, [kind]: [...now[kind].filter((each) => each !== name), name] }));
  }

  remove(kind: Kind, name: string): void {
    this.#change((now) => ({ ...now, [kind]: now[kind].filter((each) => each !== name) }));
  }

  /** Remembers up to where conversations were read. */
  saveMarks(marks: Readonly<Record<string, ReadMark>>): void {
    this.#change((now) => ({ ...now, marks: { ...now.marks, ...marks } }));
  }

  /** Calls back when another tab of the same user has read or changed something. */
  onOtherTab(listener: () => void): void {
    addEventListener('storage', ({ key }) => {
      if (key !== this.#key) return;
      this.#remembered = checked(read(this.#key));
      listener();
    });
  }

  #change(change: (now: Remembered) => Remembered): void {
    const now = checked(read(this.#key) ?? this.#remembered);
    this.#remembered = bounded(change(now));
    if (localItem(this.#key) === null) forgetUsers(USERS_MAX - 1);
    write(this.#key, { ...this.#remembered, usedMs: Date.now() });
  }
}

/** Name and room of the last time. */
export function lastUsed(): { user: string; room: string } {
  const last = read(LAST_KEY) as Partial<Record<'user' | 'room', unknown>> | null;
  const { user, room } = last ?? {};
  return { user: typeof user === 'string' ? user : '', room: typeof room === 'string' ? room : '' };
}

export function saveLastUsed(user: string, room: string): void {
  write(LAST_KEY, { user, room });
}

function bounded({ rooms, partners, marks }: Remembered): Remembered {
  // Marks outlive what they are of, so that what was read is not unread when it comes back.
  const newest = Object.entries(marks).sort(([, a], [, b]) => b.ts - a.ts);
  return {
    rooms: rooms.slice(-REMEMBERED_MAX),
    partners: partners.slice(-REMEMBERED_MAX),
    marks: Object.fromEntries(newest.slice(0, MARKS_MAX)),
  };
}

/** The key of a conversation with one user; no room can be called so. */
export function directKey(partner: string): string {
  return `@${partner}`;
}

/** Anybody may have written there: only what has the right form is taken. */
function checked(value: unknown): Remembered {
  const { rooms, partners, marks } = (value ?? {}) as Partial<Record<keyof Remembered, unknown>>;
  const names = (list: unknown) =>
    Array.isArray(list) ? list.filter((name): name is string => typeof name === 'string') : [];
  const entries = Object.entries((typeof marks === 'object' && marks) || {}).filter(
    (entry): entry is [string, ReadMark] => isMark(entry[1]),
  );
  return { rooms: names(rooms), partners: names(partners), marks: Object.fromEntries(entries) };
}

function isMark(value: unknown): value is ReadMark {
  const { epoch, offset, ts } = (value ?? {}) as Partial<Record<keyof ReadMark, unknown>>;
  return typeof epoch === 'string' && typeof offset === 'number' && typeof ts === 'number';
}

/** Makes room for another user: those that were not seen for longest go. */
function forgetUsers(max: number): void {
  const usedMs = (key: string) => Number((read(key) as { usedMs?: unknown } | null)?.usedMs ?? 0);
  try {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(USER_KEY));
    keys.sort((a, b) => usedMs(b) - usedMs(a));
    for (const key of keys.slice(max)) localStorage.removeItem(key);
  } catch {
    // Storage is refused.
  }
}

function localItem(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function read(key: string): unknown {
  try {
    return JSON.parse(localItem(key) ?? 'null');
  } catch {
    return null;
  }
}

function write(key: string, value: unknown): void {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Refused or full.
  }
}
