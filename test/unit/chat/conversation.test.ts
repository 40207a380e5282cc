import { beforeEach, describe, expect, it } from 'vitest';
import { Conversation } from '../../../src/chat/conversation.ts';
import { type Client, ClientError, type JoinOptions, type RoomEvents } from '../../../src/client/client.ts';
import { Emitter } from '../../../src/client/emitter.ts';

/** A call that waits for the test to answer it. */
interface Asked {
  readonly what: string;
  answer(value?: unknown): void;
  refuse(code: string): void;
}

class FakeRoom extends Emitter<RoomEvents> {
  readonly name: string;
  readonly count = 1;
  readonly #client: FakeClient;

  constructor(name: string, client: FakeClient) {
    super();
    this.name = name;
    this.#client = client;
  }

  be<Name extends keyof RoomEvents>(event: Name, value: RoomEvents[Name]): void {
    this.emit(event, value);
  }

  join = (options: JoinOptions) => this.#client.ask('join', this.name, options);
  leave = () => this.#client.ask('leave', this.name);
  publish = (data: unknown) => this.#client.ask('publish', this.name, data);
  history = (page: unknown) => this.#client.ask('history', this.name, page);
  presence = () => this.#client.ask('presence of room', this.name);
}

/** Does nothing but remember what it was asked. */
class FakeClient {
  readonly asked: Asked[] = [];
  readonly session = { user: 'ann' };
  readonly #rooms = new Map<string, FakeRoom>();

  room(name: string): FakeRoom {
    const room = this.#rooms.get(name) ?? new FakeRoom(name, this);
    this.#rooms.set(name, room);
    return room;
  }

  connect = () => this.ask('connect');
  presence = (user: string) => this.ask('presence of', user);
  status = (status: string, text?: string) => this.ask('status', status, text);
  ping = () => this.ask('ping');

  ask(...words: readonly unknown[]): Promise<unknown> {
    const what = words
      .map((word) => (typeof word === 'string' ? word : JSON.stringify(word)))
      .join(' ')
      .trim();
    return new Promise((resolve, reject) => {
      this.asked.push({
        what,
        answer: resolve,
        refuse: (code) => reject(new ClientError(code as ConstructorParameters<typeof ClientError>[0], 'words')),
      });
    });
  }
}

let client: FakeClient;
let conversation: Conversation;
let shown: string[];
let prompt: string | null;
let quits: number;

beforeEach(() => {
  client = new FakeClient();
  shown = [];
  prompt = null;
  quits = 0;
  const view = {
    message: ({ room, from, data }: RoomEvents['message']) => shown.push(`[${room}] ${from}: ${JSON.stringify(data)}`),
    gap: (room: string) => shown.push(`gap in ${room}`),
    note: (line: string) => shown.push(line),
    error: (words: string) => shown.push(`! ${words}`),
    prompt: (room: string | null) => {
      prompt = room;
    },
  };
  const onQuit = () => {
    quits += 1;
  };
  conversation = new Conversation({ client: client as unknown as Client, view, history: 10, onQuit });
});

/** What the client was asked for since the last look. */
function asked(): string[] {
  return client.asked.splice(0).map(({ what }) => what);
}

function theOnly(): Asked {
  const [only, ...others] = client.asked.splice(0);
  if (only === undefined || others.length > 0) throw new Error('the client was not asked for one thing');
  return only;
}

/** What was shown since the last look, once all that was answered has come through. */
async function seen(): Promise<string[]> {
  await new Promise((resolve) => setImmediate(resolve));
  return shown.splice(0);
}

async function joined(...rooms: readonly string[]): Promise<void> {
  for (const room of rooms) {
    conversation.type(`/join ${room}`);
    theOnly().answer();
    await seen();
  }
}

const state = (user: string) => ({ user, status: 'online' as const, devices: 1 });
const message = (room: string, text: string) => ({
  ...{ room, epoch: 'e', offset: 1, from: 'bob', mid: 'm', ts: 1 },
  data: text,
});

describe('a conversation', () => {
  it('begins in the rooms that were named, and listens to direct messages', async () => {
    const begun = conversation.begin(['tea', 'coffee']);
    expect(prompt).toBe('coffee');
    const [tea, coffee, connect] = client.asked.splice(0);
    expect([tea, coffee, connect].map((each) => each?.what)).toEqual([
      'join tea {"history":10,"presence":"full"}',
      'join coffee {"history":10,"presence":"full"}',
      'connect',
    ]);
    connect?.answer({ user: 'ann' });
    await seen();
    const inbox = theOnly();
    expect(inbox.what).toBe('join @user/ann {"visible":false}');
    inbox.answer();
    await begun;
    client.room('@user/ann').be('message', message('@user/ann', 'psst'));
    tea?.answer();
    expect(await seen()).toEqual(['[@user/ann] bob: "psst"', '# joined [tea] as ann; what you type goes there']);
  });

  it('says what is typed in the current room, and only failures are told', async () => {
    conversation.type('hello?');
    expect(await seen()).toEqual(['! not_joined: no room yet: /join ROOM first, /help for more']);
    await joined('tea', 'coffee');
    conversation.type('one');
    conversation.type('//two');
    const [one, two] = client.asked.splice(0);
    expect([one?.what, two?.what]).toEqual(['publish coffee {"text":"one"}', 'publish coffee {"text":"/two"}']);
    expect(conversation.unacknowledged).toBe(2);
    one?.answer();
    two?.refuse('timed_out');
    expect(await seen()).toEqual(['! timed_out: words: "/two"']);
    expect(conversation.unacknowledged).toBe(0);
  });

  it('tells when all is settled, and how many failed', async () => {
    await joined('tea');
    for (const line of ['one', 'two', 'three']) conversation.type(line);
    const settled = conversation.settled();
    const [one, two, three] = client.asked.splice(0);
    one?.answer();
    two?.refuse('forbidden');
    three?.refuse('closed');
    expect(await settled).toBe(2);
    expect(conversation.unacknowledged).toBe(0);
  });

  it('moves between rooms', async () => {
    await joined('tea', 'coffee');
    expect(prompt).toBe('coffee');
    conversation.type('/join tea');
    expect(await seen()).toEqual(['# back in [tea]']);
    expect(prompt).toBe('tea');
    conversation.type('/leave coffee');
    expect(prompt).toBe('tea');
    conversation.type('/leave');
    expect(prompt).toBeNull();
    const [coffee, tea] = client.asked.splice(0);
    coffee?.answer();
    tea?.answer();
    expect(await seen()).toEqual(['# left [coffee]; back in [tea]', '# left [tea]']);
    conversation.type('/leave');
    conversation.type('/leave tea');
    expect(await seen()).toEqual([
      '! not_joined: no room yet: /join ROOM first, /help for more',
      '! not_joined: you are not in tea',
    ]);
  });

  it('hears of a room once, also after leaving and joining it again', async () => {
    await joined('tea');
    conversation.type('/leave');
    theOnly().answer();
    await joined('tea');
    client.room('tea').be('message', message('tea', 'once'));
    expect(await seen()).toEqual(['[tea] bob: "once"']);
  });

  it('tells of who comes, goes and changes, and not of who was there before', async () => {
    conversation.type('/join tea');
    const tea = client.room('tea');
    tea.be('presence', { joined: [state('ann'), state('bob')], left: [], changed: [] });
    expect(await seen()).toEqual([]);
    theOnly().answer();
    await seen();
    tea.be('presence', {
      joined: [state('carl')],
      left: [state('bob')],
      changed: [{ ...state('ann'), status: 'away' }],
    });
    expect(await seen()).toEqual(['* carl is online', '* ann is away', '* bob left [tea]']);
  });

  it('joins without hearing who is there, where that alone is not granted', async () => {
    conversation.type('/join tea');
    theOnly().refuse('forbidden');
    client.room('tea').be('left', { code: 'forbidden', message: '' });
    expect(await seen()).toEqual([]);
    const again = theOnly();
    expect(again.what).toBe('join tea {"history":10}');
    again.answer();
    expect(await seen()).toEqual(['# joined [tea] as ann; what you type goes there']);
  });

  it('is not in a room that is refused', async () => {
    await joined('tea');
    conversation.type('/join secret');
    expect(prompt).toBe('secret');
    theOnly().refuse('forbidden');
    await seen();
    theOnly().refuse('forbidden');
    expect(await seen()).toEqual(['! forbidden: words']);
    expect(prompt).toBe('tea');
    conversation.type('/join full');
    theOnly().refuse('limit_exceeded');
    expect(await seen()).toEqual(['! limit_exceeded: words']);
    expect(prompt).toBe('tea');
  });

  it('leaves a room that it is taken out of', async () => {
    await joined('tea', 'coffee');
    client.room('coffee').be('left', { code: 'kicked', message: '' });
    expect(await seen()).toEqual(['# left [coffee]: you were removed']);
    expect(prompt).toBe('tea');
  });

  it('tells where messages may be missing', async () => {
    await joined('tea');
    client.room('tea').be('gap', { from: null, to: { epoch: 'e', offset: 1 } });
    expect(await seen()).toEqual(['gap in tea']);
  });

  it('sends direct messages, and tells that they are sent', async () => {
    conversation.type('/msg bob hi  there');
    const toBob = theOnly();
    expect(toBob.what).toBe('publish @user/bob {"text":"hi  there"}');
    expect(conversation.unacknowledged).toBe(1);
    toBob.answer();
    expect(await seen()).toEqual(['# sent to [@user/bob]']);
    // One's own are seen to come.
    conversation.type('/msg ann note to self');
    theOnly().answer();
    expect(await seen()).toEqual([]);
    conversation.type('/msg bob hi');
    theOnly().refuse('forbidden');
    expect(await seen()).toEqual(['! forbidden: words: "hi"']);
  });

  it('asks who is in a room', async () => {
    await joined('tea');
    conversation.type('/who');
    const who = theOnly();
    expect(who.what).toBe('presence of room tea');
    who.answer({ count: 2, version: 1, users: [state('ann'), state('bob')], more: false, partial: false });
    expect(await seen()).toEqual(['# [tea] 2 here: ann, bob']);
  });

  it.each([
    ['a room', 1, 0, ['# [x] 1 here: bob']],
    ['a user', 0, 1, ['# x is online']],
    ['both', 1, 1, ['# [x] 1 here: bob', '# x is online']],
    ['neither', 0, 0, ['# x is offline']],
  ])('asks of a name that may be anything and is %s', async (_what, count, devices, lines) => {
    conversation.type('/who x');
    const [room, user] = client.asked.splice(0);
    expect([room?.what, user?.what]).toEqual(['presence of room x', 'presence of x']);
    const users = count > 0 ? [state('bob')] : [];
    room?.answer({ count, version: 1, users, more: false, partial: false });
    user?.answer({ user: 'x', status: devices > 0 ? 'online' : 'offline', devices, lastSeenMs: 0 });
    expect(await seen()).toEqual(lines);
  });

  it('tells of a name that it may not ask for', async () => {
    conversation.type('/who x');
    for (const question of client.asked.splice(0)) question.refuse('forbidden');
    expect(await seen()).toEqual(['! forbidden: words']);
  });

  it('shows history', async () => {
    await joined('tea');
    conversation.type('/history 2');
    const asking = theOnly();
    expect(asking.what).toBe('history tea {"limit":2}');
    const gap = { from: null, to: { epoch: 'e', offset: 1 } };
    asking.answer({ messages: [message('tea', 'one'), message('tea', 'two')], gap });
    expect(await seen()).toEqual(['gap in tea', '[tea] bob: "one"', '[tea] bob: "two"', '# that was [tea] (2)']);
    conversation.type('/history');
    theOnly().answer({ messages: [] });
    expect(await seen()).toEqual(['# nothing was said in [tea] yet']);
  });

  it('has a status, and answers', async () => {
    conversation.type('/status away at lunch');
    const status = theOnly();
    expect(status.what).toBe('status away at lunch');
    status.answer();
    conversation.type('/ping');
    theOnly().answer(1);
    expect(await seen()).toEqual(['# you are away now', '# pong']);
    conversation.type('/status dnd');
    theOnly().refuse('rate_limited');
    expect(await seen()).toEqual(['! rate_limited: words']);
  });

  it('helps, and says what it does not understand', async () => {
    conversation.type('/help');
    expect(await seen()).toContain('# /quit                   goodbye');
    conversation.type('/dance');
    expect((await seen())[0]).toMatch(/^! bad_request: unknown command \/dance/);
    conversation.type('   ');
    expect(await seen()).toEqual([]);
    expect(asked()).toEqual([]);
  });

  it('ends when it is asked to', () => {
    conversation.type('/quit');
    expect(quits).toBe(1);
  });
});
