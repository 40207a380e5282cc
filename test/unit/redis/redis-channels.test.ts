import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { beforeEach, describe, expect, it } from 'vitest';
import { RedisChannels } from '../../../src/redis/redis-channels.ts';
import { RedisUnavailableError } from '../../../src/redis/redis-unavailable-error.ts';

/** The connection of these tests: notes what it is told, and answers when the test says so. */
let commands: { readonly op: '+' | '-'; readonly channels: readonly string[] }[];
let waiting: (() => void)[];
let isLost: boolean;
let channels: RedisChannels;

const client = {
  subscribe: (...names: string[]) => told('+', names),
  unsubscribe: (...names: string[]) => told('-', names),
} as unknown as Redis;

function told(op: '+' | '-', names: readonly string[]): Promise<void> {
  commands.push({ op, channels: names });
  return new Promise((resolve) => waiting.push(resolve));
}

beforeEach(() => {
  commands = [];
  waiting = [];
  isLost = false;
  channels = new RedisChannels({
    ask: (send) => (isLost ? Promise.reject(new RedisUnavailableError('there is none', 'down')) : send(client)),
  });
});

const endOfTurn = () => new Promise((resolve) => setImmediate(resolve));
const said = () => commands.splice(0).map(({ op, channels: names }) => `${op}${names.join(' ')}`);

function answer(): void {
  for (const done of waiting.splice(0)) done();
}

describe('channels', () => {
  it('of one turn are asked for in one command, and are heard when that is answered', async () => {
    const heard: string[] = [];
    let done = 0;
    for (const name of ['a', 'b', 'c']) {
      void channels.subscribe(name, (message) => heard.push(name + message)).then(() => (done += 1));
    }
    expect(said()).toEqual([]);
    await endOfTurn();
    expect(said()).toEqual(['+a b c']);
    await endOfTurn();
    expect(done).toBe(0);
    answer();
    await endOfTurn();
    expect(done).toBe(3);
    for (const name of ['b', 'd']) channels.onMessage(name, '!');
    channels.unsubscribe('b');
    channels.unsubscribe('d');
    channels.onMessage('b', '?');
    await endOfTurn();
    expect([heard, said(), channels.size]).toEqual([['b!'], ['-b'], 2]);
  });

  it('are asked for by the hundreds, not by all of them, also where all are said anew', async () => {
    for (let n = 0; n < 1_001; n += 1) void channels.subscribe(String(n), () => {});
    await endOfTurn();
    expect(commands.splice(0).map((command) => command.channels.length)).toEqual([500, 500, 1]);
    answer();
    const anew = channels.subscribeAll();
    for (const many of [500, 500, 1]) {
      expect(commands.splice(0).map((command) => command.channels.length)).toEqual([many]);
      answer();
      await endOfTurn();
    }
    await anew;
  });

  it('are heard once there is a connection, those too that come while it is told of the others', async () => {
    isLost = true;
    const refused = channels.subscribe('a', () => {});
    await expect(refused).rejects.toThrow('there is none');
    channels.unsubscribe('never');
    isLost = false;
    const anew = channels.subscribeAll();
    expect(said()).toEqual(['+a']);
    const late = channels.subscribe('b', () => {});
    await endOfTurn();
    expect(said()).toEqual(['+b']);
    answer();
    await Promise.all([anew, late]);
    expect(said()).toEqual([]);
  });

  it('are those that were wanted last, whatever came in between', async () => {
    const step = fc.record({
      name: fc.constantFrom('a', 'b', 'c'),
      op: fc.constantFrom('+', '+', '-', '-', 'turn', 'answer', 'anew'),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        commands = [];
        waiting = [];
        channels = new RedisChannels({ ask: (send) => send(client) });
        const wanted = new Set<string>();
        for (const { name, op } of steps) {
          if (op === '+') {
            wanted.add(name);
            void channels.subscribe(name, () => {});
          } else if (op === '-') {
            wanted.delete(name);
            channels.unsubscribe(name);
          } else if (op === 'turn') await endOfTurn();
          else if (op === 'answer') answer();
          else {
            // A new connection has none of them.
            commands.push({ op: '-', channels: ['a', 'b', 'c'] });
            void channels.subscribeAll();
          }
        }
        for (let i = 0; i < 5; i += 1) {
          await endOfTurn();
          answer();
        }
        const heard = new Set<string>();
        for (const { op, channels: names } of commands) {
          for (const name of names) op === '+' ? heard.add(name) : heard.delete(name);
        }
        expect(heard).toEqual(wanted);
        expect(channels.size).toBe(wanted.size);
      }),
      { numRuns: 200 },
    );
  });
});
