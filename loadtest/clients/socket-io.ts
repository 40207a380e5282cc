import { DATA_BYTES, writeData } from '../publication-data.ts';
import { type Greeting, type Incoming, unexpected, type Wire } from './wire.ts';

/*
 * Engine.IO 4 over WebSocket alone, with Socket.IO 5 in it. A message is one packet: the engine's type (0 open,
 * 2 ping, 3 pong, 4 message), in a message the socket's type (0 connect, 2 event, 3 ack), then an id if an
 * answer is wanted, then JSON.
 */

/** Ack ids of a session: 0 is join, and publication n has n + this. */
const FIRST_PUBLISH_ID = 1;

const EVENT_START = '42["message",';
const ACK_START = '43';
const PING = '2';
const PONG = '3';

export class SocketIoWire implements Wire {
  readonly framing = 'websocket';
  readonly onePublicationAFrame = true;
  readonly path = '/socket.io/?EIO=4&transport=websocket';
  readonly publishBytesMax = 192;

  async greet(greeting: Greeting, _sessionIndex: number, [room = '']: readonly string[]): Promise<void> {
    await receiveStart(greeting, '0{');
    greeting.send('40');
    await receiveStart(greeting, '40{');
    greeting.send(`420["join","${room}"]`);
    await receiveStart(greeting, '430[');
  }

  writePublish(target: Buffer, at: number, _room: string, publisher: number, sequence: number, sentUs: number): number {
    const end = at + target.write(`42${sequence + FIRST_PUBLISH_ID}["message",`, at, 'latin1');
    writeData(target, end, publisher, sequence, sentUs);
    target[end + DATA_BYTES] = 0x5d; // ]
    return end + DATA_BYTES + 1;
  }

  read(line: Buffer): Incoming {
    const text = line.toString('latin1');
    if (text.startsWith(EVENT_START)) {
      if (text.length !== EVENT_START.length + DATA_BYTES + 1) throw unexpected(line);
      return { kind: 'publication' };
    }
    if (text === PING) return { kind: 'heartbeat', text: PONG };
    const id = text.startsWith(ACK_START) && text.endsWith('[]') ? Number(text.slice(ACK_START.length, -2)) : -1;
    if (!Number.isInteger(id) || id < FIRST_PUBLISH_ID) throw unexpected(line);
    return { kind: 'answer', sequence: id - FIRST_PUBLISH_ID };
  }
}

async function receiveStart(greeting: Greeting, start: string): Promise<void> {
  const text = await greeting.receive();
  if (!text.startsWith(start)) throw unexpected(text);
}
