import { DATA_BYTES, writeData, writeDigits } from '../publication-data.ts';
import { type Greeting, type Incoming, unexpected, type Wire } from './wire.ts';

/** Command ids of a session: 1 is connect, 2 is join, and publication n has n + this. */
const FIRST_PUBLISH_ID = 3;

/** The bytes between `mid` and `data`. */
const BEFORE_DATA = Buffer.from('","data":');

/** A mid has the shape and length of a UUID: the publisher in its first group, the sequence in its last. */
const MID = Buffer.from('00000000-0000-4000-8000-000000000000');
const MID_PUBLISHER_DIGITS = 8;
const MID_SEQUENCE_AT = 24;
const MID_SEQUENCE_DIGITS = 12;

/** tidegate's protocol, version 1, over either transport. */
export class TidegateWire implements Wire {
  readonly framing: 'lines' | 'websocket';
  readonly path = '/ws';
  readonly publishBytesMax = 320;

  constructor(framing: 'lines' | 'websocket') {
    this.framing = framing;
  }

  async greet(greeting: Greeting, sessionIndex: number, room: string): Promise<void> {
    greeting.send(`{"op":"connect","id":1,"user":"${userOf(sessionIndex)}"}`);
    let reply = await greeting.receive();
    // The words for a person that a TCP session gets if the server read nothing from it for a while.
    while (reply.startsWith('#')) reply = await greeting.receive();
    checkOk(reply, 1);
    greeting.send(`{"op":"join","id":2,"room":"${room}"}`);
    checkOk(await greeting.receive(), 2);
  }

  writePublish(target: Buffer, at: number, room: string, publisher: number, sequence: number, sentUs: number): number {
    const id = sequence + FIRST_PUBLISH_ID;
    let end = at + target.write(`{"op":"publish","id":${id},"room":"${room}","mid":"`, at, 'latin1');
    MID.copy(target, end);
    writeDigits(target, end, MID_PUBLISHER_DIGITS, publisher);
    writeDigits(target, end + MID_SEQUENCE_AT, MID_SEQUENCE_DIGITS, sequence);
    end += MID.length;
    end += BEFORE_DATA.copy(target, end);
    writeData(target, end, publisher, sequence, sentUs);
    end += DATA_BYTES;
    target[end] = 0x7d; // }
    return end + 1;
  }

  read(line: Buffer, room: string): Incoming {
    const message: unknown = JSON.parse(line.toString('latin1'));
    if (typeof message !== 'object' || message === null) throw unexpected(line);
    if ('push' in message) return readPush(message, room, line);
    if (!('id' in message) || !('ok' in message)) throw unexpected(line);
    const { id, ok } = message;
    const isAnswer = typeof id === 'number' && id >= FIRST_PUBLISH_ID && typeof ok === 'object' && ok !== null;
    // A duplicate would mean that the log had this mid before: the run sends each one once.
    if (!isAnswer || !('duplicate' in ok) || ok.duplicate !== false) throw unexpected(line);
    return { kind: 'answer', sequence: id - FIRST_PUBLISH_ID };
  }
}

function readPush(message: { push: unknown }, room: string, line: Buffer): Incoming {
  if (message.push === 'heartbeat') return { kind: 'heartbeat', text: '{"op":"pong"}' };
  if (message.push !== 'message') throw unexpected(line);
  if (!('epoch' in message && 'offset' in message && 'room' in message && 'mid' in message)) throw unexpected(line);
  const { epoch, offset } = message;
  if (typeof epoch !== 'string' || typeof offset !== 'number' || message.room !== room) throw unexpected(line);
  return { kind: 'publication', epoch, offset };
}

/** Every session is a user of its own. */
function userOf(sessionIndex: number): string {
  return `u${sessionIndex}`;
}

function checkOk(text: string, id: number): void {
  const reply: unknown = JSON.parse(text);
  const isOk = typeof reply === 'object' && reply !== null && 'id' in reply && reply.id === id && 'ok' in reply;
  if (!isOk) throw unexpected(text);
}
