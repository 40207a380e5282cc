import { describe, expect, it } from 'vitest';
import { ClientError } from '../../../src/client/client-error.ts';
import { Stream } from '../../../src/client/stream.ts';

/** A stream, and what it told of its room: how much was free or that it is over. */
function streamOf(max = 4): { readonly stream: Stream<number>; readonly told: string[] } {
  const told: string[] = [];
  const stream = new Stream<number>(max, ({ hasEnded, hasRoom }) => {
    told.push(hasEnded ? 'ended' : hasRoom ? 'room' : 'no room');
  });
  return { stream, told };
}

const DONE = { value: undefined, done: true };

function pushes(stream: Stream<number>, ...values: readonly number[]): void {
  for (const value of values) stream.push(value);
}

describe('a stream', () => {
  it('gives what waits, in order', async () => {
    const { stream } = streamOf();
    pushes(stream, 1, 2);
    expect(await stream.next()).toEqual({ value: 1, done: false });
    expect(await stream.next()).toEqual({ value: 2, done: false });
  });

  it('gives to readers that wait, the first one first', async () => {
    const { stream } = streamOf();
    const reads = [stream.next(), stream.next(), stream.next()];
    pushes(stream, 1, 2, 3, 4);
    expect(await Promise.all(reads)).toEqual([1, 2, 3].map((value) => ({ value, done: false })));
    expect(await stream.next()).toEqual({ value: 4, done: false });
  });

  it('is read by `for await`, and told of a reader that goes', async () => {
    const { stream, told } = streamOf();
    pushes(stream, 1, 2, 3);
    const read: number[] = [];
    for await (const value of stream) {
      read.push(value);
      if (value === 2) break;
    }
    expect(read).toEqual([1, 2]);
    expect(stream.hasEnded).toBe(true);
    expect(told.at(-1)).toBe('ended');
    expect(await stream.next()).toEqual(DONE);
  });

  it('is over when what waits has been read', async () => {
    const { stream } = streamOf();
    pushes(stream, 1);
    stream.end(null);
    stream.end(new ClientError('left', 'late'));
    stream.push(2);
    expect(await stream.next()).toEqual({ value: 1, done: false });
    expect(await stream.next()).toEqual(DONE);
    expect(await stream.next()).toEqual(DONE);
  });

  it('throws its error once, behind what waits', async () => {
    const { stream } = streamOf();
    pushes(stream, 1);
    stream.end(new ClientError('left', 'kicked'));
    expect(await stream.next()).toEqual({ value: 1, done: false });
    await expect(stream.next()).rejects.toMatchObject({ code: 'left' });
    expect(await stream.next()).toEqual(DONE);
  });

  it('throws its error to the first of the readers that wait', async () => {
    const { stream } = streamOf();
    const reads = [stream.next(), stream.next()];
    stream.end(new ClientError('closed', 'closed'));
    await expect(reads[0]).rejects.toMatchObject({ code: 'closed' });
    expect(await reads[1]).toEqual(DONE);
  });

  it('ends for readers that wait when it returns', async () => {
    const { stream } = streamOf();
    const read = stream.next();
    expect(await stream.return()).toEqual(DONE);
    expect(await read).toEqual(DONE);
    stream.push(1);
    expect(await stream.next()).toEqual(DONE);
  });

  it('forgets what waits, and its error, when it returns', async () => {
    const { stream } = streamOf(1);
    pushes(stream, 1, 2);
    expect(await stream.return()).toEqual(DONE);
    expect(await stream.next()).toEqual(DONE);
  });
});

describe('a slow reader', () => {
  it('gets all that may wait, and then `overflow`', async () => {
    const { stream } = streamOf(3);
    pushes(stream, 1, 2, 3);
    expect(stream.hasEnded).toBe(false);
    pushes(stream, 4, 5);
    expect(stream.hasEnded).toBe(true);
    const read: number[] = [];
    const reading = (async () => {
      for await (const value of stream) read.push(value);
    })();
    await expect(reading).rejects.toMatchObject({ code: 'overflow', message: /3/ });
    expect(read).toEqual([1, 2, 3]);
  });

  it('has no room from above half of what may wait', () => {
    const { stream } = streamOf(4);
    const rooms = [1, 2, 3].map((value) => {
      stream.push(value);
      return stream.hasRoom;
    });
    expect(rooms).toEqual([true, true, false]);
  });

  it('is told of once it has read so far that there is room', async () => {
    const { stream, told } = streamOf(4);
    pushes(stream, 1, 2, 3, 4);
    await stream.next();
    expect(told).toEqual([]);
    await stream.next();
    expect(told).toEqual(['room']);
  });

  it('stands in nobody’s way when it has ended, and says so at once', () => {
    const { stream, told } = streamOf(1);
    pushes(stream, 1, 2);
    expect(stream.hasRoom).toBe(true);
    expect(told).toEqual(['ended']);
  });
});
