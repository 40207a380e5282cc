import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { Follower } from '../../../src/chat/follower.ts';
import { PipeView } from '../../../src/chat/pipe-view.ts';
import {
  type Client,
  ClientError,
  type JoinOptions,
  type RoomEvents,
  type RoomState,
} from '../../../src/client/client.ts';
import { Emitter } from '../../../src/client/emitter.ts';

class FakeRoom extends Emitter<RoomEvents> {
  readonly name: string;
  state: RoomState = 'idle';
  position = { epoch: 'e', offset: -1 };
  readonly asked: (JoinOptions | 'leave')[] = [];
  refusal: ClientError | null = null;

  constructor(name: string) {
    super();
    this.name = name;
  }

  join = async (options: JoinOptions): Promise<void> => {
    this.asked.push(options);
    if (this.refusal !== null) throw this.refusal;
    this.state = 'live';
  };

  leave = async (): Promise<void> => {
    this.asked.push('leave');
    this.state = 'idle';
  };

  say(text: string): void {
    this.position = { epoch: 'e', offset: this.position.offset + 1 };
    this.emit('message', { room: this.name, ...this.position, from: 'bob', mid: 'm', ts: 1, data: { text } });
  }

  /** The server takes us out of it. */
  end(code: string): void {
    this.state = 'idle';
    this.emit('left', { code, message: code });
  }
}

/** Takes what is written when the test says so. */
class SlowReader extends Writable {
  taken = '';
  #takes: (() => void)[] = [];

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#takes.push(() => {
      this.taken += chunk.toString();
      done();
    });
  }

  async takeAll(): Promise<void> {
    for (let take = this.#takes.shift(); take !== undefined; take = this.#takes.shift()) take();
    await turn();
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

function open(...names: readonly string[]) {
  const rooms = names.map((name) => new FakeRoom(name));
  const client = { room: (name: string) => rooms.find((room) => room.name === name) };
  const output = new SlowReader();
  const notes = new SlowReader();
  const follower = new Follower(client as unknown as Client, names, new PipeView(output, notes, false));
  return { rooms: rooms as [FakeRoom, ...FakeRoom[]], follower, output, notes };
}

const MIB = 'x'.repeat(1_048_576);

describe('a follower', () => {
  it('leaves its rooms while its reader is slow, and takes them up where it was', async () => {
    const { rooms, follower, output, notes } = open('a', 'b');
    const [a, b] = rooms;
    await follower.join(3);
    b?.say('only one');
    for (let i = 0; i < 5; i += 1) a.say(MIB);
    await turn();
    expect(a.asked).toEqual([{ history: 3 }, 'leave']);
    expect(b?.asked).toEqual([{ history: 3 }, 'leave']);
    await turn();
    expect(a.asked).toHaveLength(2);
    await output.takeAll();
    expect(a.asked.slice(2)).toEqual([{ since: { epoch: 'e', offset: 4 } }]);
    expect(b?.asked.slice(2)).toEqual([{ since: { epoch: 'e', offset: 0 } }]);
    for (let i = 0; i < 5; i += 1) a.say(MIB);
    await turn();
    expect(a.asked.slice(3)).toEqual(['leave']);
    await notes.takeAll();
    expect(notes.taken).toBe('# waiting for the reader of the output\n'.repeat(2));
  });

  it('finishes what it is in the midst of, such as the page that a join waits for', async () => {
    const { rooms, follower } = open('a');
    const [a] = rooms;
    a.join = async (options) => {
      a.asked.push(options);
      a.state = 'live';
      for (let i = 0; i < 6; i += 1) a.say(MIB);
      expect(a.asked).toEqual([{ history: 6 }]);
    };
    await follower.join(6);
    await turn();
    expect(a.asked).toEqual([{ history: 6 }, 'leave']);
  });

  it('leaves none of its rooms before all of them are joined', async () => {
    const { rooms, follower } = open('a', 'b');
    const [a, b] = rooms as [FakeRoom, FakeRoom];
    const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
    b.join = async (options) => {
      b.asked.push(options);
      b.state = 'joining';
      await answered;
      b.state = 'live';
    };
    const joined = follower.join(6);
    await turn();
    for (let i = 0; i < 6; i += 1) a.say(MIB);
    await turn();
    expect([a.asked, b.asked]).toEqual([[{ history: 6 }], [{ history: 6 }]]);
    answer();
    await joined;
    await turn();
    expect([a.asked, b.asked]).toEqual([
      [{ history: 6 }, 'leave'],
      [{ history: 6 }, 'leave'],
    ]);
  });

  it('is over when no room is left', async () => {
    const { rooms, follower, notes } = open('a', 'b');
    const [a, b] = rooms;
    await follower.join(0);
    let over: string | undefined;
    void follower.over.then((why) => {
      over = why;
    });
    a.end('kicked');
    await turn();
    expect(over).toBeUndefined();
    b?.end('forbidden');
    await turn();
    expect(over).toBe('no room is left');
    await notes.takeAll();
    expect(notes.taken).toBe('# left [a]: you were removed\n# left [b]: you may no longer be there\n');
  });

  it('fails with the room that is refused', async () => {
    const { rooms, follower, notes } = open('a', 'b');
    const refusal = new ClientError('forbidden', 'not here');
    for (const room of rooms.slice(1)) room.refusal = refusal;
    await expect(follower.join(0)).rejects.toBe(refusal);
    await notes.takeAll();
    expect(notes.taken).toBe('');
  });
});
