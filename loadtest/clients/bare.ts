import { DATA_BYTES, writeData } from '../publication-data.ts';
import { type Greeting, type Incoming, unexpected, type Wire } from './wire.ts';

/** What the server answers to a join and to each publication, in the order they came. */
const ANSWER = '+';
const ANSWER_BYTE = 0x2b;

/** The smallest protocol that does the job: the first message names the room, each further one is its data. */
export class BareWire implements Wire {
  readonly framing = 'websocket';
  readonly onePublicationAFrame = true;
  readonly path = '/';
  readonly publishBytesMax = DATA_BYTES;

  async greet(greeting: Greeting, _sessionIndex: number, [room = '']: readonly string[]): Promise<void> {
    greeting.send(room);
    const answer = await greeting.receive();
    if (answer !== ANSWER) throw unexpected(answer);
  }

  writePublish(target: Buffer, at: number, _room: string, publisher: number, sequence: number, sentUs: number): number {
    writeData(target, at, publisher, sequence, sentUs);
    return at + DATA_BYTES;
  }

  read(line: Buffer): Incoming {
    if (line.length === DATA_BYTES) return PUBLICATION;
    if (line.length !== 1 || line[0] !== ANSWER_BYTE) throw unexpected(line);
    return ANSWERED;
  }
}

const PUBLICATION: Incoming = { kind: 'publication' };
const ANSWERED: Incoming = { kind: 'answer' };
