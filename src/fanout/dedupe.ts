import { hash } from 'node:crypto';

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

/** What is remembered of the valid records with one id. */
export interface DedupeEntry {
  /** Offset of the first one that was delivered. */
  readonly firstOffset: number;
  /** Of that first one. */
  readonly dataHash: number;
  /** The greatest time of any of them, delivered or not. */
  readonly newestTs: number;
}

export type Decision =
  | { readonly kind: 'deliver' }
  /** Appended after its deadline: as if it were not there. */
  | { readonly kind: 'late' }
  /** `conflict`: its data differ from those of the first record with its id. */
  | { readonly kind: 'duplicate'; readonly firstOffset: number; readonly conflict: boolean };

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
  return { kind: 'duplicate', firstOffset: known.firstOffset, conflict: known.dataHash !== record.dataHash };
}

export interface DedupeWindowSettings {
  /** W: milliseconds for which a valid record makes later ones with its id duplicates. */
  readonly windowMs: number;
  /** Milliseconds by which the log's time may step back between records. */
  readonly slackMs: number;
}

/**
 * The memory of one partition's decisions: entries live `windowMs + slackMs` behind the newest time seen. A
 * reader that begins in the middle feeds it the records of that span before the first one that it serves.
 *
 * It has no bound of its own, since the bound is one for all partitions: see `size`.
 */
export class DedupeWindow {
  readonly #windowMs: number;
  readonly #spanMs: number;
  readonly #entries = new Map<string, DedupeEntry>();
  #newestTs = Number.NEGATIVE_INFINITY;
  #evictAtTs = Number.NEGATIVE_INFINITY;

  constructor(settings: DedupeWindowSettings) {
    this.#windowMs = settings.windowMs;
    this.#spanMs = settings.windowMs + settings.slackMs;
  }

  /** Entries held; about 175 bytes each. */
  get size(): number {
    return this.#entries.size;
  }

  /** Decides on the next record of the partition and remembers it. */
  apply(record: DedupeRecord): Decision {
    const known = this.#entries.get(record.id);
    const decision = decide(record, known, this.#windowMs);
    if (decision.kind !== 'late') this.#remember(record, known, decision);
    this.advance(record.ts);
    return decision;
  }

  /** The entry that makes a record with this id and time a duplicate, if there is one. */
  find(id: string, ts: number): DedupeEntry | undefined {
    const known = this.#entries.get(id);
    return known !== undefined && known.newestTs >= ts - this.#windowMs ? known : undefined;
  }

  /** Says that the log's time has come to `ts`, as another partition may show, and forgets what is too old. */
  advance(ts: number): void {
    if (ts > this.#newestTs) this.#newestTs = ts;
    // Not at every record: a Map's iterator walks over all the holes that deletions at its front have left.
    if (this.#newestTs < this.#evictAtTs) return;
    this.#evictAtTs = this.#newestTs + Math.ceil(this.#spanMs / 64);
    const oldest = this.#newestTs - this.#spanMs;
    for (const [id, entry] of this.#entries) {
      if (entry.newestTs >= oldest) break;
      this.#entries.delete(id);
    }
  }

  #remember(record: DedupeRecord, known: DedupeEntry | undefined, decision: Decision): void {
    // Taken out first, so that it stands at the end again and the front is what was seen least recently.
    if (known !== undefined) this.#entries.delete(record.id);
    if (known === undefined || decision.kind === 'deliver') {
      this.#entries.set(record.id, { firstOffset: record.offset, dataHash: record.dataHash, newestTs: record.ts });
    } else {
      const newestTs = Math.max(known.newestTs, record.ts);
      this.#entries.set(record.id, { firstOffset: known.firstOffset, dataHash: known.dataHash, newestTs });
    }
  }
}

/** What makes two publishes one: 16 bytes of a hash of user, room and mid, one character a byte. */
export function dedupeId(user: string, room: string, mid: string): string {
  return hash('sha256', `${user}\0${room}\0${mid}`, 'binary').slice(0, 16);
}

/** Tells other data under the same mid: 32 bits of a hash of the bytes of `data`, as a signed integer. */
export function dataHash(data: string): number {
  const digest = hash('sha256', data, 'binary');
  return (
    (digest.charCodeAt(0) << 24) | (digest.charCodeAt(1) << 16) | (digest.charCodeAt(2) << 8) | digest.charCodeAt(3)
  );
}
