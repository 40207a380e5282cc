import type { RoomPlace, Stretch } from '../fanout/shared-history.ts';
import type { Publication } from '../protocol/publication.ts';

/** A publication as a room's stream has it. */
interface Entry {
  readonly offset: number;
  /** Between that and this one the room has none. */
  readonly previous: number;
  readonly ts: number;
  readonly value: string;
}

/** What is known of a room and its partition: see history-write.lua. */
interface Known {
  /** What stands up to there in the partition was taken over. */
  readonly through: number;
  /** Behind this, up to `through`, the room has no publication. */
  readonly quietBehind: number;
}

/** What is made of an answer of history-forward.lua, wherever it was asked from. */
export function forwardStretch(place: RoomPlace, from: number, through: number, answer: unknown): Stretch {
  const known = knownOf(answer);
  const publications: Publication[] = [];
  if (known === null) return { from, through: from - 1, publications };
  let begin = from;
  /** Up to there everything is given that there is from `begin` on. */
  let reached = from - 1;
  for (const entry of entriesOf(answer)) {
    // Between the two something may be missing.
    if (entry.previous > reached) {
      if (publications.length > 0) return { from: begin, through: reached, publications };
      begin = entry.previous + 1;
    }
    if (entry.offset > through) return { from: begin, through, publications };
    publications.push(publicationOf(place, entry));
    reached = entry.offset;
  }
  if (publications.length === 0) begin = Math.max(from, known.quietBehind + 1);
  if (known.quietBehind <= Math.max(reached, begin - 1)) reached = Math.max(reached, Math.min(through, known.through));
  return { from: begin, through: reached, publications };
}

/** The same of history-backward.lua. */
export function backwardStretch(place: RoomPlace, through: number, answer: unknown): Stretch {
  const known = knownOf(answer);
  const publications: Publication[] = [];
  const nothing = { from: through + 1, through, publications };
  if (known === null) return nothing;
  const behind = textAt(answer, 5);
  if (behind === undefined && known.through < through) return nothing;
  /** Behind that everything is given. */
  let reached = behind === undefined ? known.quietBehind : Number(behind);
  if (reached > through) return nothing;
  for (const entry of entriesOf(answer)) {
    if (entry.offset !== reached) break;
    publications.push(publicationOf(place, entry));
    reached = entry.previous;
  }
  return { from: reached + 1, through, publications: publications.reverse() };
}

function knownOf(answer: unknown): Known | null {
  const [from, through, forgotten, last] = [0, 1, 2, 3].map((place) => textAt(answer, place));
  if (from === undefined || through === undefined) return null;
  const quietBehind = Math.max(Number(from) - 1, Number(last ?? forgotten ?? -1));
  return { through: Number(through), quietBehind };
}

function textAt(answer: unknown, place: number): string | undefined {
  const value: unknown = Array.isArray(answer) ? answer[place] : undefined;
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}

function entriesOf(answer: unknown): Entry[] {
  const entries = (answer as readonly unknown[])[4] as readonly [string, readonly string[]][];
  return entries.map(([id, [, previous, , ts, , value = '']]) => {
    return { offset: Number.parseInt(id, 10), previous: Number(previous), ts: Number(ts), value };
  });
}

function publicationOf({ room, partition, epoch }: RoomPlace, { offset, ts, value }: Entry): Publication {
  return { room, partition, epoch, offset, ts, value: Buffer.from(value) };
}
