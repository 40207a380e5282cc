import { closeSync, openSync, readSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import { sizeOf } from '../services/daemon.ts';
import type { LineReader, LogEvent } from './log-events.ts';

/** Over so long, events that say the same are told as one. */
const POLL_MS = 200;

/** What was logged, by whom. */
export interface Logged {
  readonly source: string;
  readonly event: LogEvent;
  /** Others of the same source and kind at about the same time, which are not told one by one. */
  readonly alike: number;
}

interface Followed {
  readonly source: string;
  readonly file: string;
  readonly read: LineReader;
  readonly decoder: StringDecoder;
  offset: number;
  rest: string;
}

/**
 * Tells of the events in files as they grow, in the order of their times. Programs log into files, and not to whoever has
 * started them, so that they can go on and say something yet when that one has gone.
 */
export class LogFollower {
  readonly #all: Followed[] = [];
  readonly #onLogged: (logged: Logged) => void;
  readonly #timer: NodeJS.Timeout;

  constructor(onLogged: (logged: Logged) => void) {
    this.#onLogged = onLogged;
    this.#timer = setInterval(() => this.tell(), POLL_MS).unref();
  }

  /** From where it ends now. It need not be there yet. */
  follow(source: string, file: string, read: LineReader): void {
    this.#all.push({ source, file, read, decoder: new StringDecoder('utf8'), offset: sizeOf(file), rest: '' });
  }

  /** Tells what is there yet, and then nothing more. */
  close(): void {
    clearInterval(this.#timer);
    this.tell();
    this.#all.length = 0;
  }

  /** Tells now what is there. */
  tell(): void {
    for (const logged of this.#all.flatMap(takeEvents).sort((a, b) => a.event.atMs - b.event.atMs)) {
      this.#onLogged(logged);
    }
  }
}

function takeEvents(followed: Followed): Logged[] {
  const { source, read } = followed;
  const events = takeLines(followed)
    .map(read)
    .filter((event) => event !== null);
  const kinds = Map.groupBy(events, ({ level, kind }) => `${level} ${kind}`);
  return [...kinds.values()].map((all) => ({ source, event: all[0] as LogEvent, alike: all.length - 1 }));
}

function takeLines(followed: Followed): string[] {
  const { file, offset, decoder } = followed;
  const bytes = Buffer.alloc(Math.max(0, sizeOf(file) - offset));
  if (bytes.length === 0) return [];
  const descriptor = openSync(file, 'r');
  try {
    followed.offset += readSync(descriptor, bytes, 0, bytes.length, offset);
  } finally {
    closeSync(descriptor);
  }
  const lines = `${followed.rest}${decoder.write(bytes.subarray(0, followed.offset - offset))}`.split('\n');
  followed.rest = lines.pop() ?? '';
  return lines;
}
