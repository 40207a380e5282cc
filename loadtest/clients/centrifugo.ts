import { DATA_BYTES, writeData } from '../publication-data.ts';
import { type Greeting, type Incoming, unexpected, type Wire } from './wire.ts';

/*
 * Centrifugo's JSON protocol: a text message holds one object or several, a line each. `{}` is a ping, answered by
 * the same.
 */

/** Command ids of a session: 1 is connect, 2 is subscribe, and publication n has n + this. */
const FIRST_PUBLISH_ID = 3;
const PING = '{}';

interface Reply {
  readonly id?: number;
  readonly error?: unknown;
  readonly connect?: unknown;
  readonly subscribe?: unknown;
  readonly publish?: unknown;
  readonly push?: { readonly channel?: string; readonly pub?: { readonly data?: unknown } };
}

export class CentrifugoWire implements Wire {
  readonly framing = 'websocket';
  readonly onePublicationAFrame = false;
  readonly path = '/connection/websocket';
  readonly publishBytesMax = 256;

  async greet(greeting: Greeting, _sessionIndex: number, [room = '']: readonly string[]): Promise<void> {
    greeting.send('{"id":1,"connect":{}}');
    if ((await receiveReply(greeting, 1)).connect === undefined) throw new Error('no answer to connect');
    greeting.send(`{"id":2,"subscribe":{"channel":"${room}"}}`);
    if ((await receiveReply(greeting, 2)).subscribe === undefined) throw new Error('no answer to subscribe');
  }

  writePublish(target: Buffer, at: number, room: string, publisher: number, sequence: number, sentUs: number): number {
    const id = sequence + FIRST_PUBLISH_ID;
    const end = at + target.write(`{"id":${id},"publish":{"channel":"${room}","data":`, at, 'latin1');
    writeData(target, end, publisher, sequence, sentUs);
    return end + DATA_BYTES + target.write('}}', end + DATA_BYTES, 'latin1');
  }

  read(line: Buffer, room: string): Incoming {
    const text = line.toString('latin1');
    if (text === PING) return { kind: 'heartbeat', text: PING };
    const { id, error, publish, push } = JSON.parse(text) as Reply;
    if (error !== undefined) throw unexpected(line);
    if (push?.channel === room && push.pub?.data !== undefined) return { kind: 'publication' };
    if (id === undefined || id < FIRST_PUBLISH_ID || publish === undefined) throw unexpected(line);
    return { kind: 'answer', sequence: id - FIRST_PUBLISH_ID };
  }
}

async function receiveReply(greeting: Greeting, id: number): Promise<Reply> {
  const text = await greeting.receive();
  const reply = JSON.parse(text) as Reply;
  if (reply.id !== id || reply.error !== undefined) throw unexpected(text);
  return reply;
}
