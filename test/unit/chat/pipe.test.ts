import { PassThrough } from 'node:stream';
import { beforeEach, describe, expect, it } from 'vitest';
import { readCommandLine } from '../../../src/chat/command-line.ts';
import { chatInPipe } from '../../../src/chat/pipe.ts';
import { PipeView } from '../../../src/chat/pipe-view.ts';
import type { Stop } from '../../../src/chat/stop.ts';
import { type Client, ClientError, type ClientState, type RoomEvents } from '../../../src/client/client.ts';
import { Emitter } from '../../../src/client/emitter.ts';

/** A room whose publishes wait for what the test says of them. */
class FakeRoom extends Emitter<RoomEvents> {
  readonly state = 'live';
  readonly publishes: PromiseWithResolvers<void>[] = [];
  refusal: ClientError | null = null;

  join = async () => {
    if (this.refusal !== null) throw this.refusal;
  };
  publish = () => {
    const publish = Promise.withResolvers<void>();
    this.publishes.push(publish);
    return publish.promise;
  };
}

class FakeClient extends Emitter<{ state: ClientState }> {
  state: ClientState = { name: 'online' };
  readonly session = { user: 'ann' };
  readonly theRoom = new FakeRoom();
  readonly limits = { dataBytesMax: 100, publishesUnansweredMax: 4 };

  room = () => this.theRoom;
  connect = async () => ({ limits: this.limits });

  close(): void {
    this.state = { name: 'closed', reason: 'kicked', code: 3503 };
  }

  tellState(): void {
    this.emit('state', this.state);
  }
}

let client: FakeClient;
let input: PassThrough;
let told: string;
let stop: PromiseWithResolvers<Stop>;

beforeEach(() => {
  client = new FakeClient();
  input = new PassThrough();
  told = '';
  stop = Promise.withResolvers();
});

function run(...args: readonly string[]): Promise<number> {
  const options = readCommandLine(['--room', 'r', ...args], {}, false);
  if (options === null) throw new Error('these are no options');
  const notes = new PassThrough().setEncoding('utf8').on('data', (chunk: string) => {
    told += chunk;
  });
  const view = new PipeView(new PassThrough(), notes, options.json);
  return chatInPipe({ client: client as unknown as Client, options, input, view, stopped: stop.promise });
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

describe('a chat in a pipe', () => {
  it('ends with 0 when all is acknowledged, and not before', async () => {
    let code: number | undefined;
    const over = run('--once').then((ended) => {
      code = ended;
    });
    input.end('one\ntwo\n');
    await turns();
    expect(client.theRoom.publishes).toHaveLength(2);
    client.theRoom.publishes[0]?.resolve();
    await turns();
    expect(code).toBeUndefined();
    client.theRoom.publishes[1]?.resolve();
    await over;
    expect(code).toBe(0);
  });

  it('ends with 3 for whatever fails where the session is closed for good', async () => {
    const over = run('--once');
    input.write('one\n');
    await turns();
    // The failure of the publish comes before the news of the session.
    client.close();
    client.theRoom.publishes[0]?.reject(new ClientError('closed', 'kicked'));
    await turns();
    client.tellState();
    expect(await over).toBe(3);
    await turns();
    expect(told).toBe('! disconnected: removed by an operator (3503 kicked)\n');
  });

  it('ends with 3 and says how much was not acknowledged when the session is lost', async () => {
    const over = run();
    input.write('one\ntwo\n');
    await turns();
    client.close();
    client.tellState();
    expect(await over).toBe(3);
    await turns();
    expect(told).toBe('! disconnected: removed by an operator (3503 kicked)\n! 2 lines not acknowledged\n');
  });

  it('ends with 1 when a line fails, or a room is refused', async () => {
    const failing = run();
    input.write('one\n');
    await turns();
    client.theRoom.publishes[0]?.reject(new ClientError('timed_out', 'no answer'));
    expect(await failing).toBe(1);
    await turns();
    expect(told).toBe('! timed_out: no answer: line 1: "one"\n');
    client.theRoom.refusal = new ClientError('forbidden', 'not here');
    expect(await run()).toBe(1);
    await turns();
    expect(told).toContain('! forbidden: not here\n');
  });

  it('ends with 0 on a signal when nothing is under way, and else says what is', async () => {
    const idle = run();
    await turns();
    stop.resolve({ cause: 'signal' });
    expect(await idle).toBe(0);
    expect(told).toBe('');

    stop = Promise.withResolvers();
    const busy = run();
    input.write('one\n');
    await turns();
    stop.resolve({ cause: 'signal' });
    expect(await busy).toBe(1);
    await turns();
    expect(told).toBe('! 1 line not acknowledged\n');
  });

  it.each([
    ['EPIPE', 0, ''],
    ['ENOSPC', 1, '! cannot write the output: no\n'],
  ])('ends with the output: %s is %i', async (code, expected, words) => {
    const over = run();
    await turns();
    stop.resolve({ cause: 'output', error: Object.assign(new Error('no'), { code }) });
    expect(await over).toBe(expected);
    await turns();
    expect(told).toBe(words);
  });
});
