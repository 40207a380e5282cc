import type { Gap } from '../protocol/position.ts';
import type { Publication } from '../protocol/publication.ts';
import type { Reading } from './hub.ts';
import type { Page } from './room-log.ts';

/** A page of a room's past, led up to the present as far as it goes. */
export interface CaughtUp {
  /** Oldest first. */
  readonly publications: readonly Publication[];
  /** The offset up to which the page speaks; with `more: false` the room's end at this moment. */
  readonly offset: number;
  /** Newer ones follow behind `offset`. */
  readonly more: boolean;
  readonly gap?: Gap | undefined;
}

export interface PageBounds {
  /** Publications. */
  readonly limit: number;
  /** Bytes of values. */
  readonly bytesMax: number;
}

/**
 * Joins a page read behind `after` with what arrived while it was read. Whoever makes a subscription live with
 * the result's offset must do so in the same turn as this call, or something may arrive in between.
 */
export function continueToPresent(page: Page, after: number, reading: Reading, bounds: PageBounds): CaughtUp {
  const { gap } = page;
  const readThrough = page.publications.at(-1)?.offset ?? gap?.to.offset ?? after;
  if (page.more) return { publications: page.publications, offset: readThrough, more: true, gap };
  const arrived = reading.arrived();
  if (!arrived.complete) return { publications: page.publications, offset: reading.through, more: true, gap };

  const publications = [...page.publications];
  let bytes = publications.reduce((sum, { value }) => sum + value.length, 0);
  let offset = reading.through;
  for (const publication of arrived.publications) {
    bytes += publication.value.length;
    if (publications.length >= bounds.limit || bytes > bounds.bytesMax)
      return { publications, offset, more: true, gap };
    publications.push(publication);
    offset = publication.offset;
  }
  return { publications, offset: reading.end, more: false, gap };
}

/** Joins the newest page with what arrived while it was read, and keeps the newest within the bounds. */
export function newestToPresent(page: Page, reading: Reading, bounds: PageBounds): CaughtUp {
  const arrived = reading.arrived();
  const all = arrived.complete ? [...page.publications, ...arrived.publications] : arrived.publications;
  let from = all.length;
  let bytes = 0;
  while (from > 0 && all.length - from < bounds.limit) {
    bytes += all[from - 1]?.value.length ?? 0;
    if (bytes > bounds.bytesMax) break;
    from -= 1;
  }
  const publications = all.slice(from);
  // What lies before the oldest one that is kept was not asked for.
  const isTold = from === 0 || (page.gap !== undefined && page.gap.to.offset > (publications[0]?.offset ?? 0));
  const gap = arrived.complete && isTold ? page.gap : undefined;
  return { publications, offset: reading.end, more: false, gap };
}
