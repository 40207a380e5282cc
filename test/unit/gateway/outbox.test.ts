import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Outbox, OutboxFlusher, UnsharedBytes } from '../../../src/gateway/outbox.ts';
import { endOfTurn, FakeTransport } from './fake-transport.ts';

const NOBODY = { goOn: () => {} };

function newOutbox(onFlushed: () => void = () => {}) {
  const transport = new FakeTransport();
  const flusher = new OutboxFlusher();
  const unshared = new UnsharedBytes(1_000);
  return { transport, flusher, unshared, outbox: new Outbox(transport, flusher, unshared, { goOn: onFlushed }) };
}

describe('Outbox', () => {
  it('writes what was added in one turn in one write at its end, in order, the same buffers', async () => {
    const { transport, outbox } = newOutbox();
    const chunks = ['a', 'b', 'c'].map((text) => Buffer.from(text));
    for (const [i, chunk] of chunks.entries()) {
      if (i === 1) outbox.addUnshared(chunk);
      else outbox.addShared(chunk);
    }
    expect(outbox.bytes).toBe(3);
    expect(transport.writes).toEqual([]);
    await endOfTurn();
    expect(transport.writes).toEqual([3]);
    for (const [i, chunk] of transport.written.entries()) expect(chunk).toBe(chunks[i]);
    expect(outbox.bytes).toBe(0);
  });

  it('counts what the transport holds', () => {
    const { transport, outbox, unshared } = newOutbox();
    transport.isStuck = true;
    outbox.addUnshared(Buffer.alloc(10));
    outbox.addShared(Buffer.alloc(5));
    expect(outbox.bytes).toBe(15);
    outbox.flush();
    expect(outbox.bytes).toBe(15);
    expect(unshared.bytes).toBe(10);
    outbox.drained();
    expect(unshared.bytes).toBe(10);
    transport.drain();
    outbox.drained();
    expect(unshared.bytes).toBe(0);
    expect(outbox.bytes).toBe(0);
  });

  it('does not release what is still queued here when the transport has drained', () => {
    const { outbox, unshared } = newOutbox();
    outbox.addUnshared(Buffer.alloc(10));
    outbox.drained();
    expect(unshared.bytes).toBe(10);
  });

  it('releases everything when the connection is gone, once', () => {
    const { transport, outbox, unshared, flusher } = newOutbox();
    transport.isStuck = true;
    outbox.addUnshared(Buffer.alloc(10));
    outbox.flush();
    outbox.addUnshared(Buffer.alloc(7));
    outbox.close();
    outbox.close();
    expect(unshared.bytes).toBe(0);
    flusher.flush();
    expect(transport.writes).toEqual([1]);
  });

  it('never counts below zero, above what was added, or anything at the end', () => {
    const size = fc.integer({ min: 1, max: 50 });
    const act = fc.oneof(
      fc.record({ kind: fc.constantFrom('shared', 'unshared'), of: fc.nat(2), bytes: size }),
      fc.record({
        kind: fc.constantFrom('flush', 'drain', 'stick', 'close', 'turn'),
        of: fc.nat(2),
        bytes: fc.constant(0),
      }),
    );
    fc.assert(
      fc.property(fc.array(act, { maxLength: 60, size: 'max' }), (acts) => {
        const flusher = new OutboxFlusher();
        const unshared = new UnsharedBytes(1_000);
        const transports = [0, 1, 2].map(() => new FakeTransport());
        const outboxes = transports.map((transport) => new Outbox(transport, flusher, unshared, NOBODY));
        let added = 0;
        for (const { kind, of, bytes } of acts) {
          const outbox = outboxes[of];
          const transport = transports[of];
          if (outbox === undefined || transport === undefined) throw new Error('unreachable');
          if (kind === 'shared') outbox.addShared(Buffer.alloc(bytes));
          else if (kind === 'unshared') {
            outbox.addUnshared(Buffer.alloc(bytes));
            added += bytes;
          } else if (kind === 'flush') outbox.flush();
          else if (kind === 'turn') flusher.flush();
          else if (kind === 'stick') transport.isStuck = true;
          else if (kind === 'drain') {
            transport.drain();
            outbox.drained();
          } else {
            outbox.close();
            transport.bufferedBytes = 0;
          }
          expect(unshared.bytes).toBeGreaterThanOrEqual(0);
          expect(unshared.bytes).toBeLessThanOrEqual(added);
          expect(unshared.hasRoomFor(1_000 - unshared.bytes)).toBe(true);
          expect(unshared.hasRoomFor(1_001 - unshared.bytes)).toBe(false);
        }
        flusher.flush();
        for (const [i, outbox] of outboxes.entries()) {
          transports[i]?.drain();
          outbox.drained();
          expect(outbox.bytes).toBe(0);
        }
        expect(unshared.bytes).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});

describe('OutboxFlusher', () => {
  it('writes also what is queued by those who go on when they were flushed', () => {
    const first = newOutbox(() => second.addShared(Buffer.from('b')));
    const transport = new FakeTransport();
    const second = new Outbox(transport, first.flusher, first.unshared, NOBODY);
    first.outbox.addShared(Buffer.from('a'));
    first.flusher.flush();
    expect(transport.written.map(String)).toEqual(['b']);
  });

  it('can be flushed within a turn and goes on at its end', async () => {
    const { transport, flusher, outbox } = newOutbox();
    outbox.addShared(Buffer.from('a'));
    flusher.flush();
    outbox.addShared(Buffer.from('b'));
    expect(transport.written.map(String)).toEqual(['a']);
    await endOfTurn();
    expect(transport.written.map(String)).toEqual(['a', 'b']);
    expect(transport.writes).toEqual([1, 1]);
  });

  it('leaves what was queued to the tick that is due, which has more for the same sessions', async () => {
    let isTickDue = true;
    const flusher = new OutboxFlusher(() => isTickDue);
    const transport = new FakeTransport();
    const outbox = new Outbox(transport, flusher, new UnsharedBytes(1_000), NOBODY);
    outbox.addUnshared(Buffer.from('reply'));
    await endOfTurn();
    expect(transport.writes).toEqual([]);
    outbox.addShared(Buffer.from('push'));
    flusher.flush();
    expect(transport.writes).toEqual([2]);
    isTickDue = false;
    outbox.addUnshared(Buffer.from('reply'));
    await endOfTurn();
    expect(transport.writes).toEqual([2, 1]);
  });
});
