import { DATA_BYTES, writeData } from '../publication-data.ts';
import { type Greeting, type Incoming, unexpected, type Wire } from './wire.ts';

/** What the server answers to a join and to each publication, in the order they came. */
const ANSWER = '+';

/** The smallest protocol that does the job: the first message names the room, each further one is its data. */
export class BareWsWire implements Wire {
  readonly framing = 'websocket';
  readonly path = '/';
  readonly publishBytesMax = DATA_BYTES;

  async greet(greeting: Greeting, _sessionIndex: number, room: string): Promise<void> {
    greeting.send(room);
    const answer = await greeting.receive();
    if (answer !== ANSWER) throw unexpected(answer);
  }

  writePublish(target: Buffer, at: number, _room: string, publisher: number, sequence: number, sentUs: number): number {
    writeData(target, at, publisher, sequence, sentUs);
    return at + DATA_BYTES;
  }

  read(line: Buffer): Incoming {
    if (line.length === DATA_BYTES) return { kind: 'publication' };
    if (line.toString('latin1') !== ANSWER) throw unexpected(line);
    return { kind: 'answer' };
  }
}
