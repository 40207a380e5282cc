import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { type DedupeEntry, DedupeKey, DedupeTable } from './dedupe-table.ts';

/** What the decision needs to know of a record of the log. */
export interface DedupeRecord {
  /** See `dedupeId`. */
  readonly id: string;
  /** See `dataHash`. */
  readonly dataHash: number;
  /** Milliseconds since 1970, as the log stamped it; may step back between records. */
  readonly ts: number;
  /** The log's time after which the record is a zombie's late append and does not count; absent: never. */
  readonly deadline?: number | undefined;
  readonly offset: number;
}

export type Decision =
  | { readonly kind: 'deliver' }
  /** Appended after its deadline: as if it were not there. */
  | { readonly kind: 'late' }
  /** `firstHash` is of the first record with its id: another one than its own is a conflict. */
  | { readonly kind: 'duplicate'; readonly firstOffset: number; readonly firstHash: number };

const DELIVER: Decision = { kind: 'deliver' };
const LATE: Decision = { kind: 'late' };

/**
 * The one decision which records of a log count. A record is valid if its time is not past its deadline. It
 * is delivered if and only if it is valid and no earlier valid record with the same id, delivered or not, has a
 * time ≥ its own − `windowMs`.
 *
 * It depends on nothing but the log, so that every reader decides alike, wherever it started to read.
 *
 * @param known what is remembered of the earlier valid records with this id
 */
export function decide(record: DedupeRecord, known: DedupeEntry | undefined, windowMs: number): Decision {
  if (record.deadline !== undefined && record.ts > record.deadline) return LATE;
  // Whether *any* earlier one lies within the window is whether the newest of them does.
  if (known === undefined || known.newestTs < record.ts - windowMs) return DELIVER;
  return { kind: 'duplicate', firstOffset: known.firstOffset, firstHash: known.dataHash };
}

export interface DedupeWindowSettings {
  /** W: milliseconds for which a valid record makes later ones with its id duplicates. */
  readonly windowMs: number;
  /** Milliseconds by which the log's time may step back between records. */
  readonly slackMs: number;
}

/** Parts of a window's memory, each of which grows by itself, so that no growth takes long. */
const SHARDS = 256;
/** Parts of the window's span after which it is looked whether anything is too old. */
const EVICTIONS_PER_SPAN = 512;

/**
 * The memory of decisions: entries live `windowMs + slackMs` behind the newest time seen. A reader that begins in
 * the middle feeds it the records of that span before the first one that it serves.
 *
 * It has no bound of its own: see `size`.
 */
export class DedupeWindow {
  readonly #windowMs: number;
  readonly #spanMs: number;
  readonly #tables: (DedupeTable | undefined)[] = Array.from({ length: SHARDS }, () => undefined);
  readonly #key = new DedupeKey();
  #size = 0;
  #newestTs = Number.NEGATIVE_INFINITY;
  #evictAtTs = Number.NEGATIVE_INFINITY;

  constructor(settings: DedupeWindowSettings) {
    this.#windowMs = settings.windowMs;
    this.#spanMs = settings.windowMs + settings.slackMs;
  }

  /** Entries held; 44 to 88 bytes each. */
  get size(): number {
    return this.#size;
  }

  /** Decides on the next record and remembers it. */
  apply(record: DedupeRecord): Decision {
    const key = this.#key.set(record.id);
    const table = this.#tables[key.shard];
    const known = table?.find(key);
    const decision = decide(record, known, this.#windowMs);
    if (decision.kind !== 'late') this.#remember(key, record, decision.kind === 'deliver' ? undefined : known);
    this.advance(record.ts);
    return decision;
  }

  /** The entry that makes a record with this id and time a duplicate, if there is one. */
  find(id: string, ts: number): DedupeEntry | undefined {
    const key = this.#key.set(id);
    const known = this.#tables[key.shard]?.find(key);
    return known !== undefined && known.newestTs >= ts - this.#windowMs ? known : undefined;
  }

  /** Says that the log's time has come to `ts`, as another partition may show, and forgets what is too old. */
  advance(ts: number): void {
    if (ts > this.#newestTs) this.#newestTs = ts;
    if (this.#newestTs < this.#evictAtTs) return;
    this.#evictAtTs = this.#newestTs + Math.ceil(this.#spanMs / EVICTIONS_PER_SPAN);
    const oldest = this.#newestTs - this.#spanMs;
    for (const [shard, table] of this.#tables.entries()) {
      if (table === undefined) continue;
      this.#size -= table.size;
      table.evict(oldest);
      this.#size += table.size;
      if (table.size === 0) this.#tables[shard] = undefined;
    }
  }

  #remember(key: DedupeKey, record: DedupeRecord, known: DedupeEntry | undefined): void {
    let table = this.#tables[key.shard];
    if (table === undefined) {
      table = new DedupeTable();
      this.#tables[key.shard] = table;
    }
    const { offset, dataHash, ts } = record;
    const before = table.size;
    // Put anew, it stands at the end again, and the front is what was seen least recently.
    if (known === undefined) table.put(key, { firstOffset: offset, dataHash, newestTs: ts });
    else table.put(key, { ...known, newestTs: Math.max(known.newestTs, ts) });
    this.#size += table.size - before;
  }
}

/** What makes two publishes one: 16 bytes of a hash of user, room and mid, one character a byte. */
export function dedupeId(user: string, room: string, mid: string): string {
  return hash('sha256', `${user}\0${room}\0${mid}`, 'binary').slice(0, 16);
}

/**
 * Tells other data under the same mid, and a record that is not what was written: the CRC-32 of its value, as a
 * signed integer. In the values of one id user, room and mid are the same.
 */
export function dataHash(value: Uint8Array): number {
  return crc32(value) | 0;
}
