import { describe, expect, it } from 'vitest';
import { ClientError } from '../../../src/client/client.ts';
import type { Position } from '../../../src/protocol/position.ts';
import { Outgoing, type Sending } from '../../../web/outgoing.ts';

interface Sent {
  readonly text: string;
  settle(position: Position): Promise<void>;
  fail(error: ClientError): Promise<void>;
}

/** A step that tells what was sent, and waits to be answered. */
function step(name: string, sent: Sent[]) {
  return (text: string): Sending => {
    const { promise, resolve, reject } = Promise.withResolvers<Position>();
    const answered = async () => {
      await promise.catch(() => {});
    };
    sent.push({
      text,
      settle(position) {
        resolve(position);
        return answered();
      },
      fail(error) {
        reject(error);
        return answered();
      },
    });
    return Object.assign(promise, { mid: `${name} ${sent.length}` });
  };
}

function states(outgoing: Outgoing): string[] {
  return outgoing.messages.map(({ text, state, reason }) => `${text} ${state} ${reason}`.trim());
}

describe('messages on their way', () => {
  it('go when they are seen, whether they were acknowledged before or not', async () => {
    const sent: Sent[] = [];
    const outgoing = new Outgoing([step('room', sent)]);
    outgoing.add('first');
    outgoing.add('second');
    expect(outgoing.isWaiting).toBe(true);
    await sent[0]?.settle({ epoch: 'e', offset: 7 });
    expect(states(outgoing)).toEqual(['first sent', 'second waiting']);
    outgoing.arrived('room 2');
    outgoing.arrived('room 1');
    expect(outgoing.messages).toEqual([]);
    await sent[1]?.settle({ epoch: 'e', offset: 8 });
    expect(outgoing.messages).toEqual([]);
    expect(outgoing.isWaiting).toBe(false);
  });

  it('go when the conversation has gone on without them', async () => {
    const sent: Sent[] = [];
    const outgoing = new Outgoing([step('room', sent)]);
    for (const text of ['lost in a gap', 'yet to come', 'of an old epoch', 'waiting']) outgoing.add(text);
    await sent[0]?.settle({ epoch: 'e', offset: 7 });
    await sent[1]?.settle({ epoch: 'e', offset: 9 });
    await sent[2]?.settle({ epoch: 'd', offset: 99 });
    outgoing.passed({ epoch: 'e', offset: 8 });
    expect(states(outgoing)).toEqual(['yet to come sent', 'waiting waiting']);
  });

  it('stay when they fail, and say whether they may have arrived', async () => {
    const sent: Sent[] = [];
    const outgoing = new Outgoing([step('room', sent)]);
    for (const text of ['a', 'b', 'c']) outgoing.add(text);
    await sent[0]?.fail(new ClientError('forbidden', 'not here'));
    await sent[1]?.fail(new ClientError('timed_out', 'no answer', true));
    await sent[2]?.fail(new ClientError('queue_full', '256 wait'));
    expect(states(outgoing)).toEqual([
      'a failed Not sent: not here',
      'b failed Not confirmed by the server in time: it may have arrived',
      'c failed Not sent: too many messages wait already',
    ]);
    const [a, b] = outgoing.messages;
    outgoing.retry(a?.key ?? '');
    expect(sent.map(({ text }) => text)).toEqual(['a', 'b', 'c', 'a']);
    outgoing.discard(b?.key ?? '');
    expect(states(outgoing)).toEqual(['c failed Not sent: too many messages wait already', 'a waiting']);
    // It had arrived after all.
    outgoing.arrived('room 3');
    expect(states(outgoing)).toEqual(['a waiting']);
  });

  it('are delivered once, also where keeping the copy fails at first', async () => {
    const [delivered, kept]: [Sent[], Sent[]] = [[], []];
    const outgoing = new Outgoing([step('to', delivered), step('copy', kept)]);
    outgoing.add('psst');
    expect(kept).toHaveLength(0);
    await delivered[0]?.settle({ epoch: 'e', offset: 1 });
    await kept[0]?.fail(new ClientError('unavailable', 'the disk is full'));
    expect(states(outgoing)).toEqual(['psst failed Delivered, but not kept here: the disk is full']);
    outgoing.retry(outgoing.messages[0]?.key ?? '');
    expect([delivered.length, kept.length]).toEqual([1, 2]);
    outgoing.arrived('copy 2');
    expect(outgoing.messages).toEqual([]);
  });
});
