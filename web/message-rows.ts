import { isBehind, type ReadMark } from './read-mark.ts';
import type { Entry, MessageEntry } from './timeline.ts';

/** One line of the message log. */
export type Row =
  | { readonly kind: 'day'; readonly key: string; readonly ts: number }
  | { readonly kind: 'new'; readonly key: string }
  | { readonly kind: 'gap'; readonly key: string }
  /** `follows`: said by the same one shortly after the message above it. */
  | { readonly kind: 'message'; readonly key: string; readonly entry: MessageEntry; readonly follows: boolean };

/** Messages of one user within this time stand together. */
const TOGETHER_MS = 5 * 60_000;

export function isFollowing(before: { from: string; ts: number }, { from, ts }: { from: string; ts: number }): boolean {
  return before.from === from && Math.abs(ts - before.ts) < TOGETHER_MS && dayOf(before.ts) === dayOf(ts);
}

/** The lines for these entries: days, gaps, and where unread ones begin behind `divider`. */
export function rowsOf(entries: readonly Entry[], divider: ReadMark | null, me: string): Row[] {
  const rows: Row[] = [];
  let day = '';
  let isDivided = divider === null;
  let before: MessageEntry | null = null;
  for (const entry of entries) {
    if (entry.kind === 'gap') {
      // Two pages may speak of the same one.
      if (rows.at(-1)?.kind !== 'gap') rows.push({ kind: 'gap', key: entry.key });
      before = null;
      continue;
    }
    const entryDay = dayOf(entry.ts);
    if (entryDay !== day) {
      day = entryDay;
      rows.push({ kind: 'day', key: `day ${day} ${entry.key}`, ts: entry.ts });
      before = null;
    }
    if (!isDivided && entry.from !== me && isBehind(divider, entry)) {
      isDivided = true;
      rows.push({ kind: 'new', key: 'new' });
      before = null;
    }
    const follows = before !== null && isFollowing(before, entry);
    rows.push({ kind: 'message', key: entry.key, entry, follows });
    before = entry;
  }
  return rows;
}

function dayOf(ts: number): string {
  return new Date(ts).toDateString();
}
