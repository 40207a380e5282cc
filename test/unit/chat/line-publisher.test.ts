import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { LinePublisher, type LinePublisherSettings } from '../../../src/chat/line-publisher.ts';

/** Publishes into a list. Whoever wants can hold the acknowledgements back. */
class FakeRoom {
  readonly said: unknown[] = [];
  readonly held: { resolve(): void; reject(error: Error): void }[] = [];
  isHolding = false;

  readonly publish = (data: unknown): Promise<void> => {
    this.said.push(data);
    if (!this.isHolding) return Promise.resolve();
    return new Promise((resolve, reject) => this.held.push({ resolve, reject }));
  };
}

function publisherTo(room: FakeRoom, more: Partial<LinePublisherSettings> = {}): LinePublisher {
  return new LinePublisher({ publish: room.publish, isJson: false, dataBytesMax: 100, waitingMax: 4, ...more });
}

function inputOf(...chunks: readonly (string | Buffer)[]): Readable {
  return Readable.from(chunks.map((chunk) => Buffer.from(chunk)));
}

/** Lets everything happen that needs no more than turns of the event loop. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

describe('lines that are piped in', () => {
  it('are published in order, however they are cut; blank ones are not', async () => {
    const room = new FakeRoom();
    const input = inputOf('one\ntw', 'o\n\n  \nthr', 'ee\r\n four ', '\nlast');
    expect(await publisherTo(room).run(input)).toBeNull();
    expect(room.said).toEqual(['one', 'two', 'three', ' four ', 'last'].map((text) => ({ text })));
  });

  it('are values with JSON, as they are', async () => {
    const room = new FakeRoom();
    expect(await publisherTo(room, { isJson: true }).run(inputOf('{"a":1}\n', ' [2] \n\n"three"\nnull'))).toBeNull();
    expect(room.said).toEqual([{ a: 1 }, [2], 'three', null]);
  });

  it('wait while as many as may are not acknowledged, and are not read meanwhile', async () => {
    const room = new FakeRoom();
    room.isHolding = true;
    let read = 0;
    const input = Readable.from(
      (function* () {
        for (; read < 1_000; read += 1) yield Buffer.from(`${read}\n`);
      })(),
      { highWaterMark: 1 },
    );
    const publisher = publisherTo(room);
    const run = publisher.run(input);
    await turns();
    expect(room.said).toHaveLength(4);
    expect(publisher.unacknowledged).toBe(4);
    expect(read).toBeLessThan(10);
    room.held.shift()?.resolve();
    await turns();
    expect(room.said).toHaveLength(5);
    room.isHolding = false;
    for (const { resolve } of room.held) resolve();
    expect(await run).toBeNull();
    expect(room.said).toEqual(Array.from({ length: 1_000 }, (_, i) => ({ text: String(i) })));
    expect(publisher.unacknowledged).toBe(0);
  });

  it('end with all acknowledged, not with the end of the input', async () => {
    const room = new FakeRoom();
    room.isHolding = true;
    let result: string | null | undefined;
    const run = publisherTo(room)
      .run(inputOf('one\n'))
      .then((failure) => {
        result = failure;
      });
    await turns();
    expect(result).toBeUndefined();
    room.held[0]?.resolve();
    await run;
    expect(result).toBeNull();
  });

  it('stop at the first that fails, whose number and words are told', async () => {
    const room = new FakeRoom();
    room.isHolding = true;
    const input = inputOf('one\n\nthree\n', 'four\nfive\nsix\nseven\n');
    const run = publisherTo(room).run(input);
    await turns();
    // The later one fails first.
    room.held[2]?.reject(new Error('timed_out: no answer'));
    room.held[1]?.reject(new Error('forbidden: not here'));
    room.held[0]?.resolve();
    room.held[3]?.resolve();
    expect(await run).toBe('forbidden: not here: line 3: "three"');
    expect(room.said).toEqual(['one', 'three', 'four', 'five'].map((text) => ({ text })));
  });

  it('stop at a failure also while nothing more comes in', async () => {
    const room = new FakeRoom();
    room.isHolding = true;
    const input = new Readable({ read() {} });
    input.push('one\n');
    const run = publisherTo(room).run(input);
    await turns();
    room.held[0]?.reject(new Error('forbidden: not here'));
    expect(await run).toBe('forbidden: not here: line 1: "one"');
    expect(input.destroyed).toBe(true);
  });

  it.each([
    ['too long', false, Buffer.from('x'.repeat(90)), /^bad_request: longer than 100 bytes: line 2$/],
    ['far too long', false, Buffer.from('x'.repeat(1_000)), /^bad_request: longer than 100 bytes: line 2$/],
    ['no UTF-8', false, Buffer.from([0x61, 0xff]), /^bad_request: not UTF-8: line 2$/],
    ['no JSON', true, Buffer.from('hello'), /^bad_request: .*not valid JSON.*: line 2$/],
    ['JSON that is too long', true, Buffer.from(`"${'x'.repeat(99)}"`), /^bad_request: longer than 100 bytes: line 2$/],
  ])('stop at one that is %s', async (_what, isJson, line, failure) => {
    const room = new FakeRoom();
    const input = inputOf(Buffer.concat([Buffer.from('1\n'), line, Buffer.from('\n3\n')]));
    expect(await publisherTo(room, { isJson }).run(input)).toMatch(failure);
    expect(room.said).toHaveLength(1);
  });

  it('may have as many bytes as fit, and white space around JSON does not count', async () => {
    const room = new FakeRoom();
    const fits = 'x'.repeat(100 - '{"text":""}'.length);
    expect(await publisherTo(room).run(inputOf(`${fits}\n`))).toBeNull();
    expect(await publisherTo(room, { isJson: true }).run(inputOf(`${' '.repeat(1_000)}1\n`))).toBeNull();
    expect(room.said).toEqual([{ text: fits }, 1]);
  });

  it('that cannot be read any more are a failure', async () => {
    const room = new FakeRoom();
    const input = new Readable({ read() {} });
    input.push('one\n');
    const run = publisherTo(room).run(input);
    await turns();
    input.destroy(new Error('EISDIR: illegal operation on a directory, read'));
    expect(await run).toBe('cannot read the input: EISDIR: illegal operation on a directory, read');
    expect(room.said).toHaveLength(1);
  });
});
