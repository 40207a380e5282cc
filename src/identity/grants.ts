import { BOUNDS } from '../protocol/bounds.ts';
import { isPrintable } from '../protocol/names.ts';

/** Bounds of what one token may grant. Bytes are those of the pattern as written, `{user}` not yet filled in. */
export const GRANT_BOUNDS = { patternsMax: 100, patternBytesMax: 256 } as const;

/** Patterns over room names: `*` any run of characters but `/`, `**` any run, `{user}` the user; runs may be empty. */
export interface GrantPatterns {
  readonly join: readonly string[];
  readonly publish: readonly string[];
  readonly presence: readonly string[];
}

/** Patterns that are none, or too many. The message names the list and never holds a pattern. */
export class GrantsError extends Error {
  override readonly name = 'GrantsError';
}

/** `*` */
const SEGMENT = Symbol('*');
/** `**` */
const ANYTHING = Symbol('**');

type Token = string | typeof SEGMENT | typeof ANYTHING;

/** A pattern: how the room's name starts, and what follows. */
interface Rule {
  readonly prefix: string;
  readonly rest: readonly Token[];
}

// The ends that most patterns have and the lists that most users have, shared: there is a session for each user.
const EXACT: readonly Token[] = [];
const PREFIX: readonly Token[] = [ANYTHING];
const CHILDREN: readonly Token[] = [SEGMENT];
const NOTHING: readonly Rule[] = [];
const EVERYTHING: readonly Rule[] = [{ prefix: '', rest: PREFIX }];

const USER = '{user}';
const PARTS = /(\*+|\{user\})/;

/** What a session may do. What no pattern grants is refused; the rules for reserved rooms (`@`) stand elsewhere. */
export class Grants {
  readonly #join: readonly Rule[];
  readonly #publish: readonly Rule[];
  readonly #presence: readonly Rule[];

  private constructor(join: readonly Rule[], publish: readonly Rule[], presence: readonly Rule[]) {
    this.#join = join;
    this.#publish = publish;
    this.#presence = presence;
  }

  /**
   * @param user what `{user}` stands for, letter by letter: a `*` in it would be no wildcard.
   * @throws GrantsError if a list is no array of strings or breaks {@link GRANT_BOUNDS}
   */
  static of(patterns: GrantPatterns, user: string): Grants {
    return new Grants(
      compileList('join', patterns.join, user),
      compileList('publish', patterns.publish, user),
      compileList('presence', patterns.presence, user),
    );
  }

  /**
   * Reads a token's claim: `{"join": […], "publish": […], "presence": […]}`. An absent claim or list grants
   * nothing; keys that aren't known are ignored, so that an issuer may be ahead of us.
   *
   * @throws GrantsError
   */
  static fromClaim(claim: unknown, user: string): Grants {
    if (claim === undefined) return new Grants(NOTHING, NOTHING, NOTHING);
    if (typeof claim !== 'object' || claim === null || Array.isArray(claim)) throw new GrantsError('is no object');
    const { join = [], publish = [], presence = [] } = claim as Partial<GrantPatterns>;
    return Grants.of({ join, publish, presence }, user);
  }

  allowsJoin(room: string): boolean {
    return allows(this.#join, room);
  }

  allowsPublish(room: string): boolean {
    return allows(this.#publish, room);
  }

  /** Of a room, or of a user by the name of their own room. */
  allowsPresence(room: string): boolean {
    return allows(this.#presence, room);
  }
}

function compileList(name: keyof GrantPatterns, patterns: unknown, user: string): readonly Rule[] {
  if (!Array.isArray(patterns)) throw new GrantsError(`"${name}" is no array`);
  if (patterns.length > GRANT_BOUNDS.patternsMax) {
    throw new GrantsError(`"${name}" holds more than ${GRANT_BOUNDS.patternsMax} patterns`);
  }
  const rules: Rule[] = [];
  for (const pattern of new Set<unknown>(patterns)) {
    if (!isPrintable(pattern, GRANT_BOUNDS.patternBytesMax)) {
      const bounds = `1 to ${GRANT_BOUNDS.patternBytesMax} printable ASCII bytes`;
      throw new GrantsError(`"${name}" holds a pattern that is not ${bounds}`);
    }
    rules.push(compile(pattern, user));
  }
  if (rules.some(({ prefix, rest }) => prefix === '' && rest === PREFIX)) return EVERYTHING;
  // Those that are longer than any room's name, as `{user}` may make them, are not worth their memory.
  const possible = rules.filter((rule) => literalBytes(rule) <= BOUNDS.roomBytesMax);
  return possible.length === 0 ? NOTHING : possible;
}

function compile(pattern: string, user: string): Rule {
  const tokens: Token[] = [];
  let literal = '';
  for (const part of pattern.split(PARTS)) {
    if (part.startsWith('*')) {
      tokens.push(literal, part.length === 1 ? SEGMENT : ANYTHING);
      literal = '';
    } else {
      // Filled in only here, where the pattern is taken apart already.
      literal += part === USER ? user : part;
    }
  }
  tokens.push(literal);
  const [prefix, ...others] = tokens;
  return { prefix: typeof prefix === 'string' ? prefix : '', rest: shared(others.filter((token) => token !== '')) };
}

function shared(rest: readonly Token[]): readonly Token[] {
  if (rest.length === 0) return EXACT;
  if (rest.length > 1) return rest;
  return rest[0] === ANYTHING ? PREFIX : CHILDREN;
}

function literalBytes({ prefix, rest }: Rule): number {
  return rest.reduce((bytes, token) => bytes + (typeof token === 'string' ? token.length : 0), prefix.length);
}

function allows(rules: readonly Rule[], room: string): boolean {
  for (const rule of rules) {
    if (matches(rule, room)) return true;
  }
  return false;
}

function matches({ prefix, rest }: Rule, room: string): boolean {
  if (!room.startsWith(prefix)) return false;
  if (rest === EXACT) return room.length === prefix.length;
  if (rest === PREFIX) return true;
  return matchesRest(rest, room, prefix.length);
}

/**
 * Follows all ways through the pattern at once, token by token: no more than (bytes of the room) × (bytes of the
 * pattern) steps, whatever the two are, where a backtracking match of `**a**a**a` would take exponentially many.
 */
function matchesRest(rest: readonly Token[], room: string, start: number): boolean {
  /** 1 where the tokens so far may have ended. */
  const ends = new Uint8Array(room.length + 1);
  ends[start] = 1;
  let first = start;
  for (const token of rest) {
    if (typeof token === 'string') first = step(ends, first, token, room);
    else spread(ends, first, token, room);
    if (first > room.length) return false;
  }
  return ends[room.length] === 1;
}

/** Moves the ends over a literal. Returns the first one, or more than the room's length if there is none. */
function step(ends: Uint8Array, first: number, literal: string, room: string): number {
  let newFirst = room.length + 1;
  // From behind, so that what is read has not been written yet.
  for (let end = room.length; end >= first; end--) {
    const before = end - literal.length;
    const isEnd = before >= first && ends[before] === 1 && room.startsWith(literal, before);
    ends[end] = isEnd ? 1 : 0;
    if (isEnd) newFirst = end;
  }
  return newFirst;
}

/** Lets each end move on as far as a wildcard may reach. */
function spread(ends: Uint8Array, first: number, wildcard: typeof SEGMENT | typeof ANYTHING, room: string): void {
  let isReached = false;
  for (let end = first; end <= room.length; end++) {
    isReached ||= ends[end] === 1;
    ends[end] = isReached ? 1 : 0;
    if (wildcard === SEGMENT && room[end] === '/') isReached = false;
  }
}
