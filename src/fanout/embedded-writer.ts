/** The thread that changes the log: opens it, commits batches, lets retention pass between them. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import { DataDirectoryError, dataFiles, prepareDataDirectory, syncDirectory } from './data-directory.ts';
import { DirectoryLock } from './directory-lock.ts';
import type { BlockHead, Commit, FromWriter, ToWriter, WriterData } from './embedded-messages.ts';
import { Retention } from './embedded-retention.ts';
import { type Scanned, scanLog } from './embedded-scan.ts';
import {
  checkSound,
  createSchema,
  isBlank,
  numberOf,
  openDatabase,
  prepareToWrite,
  readMeta,
  readNames,
  rollBack,
  writeMeta,
} from './embedded-schema.ts';
import { EndsWitness } from './ends-witness.ts';
import type { RecordBlock } from './record-block.ts';
import { describeError, SQLITE, sqliteCode } from './sqlite-error.ts';

const HEADS_PER_MESSAGE = 1_000;

class Writer {
  readonly #lock: DirectoryLock;
  readonly #database: DatabaseSync;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #insertBlock: StatementSync;
  readonly #insertPostings: StatementSync;
  readonly #retention: Retention;
  /** Absent where nothing is synced: it would claim what a power cut takes. */
  readonly #witness: EndsWitness | undefined;
  #retaining = false;

  constructor(data: WriterData, lock: DirectoryLock) {
    const { directory, partitions } = data;
    this.#lock = lock;
    const path = dataFiles(directory).log;
    this.#database = openDatabase(path, { readOnly: false });
    try {
      const blank = isBlank(this.#database);
      if (!blank) checkSound(this.#database, path);
      prepareToWrite(this.#database, data.synced);
      if (blank) createSchema(this.#database, partitions);
      const names = readNames(this.#database, path, partitions);
      syncDirectory(directory);
      let clock = numberOf({ clock: readMeta(this.#database, 'clock') ?? 0 }, 'clock');
      const { ends, lastBlock } = this.#scan(data, path, (ts) => {
        clock = Math.max(clock, ts);
      });
      const { witness } = dataFiles(directory);
      checkEnds(path, ends, EndsWitness.read(witness));
      if (data.synced) this.#witness = new EndsWitness(witness, ends);
      this.#begin = this.#database.prepare('BEGIN IMMEDIATE');
      this.#commit = this.#database.prepare('COMMIT');
      this.#insertBlock = this.#database.prepare('INSERT INTO blocks (number, block) VALUES (?, ?)');
      this.#insertPostings = this.#database.prepare('INSERT INTO room_index (room, last, postings) VALUES (?, ?, ?)');
      this.#retention = new Retention(this.#database, data);
      post({ kind: 'opened', ...names, lastBlock, ends, clock });
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  commit(batch: Commit): void {
    let committing = false;
    try {
      this.#begin.run();
      this.#write(batch);
      committing = true;
      this.#commit.run();
    } catch (error) {
      // Throws if the connection stays in the transaction, and the thread ends: nothing could be told any more.
      rollBack(this.#database);
      const code = sqliteCode(error);
      // A block's number was given twice: what the log says of its end is not what is in it.
      if (code === SQLITE.constraint) throw error;
      // Before COMMIT no frame that counts was written. SQLITE_FULL at COMMIT means that its last frame, the one
      // that makes the others count, could not be written. Any other failure, as of the fsync, leaves it open
      // what a crash would bring back.
      //
      // The database is *not* opened anew after a failed fsync: the kernel marks the pages that it could not
      // write as clean, so that a new connection would read, and trust, frames that the disk doesn't have. This
      // one counts them as never written: its next transaction overwrites them and syncs them again.
      const unknown = committing && code !== SQLITE.full;
      if (code === SQLITE.full) this.#makeRoom();
      post({ kind: 'commitFailed', outcome: unknown ? 'unknown' : 'refused', message: inWords(error) });
      return;
    }
    // Only now: what a failed batch would have ended with must not be claimed.
    this.#witness?.write(batch.ends);
    post({ kind: 'committed' });
  }

  /** Begins a pass; between its steps, batches that came meanwhile are committed. */
  retain(now: number): void {
    if (this.#retaining) return;
    this.#retaining = true;
    let recordsDeleted = 0;
    let roomsForgotten = 0;
    const finish = (failure?: string) => {
      this.#retaining = false;
      post({ kind: 'retained', recordsDeleted, roomsForgotten, failure });
    };
    const step = () => {
      if (!this.#retaining) return;
      try {
        const done = this.#retention.step(now);
        if (done === undefined) return finish();
        recordsDeleted += done.recordsDeleted;
        roomsForgotten += done.roomsForgotten;
      } catch (error) {
        return finish(inWords(error));
      }
      setImmediate(step);
    };
    step();
  }

  close(): void {
    this.#retaining = false;
    this.#witness?.close();
    this.#database.close();
    this.#lock.release();
  }

  /** Moves the write-ahead log's pages into the file, where retention may have left room, and reuses its own. */
  #makeRoom(): void {
    try {
      this.#database.exec('PRAGMA wal_checkpoint(PASSIVE)');
    } catch {
      // The file has no room either. What was committed stays in the write-ahead log, and nothing is lost.
    }
  }

  /** Reads where each partition ends, and sends what the dedupe window and the index of rooms need of it. */
  #scan(data: WriterData, path: string, onTs: (ts: number) => void): Scanned {
    let blocks: BlockHead[] = [];
    const flush = () => {
      if (blocks.length > 0) post({ kind: 'window', blocks });
      blocks = [];
    };
    const onBlock = (block: RecordBlock, unindexed: readonly number[]) => {
      onTs(block.ts);
      blocks.push({ number: block.number, head: block.head(), unindexed });
      if (blocks.length === HEADS_PER_MESSAGE) flush();
    };
    const reason = 'without it retries could be delivered twice';
    const { partitions, windowSpanMs: neededMs } = data;
    const scanned = scanLog(this.#database, path, { partitions, neededMs, reason, onBlock });
    flush();
    return scanned;
  }

  #write({ first, blocks, lengths, index }: Commit): void {
    if (lengths.length === 0) writeMeta(this.#database, 'probe', Date.now());
    let at = 0;
    for (const [place, length] of lengths.entries()) {
      this.#insertBlock.run(first + place, new Uint8Array(blocks, at, length));
      at += length;
    }
    if (index === undefined) return;
    for (const { room, last, postings } of index.rows) this.#insertPostings.run(room, last, postings);
    writeMeta(this.#database, 'indexed_block', index.indexedThrough);
  }
}

/** Refuses a log that ends before what was once committed to it. */
function checkEnds(path: string, ends: readonly number[], witnessed: readonly number[] | undefined): void {
  for (const [partition, end] of ends.entries()) {
    const was = witnessed?.[partition] ?? -1;
    if (end >= was) continue;
    throw new DataDirectoryError(
      `${path} is damaged: partition ${partition} ends at offset ${end}, but offset ${was} was written; its write-ahead log is damaged or gone; restore it from a backup`,
    );
  }
}

function inWords(error: unknown): string {
  const code = sqliteCode(error);
  if (code === SQLITE.full) return describeError(error);
  if (code === SQLITE.corrupt) return `the log's file is damaged: ${describeError(error)}`;
  if (code === SQLITE.busy) return `another program holds the log's file: ${describeError(error)}`;
  return `the disk refuses: ${describeError(error)}`;
}

function post(message: FromWriter, transfer: ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, transfer);
}

function open(): Writer | undefined {
  const data = workerData as WriterData;
  let lock: DirectoryLock | undefined;
  try {
    prepareDataDirectory(data.directory);
    lock = new DirectoryLock(data.directory);
    // Looked at once more now that nobody else can fill it.
    prepareDataDirectory(data.directory);
    return new Writer(data, lock);
  } catch (error) {
    lock?.release();
    const words = error instanceof DataDirectoryError ? error.message : describeError(error);
    post({ kind: 'refused', message: words });
    return undefined;
  }
}

const writer = open();
if (writer !== undefined) {
  parentPort?.on('message', (message: ToWriter) => {
    if (message.kind === 'commit') return writer.commit(message);
    if (message.kind === 'retain') return writer.retain(message.now);
    writer.close();
    parentPort?.close();
  });
}
