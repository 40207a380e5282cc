import type { Dialect } from '../../../src/protocol/dialect.ts';
import type { Publication } from '../../../src/protocol/publication.ts';
import type { PlayedLog } from './played-log.ts';
import { SlowTransport } from './slow-socket.ts';

/** A room as a client sees it. */
interface Joined {
  state: 'joining' | 'catching-up' | 'live' | 'leaving';
  /** The offset up to which it was given the room; null: its first message says. */
  through: number | null;
}

interface Said {
  readonly id?: number | null;
  readonly push?: string;
  readonly room?: string;
  readonly reason?: string;
  readonly ok?: {
    readonly room?: string;
    readonly position?: { readonly offset: number };
    readonly messages?: readonly object[];
    readonly more?: boolean;
  };
}

/**
 * A client that believes nothing: it takes its stream of bytes apart, and fails at the first one that is not due: of
 * a room that it is not in, out of order, twice, behind a gap, or other than it was published.
 */
export class StrictClient {
  readonly transport: SlowTransport;
  readonly rooms = new Map<string, Joined>();
  /** Why the session has ended. */
  ended: string | null = null;
  heard = 0;
  readonly #dialect: Dialect;
  readonly #log: PlayedLog;
  readonly #asked = new Map<number, { readonly op: string; readonly room: string; readonly since: number | null }>();
  #bytes = Buffer.alloc(0);
  #nextId = 0;

  constructor(dialect: Dialect, log: PlayedLog) {
    this.#dialect = dialect;
    this.#log = log;
    this.transport = new SlowTransport((bytes) => this.#receive(bytes));
  }

  get isPerson(): boolean {
    return this.#dialect.framing.name === 'text';
  }

  connect(user: string): void {
    if (this.isPerson) this.transport.send(`/connect ${user}`);
    else this.#ask('connect', '', { user });
  }

  /** `since` behind so many of the room's publications, or its newest `history`, or from now on. */
  join(room: string, how: { since: number } | { history: number } | null): void {
    if (this.rooms.has(room)) return;
    // A person hears of the current room only that it was left.
    if (this.isPerson && this.rooms.size > 0) return;
    this.rooms.set(room, { state: 'joining', through: null });
    if (this.isPerson) this.transport.send(`/join ${room}`);
    else if (how === null || 'history' in how) this.#ask('join', room, how ?? {});
    else {
      const offset = this.#log.publications(room)[how.since]?.offset ?? -1;
      this.#ask('join', room, { since: { epoch: this.#log.epoch, offset } }, offset);
    }
  }

  leave(room: string): void {
    const joined = this.rooms.get(room);
    if (joined?.state !== 'live') return;
    joined.state = 'leaving';
    if (this.isPerson) this.transport.send('/leave');
    else this.#ask('leave', room, {});
  }

  publish(room: string, data: string): void {
    if (this.isPerson) return;
    this.#nextId += 1;
    this.transport.send(
      `{"op":"publish","id":${this.#nextId},"room":"${room}","mid":"m${this.#nextId}","data":${data}}`,
    );
  }

  /** Asks for the next page where one is to be had. Returns whether it did. */
  goOn(): boolean {
    const waiting = [...this.rooms].filter(([, { state }]) => state === 'catching-up');
    for (const [room, joined] of waiting) {
      joined.state = 'joining';
      const after = { epoch: this.#log.epoch, offset: joined.through };
      this.#ask('history', room, { after, limit: 300 }, joined.through);
    }
    return waiting.length > 0;
  }

  /** What is still due, once everything has come to rest. */
  missing(): readonly string[] {
    return [...this.rooms].flatMap(([room, { state, through }]) =>
      this.#behind(room, through).map(({ offset }) => `${offset} in ${room}, ${state} from ${through} on`),
    );
  }

  #ask(op: string, room: string, fields: object, since: number | null = null): void {
    this.#nextId += 1;
    this.#asked.set(this.#nextId, { op, room, since });
    this.transport.send(JSON.stringify({ op, id: this.#nextId, ...(room !== '' && { room }), ...fields }));
  }

  #receive(bytes: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    for (let lines = this.#takeLines(); lines !== null; lines = this.#takeLines()) {
      for (const line of lines) {
        if (this.ended !== null) throw new Error(`behind the end: ${line}`);
        if (this.isPerson) this.#hearWords(line);
        else this.#hear(line);
      }
    }
  }

  /** The lines of the next frame, or null while it is not complete. */
  #takeLines(): string[] | null {
    const isWebSocket = this.#dialect.framing.name === 'websocket';
    const end = isWebSocket ? endOfFrame(this.#bytes) : this.#bytes.indexOf('\n') + 1;
    if (end === 0 || end > this.#bytes.length) return null;
    const header = isWebSocket ? headerBytes(this.#bytes) : 0;
    const text = this.#bytes.toString('utf8', header, isWebSocket ? end : end - 1);
    this.#bytes = this.#bytes.subarray(end);
    return text.split('\n');
  }

  #hear(line: string): void {
    const said = JSON.parse(line) as Said;
    if (said.push === 'message') this.#hearMessage(said.room ?? '', line);
    else if (said.push === 'disconnect') this.ended = said.reason ?? '';
    else if (said.push !== undefined) throw new Error(`not asked for: ${line}`);
    else if (said.ok === undefined) throw new Error(`refused: ${line}`);
    else this.#hearReply(said.id ?? -1, said.ok, line);
  }

  #hearReply(id: number, ok: NonNullable<Said['ok']>, line: string): void {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    if (asked === undefined || asked.op === 'connect') return;
    const joined = this.rooms.get(asked.room);
    if (joined === undefined || ok.room !== asked.room) throw new Error(`of no room of ours: ${line}`);
    if (asked.op === 'leave') {
      this.rooms.delete(asked.room);
      return;
    }
    const through = ok.position?.offset ?? -1;
    const [first] = ok.messages as { offset: number }[];
    const since = asked.since ?? (first === undefined ? through : first.offset - 1);
    const due = this.#behind(asked.room, since).filter(({ offset }) => offset <= through);
    const page = `"messages":[${due.map((publication) => written(publication, '{'))}]`;
    if (!line.includes(page)) throw new Error(`a page other than ${page}: ${line}`);
    joined.through = through;
    joined.state = ok.more ? 'catching-up' : 'live';
  }

  #hearMessage(room: string, line: string): void {
    const [due] = this.#due(room, line);
    if (due === undefined || line !== written(due, '{"push":"message",')) {
      throw new Error(`not what was due, ${due?.offset} in ${room}: ${line}`);
    }
    this.#given(room, due);
  }

  #hearWords(line: string): void {
    const joined = /^# joined \[(.*?)\]/.exec(line)?.[1];
    if (joined !== undefined) this.rooms.set(joined, { state: 'live', through: null });
    const left = /^# left \[(.*?)\]/.exec(line)?.[1];
    if (left !== undefined) this.rooms.delete(left);
    if (line.startsWith('! disconnected')) this.ended = line;
    const [, room, text] = /^\[(.*?)\] \S+: (.*)$/.exec(line) ?? [];
    if (room === undefined) return;
    const { through } = this.rooms.get(room) ?? {};
    const due = this.#due(room, line).find((one) => through !== null || textOf(one) === text);
    if (due === undefined || textOf(due) !== text) throw new Error(`not what was due in ${room}: ${line}`);
    this.#given(room, due);
  }

  #due(room: string, line: string): readonly Publication[] {
    const joined = this.rooms.get(room);
    const isHeard = joined?.state === 'live' || joined?.state === 'leaving';
    if (joined === undefined || !isHeard) throw new Error(`of no room of ours: ${line}`);
    return this.#behind(room, joined.through);
  }

  #given(room: string, { offset }: Publication): void {
    const joined = this.rooms.get(room);
    if (joined !== undefined) joined.through = offset;
    this.heard += 1;
  }

  #behind(room: string, through: number | null): readonly Publication[] {
    return this.#log.publications(room).filter(({ offset }) => offset > (through ?? -1));
  }
}

/** What a reader is to get of a publication, byte for byte. */
function written({ epoch, offset, ts, value }: Publication, start: string): string {
  return `${start}"epoch":"${epoch}","offset":${offset},"ts":${ts},${value.toString().slice(1)}`;
}

function textOf({ value }: Publication): string {
  return JSON.stringify((JSON.parse(value.toString()) as { data: unknown }).data);
}

function headerBytes(bytes: Buffer): number {
  const length = bytes[1] ?? 0;
  return length < 126 ? 2 : length === 126 ? 4 : 10;
}

/** 0: not known yet. */
function endOfFrame(bytes: Buffer): number {
  if (bytes.length < 2) return 0;
  if (bytes[0] !== 0x81) throw new Error('not one final text frame');
  const header = headerBytes(bytes);
  if (bytes.length < header) return 0;
  if (header === 2) return 2 + (bytes[1] ?? 0);
  return header + (header === 4 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2)));
}
