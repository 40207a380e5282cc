import type { Subscriber } from '../../../src/fanout/subscription.ts';
import type { Framing } from '../../../src/protocol/dialect.ts';
import type { Gap, Position } from '../../../src/protocol/position.ts';

export interface Heard {
  readonly room: string;
  readonly offset: number;
}

/** Reads what it is pushed as a client would. */
export class FakeSubscriber implements Subscriber {
  readonly framing: Framing;
  readonly chunks: Buffer[] = [];
  readonly resyncs: { readonly room: string; readonly position: Position; readonly gap: Gap | undefined }[] = [];
  waitingBytes = 0;
  readonly #onHeard: (heard: Heard) => void;

  constructor(framing: Framing, onHeard: (heard: Heard) => void = () => {}) {
    this.framing = framing;
    this.#onHeard = onHeard;
  }

  get heard(): Heard[] {
    return this.chunks.flatMap((chunk) => this.#decode(chunk));
  }

  push(chunk: Buffer): void {
    this.chunks.push(chunk);
    for (const heard of this.#decode(chunk)) this.#onHeard(heard);
  }

  resync(room: string, position: Position, gap: Gap | undefined): void {
    this.resyncs.push({ room, position, gap });
  }

  #decode(chunk: Buffer): Heard[] {
    const lines = payloadOf(this.framing, chunk).toString().split('\n');
    if (this.framing.name !== 'websocket' && lines.pop() !== '') throw new Error('a line without its end');
    if (this.framing.name === 'text') return lines.map(heardInText);
    return lines.map((line) => {
      const { push, room, offset } = JSON.parse(line) as Heard & { push: string };
      if (push !== 'message') throw new Error(`not a message: ${line}`);
      return { room, offset };
    });
  }
}

/** In text mode tests say the offset themselves. */
function heardInText(line: string): Heard {
  const [, room = '', offset = ''] = /^\[(.*)\] ann: (\d+)/.exec(line) ?? [];
  return { room, offset: Number(offset) };
}

function payloadOf(framing: Framing, chunk: Buffer): Buffer {
  if (framing.name !== 'websocket') return chunk;
  const [first, length = 0] = chunk;
  if (first !== 0x81) throw new Error('not one final text frame');
  const header = length < 126 ? 2 : length === 126 ? 4 : 10;
  const payload = chunk.subarray(header);
  const said = length < 126 ? length : length === 126 ? chunk.readUInt16BE(2) : Number(chunk.readBigUInt64BE(2));
  if (said !== payload.length) throw new Error('a frame of another length');
  return payload;
}
