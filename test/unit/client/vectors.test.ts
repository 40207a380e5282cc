import { describe, expect, it, vi } from 'vitest';
import type { JoinOptions, Room } from '../../../src/client/client.ts';
import { DISCONNECTS, type DisconnectReason } from '../../../src/protocol/disconnects.ts';
import type { ErrorCode } from '../../../src/protocol/errors.ts';
import type { Gap, Position } from '../../../src/protocol/position.ts';
import type { LeftCode, RoomPresencePush, UserPresencePush } from '../../../src/protocol/presence-push.ts';
import type { RepliedOp } from '../../../src/protocol/replies.ts';
import { loadVectors, type PublicationVector, type Text, textOf } from '../protocol/vectors.ts';
import { settled } from './fake-environment.ts';
import { LIMITS, onlineWorld, outcomeOf, page, WELCOME, type World, worldOf } from './virtual-server.ts';

interface Joined extends Record<string, unknown> {
  readonly messages: readonly PublicationVector[];
  readonly position: Position;
  readonly gap?: Gap;
  readonly presence?: { readonly count: number; readonly users?: readonly object[] };
}

const vectors = loadVectors<{
  messages: { name: string; publication: PublicationVector; line: Text }[];
  replies: { name: string; op: RepliedOp; id: number; ok: object; line: Text }[];
  errors: { name: string; id: number | null; error: ErrorVector; line: Text }[];
  presences: { name: string; push: RoomPresencePush | UserPresencePush; line: Text }[];
  signals: { name: string; room: string; from: string; data: Text; line: Text }[];
  lefts: { name: string; room: string; code: LeftCode; line: Text }[];
  heartbeats: { name: string; line: Text }[];
  resyncs: { name: string; room: string; position: Position; gap?: Gap; line: Text }[];
  disconnects: DisconnectVector[];
}>('pushes');

interface ErrorVector {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryAfterMs?: number;
}

interface DisconnectVector {
  readonly name: string;
  readonly reason: DisconnectReason;
  readonly words?: string;
  readonly reconnects: boolean;
  readonly afterMs: number | null;
  readonly line: Text;
}

/** What a listener is to get of a publication. */
function messageOf({ value, room, epoch, offset, ts }: PublicationVector): object {
  return { room, epoch, offset, ts, ...JSON.parse(textOf(value)) };
}

/** A client that is live in that room behind that position. */
async function liveIn(name: string, position: Position, options: JoinOptions = {}, presence?: object) {
  const world = await onlineWorld();
  const room = world.client.room(name);
  outcomeOf(room.join(options));
  await world.server.ok('join', { ...page([]), position, presence });
  return { ...world, room, events: eventsOf(room) };
}

/** All that a room tells from now on. */
function eventsOf(room: Room): unknown[] {
  const events: unknown[] = [];
  room.on('message', (message) => events.push({ message }));
  room.on('gap', (gap) => events.push({ gap }));
  room.on('signal', (signal) => events.push({ signal }));
  room.on('presence', (presence) => events.push({ presence }));
  room.on('left', (left) => events.push({ left }));
  return events;
}

/** The line, as the answer to that command. */
function answer(line: Text, id: number): string {
  return textOf(line).replace(/^\{"id":(\d+|null)/, `{"id":${id}`);
}

/** Has the client say the command of that op which the line answers; resolves with what it made of it. */
const askers: Readonly<
  Record<Exclude<RepliedOp, 'connect' | 'join' | 'refresh'>, (world: World, ok: object) => Promise<unknown>>
> = {
  leave: ({ client }) => client.room('lobby').leave(),
  publish: ({ client }) => client.room('lobby').publish(1),
  signal: ({ client }) => client.room('lobby').signal(1),
  presence: ({ client }, ok) => ('user' in ok ? client.presence(String(ok.user)) : client.room('lobby').presence()),
  watch: ({ client }) => client.watch(['ann', 'bob']),
  unwatch: ({ client }) => client.unwatch(['ann']),
  status: ({ client }) => client.status('dnd'),
  history: ({ client }) => client.room('lobby').history({ limit: 1 }),
  ping: ({ client }) => client.ping(),
};

/** What the call resolves with. */
function resultOf(op: RepliedOp, ok: object): unknown {
  if ('serverMs' in ok) return ok.serverMs;
  if (op === 'watch') return (ok as { users: unknown }).users;
  if (op === 'history') {
    const history = ok as Joined;
    return { ...history, messages: history.messages.map(messageOf) };
  }
  return op === 'publish' || op === 'presence' ? ok : undefined;
}

function isAsked(op: RepliedOp): op is keyof typeof askers {
  return op in askers;
}

describe('messages', () => {
  it.each(vectors.messages)('$name', async ({ publication, line }) => {
    const { room, epoch, offset } = publication;
    const { events, server, client } = await liveIn(room, { epoch, offset: offset - 1 });
    await server.say(textOf(line));
    expect(events).toEqual([{ message: messageOf(publication) }]);
    expect(client.state.name).toBe('online');
  });
});

describe('replies', () => {
  it.each(vectors.replies.filter(({ op }) => isAsked(op)))('$op: $name', async ({ op, ok, line }) => {
    const world = await onlineWorld();
    if (op === 'leave') {
      outcomeOf(world.client.room('lobby').join());
      await world.server.ok('join', page([]));
    }
    const result = outcomeOf(askers[op as keyof typeof askers](world, ok));
    await settled();
    await world.server.say(answer(line, world.server.take(op).id));
    expect(result).toStrictEqual({ value: resultOf(op, ok) });
    expect(world.client.state.name).toBe('online');
  });

  it.each(vectors.replies.filter(({ op }) => op === 'join'))('join: $name', async ({ ok, line }) => {
    const world = await onlineWorld();
    const room = world.client.room('lobby');
    const events = eventsOf(room);
    outcomeOf(room.join({ presence: 'full' }));
    await settled();
    await world.server.say(answer(line, world.server.take('join').id));
    const { messages, position, gap, presence, more } = ok as Joined;
    const users = presence?.users ?? [];
    expect(events).toEqual([
      ...(presence === undefined ? [] : [{ presence: { joined: users, left: [], changed: [] } }]),
      ...(gap === undefined ? [] : [{ gap }]),
      ...messages.map((publication) => ({ message: messageOf(publication) })),
    ]);
    expect(room.position).toEqual(position);
    expect(room.state).toBe(more === true ? 'catching_up' : 'live');
    if (presence !== undefined) expect(room.count).toBe(presence.count);
    expect([...room.users.values()]).toEqual(users);
    expect(world.client.state.name).not.toBe('waiting');
  });

  it.each(vectors.replies.filter(({ op }) => op === 'connect'))('connect: $name', async ({ ok, line }) => {
    const { client, server } = worldOf();
    const session = outcomeOf(client.connect());
    await server.open();
    await server.say(answer(line, server.take('connect').id));
    expect(session.value).toEqual(ok);
    expect(client.state.name).toBe('online');
  });

  it.each(vectors.replies.filter(({ op }) => op === 'refresh'))('refresh: $name', async ({ ok, line }) => {
    const world = worldOf({ token: () => 't' });
    outcomeOf(world.client.connect());
    await settled();
    const { expiresAtMs } = ok as { expiresAtMs: number };
    world.environment.setWallBack(world.environment.wallMs() - expiresAtMs + 100_000);
    await world.server.accept({ heartbeatMs: 0, expiresAtMs: expiresAtMs - 50_000 });
    await world.environment.pass(40_000);
    await world.server.say(answer(line, world.server.take('refresh').id));
    expect(world.environment.timers).toEqual([48_000]);
  });
});

describe('errors', () => {
  it.each(vectors.errors)('$name', async ({ id, error, line }) => {
    const { client, server } = await onlineWorld();
    const asked = outcomeOf(client.room('tea').signal(1));
    await settled();
    const command = server.take('signal');
    await server.say(id === null ? textOf(line) : answer(line, command.id));
    const { code, message, retryAfterMs } = error;
    if (id === null) expect(asked).toStrictEqual({});
    else expect(asked.error).toMatchObject({ code, message: `${code}: ${message}`, retryAfterMs });
    expect(client.state.name).toBe('online');
  });
});

describe('presences', () => {
  const ofRooms = vectors.presences.flatMap(({ name, push, line }) => ('room' in push ? [{ name, push, line }] : []));
  const ofUsers = vectors.presences.flatMap(({ name, push, line }) => ('room' in push ? [] : [{ name, push, line }]));

  it.each(ofRooms)('of a room: $name', async ({ push, line }) => {
    const { joined = [], left = [], changed = [] } = push;
    const known = [...left, ...changed].map((state) => ({ ...state, devices: state.devices + 1 }));
    const before = { count: 7, version: 0, users: known };
    const { events, room, server, client } = await liveIn(
      push.room,
      { epoch: 'e', offset: 0 },
      { presence: 'full' },
      before,
    );
    await server.say(textOf(line));
    expect(events).toEqual([{ presence: { joined, left, changed } }]);
    expect(room.count).toBe(push.count);
    expect([...room.users.values()]).toEqual([...changed, ...joined]);
    expect(client.state.name).toBe('online');
  });

  it.each(ofUsers)('of a user: $name', async ({ push, line }) => {
    const { client, server } = await onlineWorld();
    const told = vi.fn();
    client.on('presence', told);
    outcomeOf(client.watch([push.user]));
    await server.ok('watch', { users: [] });
    await server.say(textOf(line));
    expect(told.mock.calls).toEqual([[push]]);
    expect(client.state.name).toBe('online');
  });
});

describe('signals', () => {
  it.each(vectors.signals)('$name', async ({ room, from, data, line }) => {
    const { events, server, client } = await liveIn(room, { epoch: 'e', offset: 0 });
    await server.say(textOf(line));
    expect(events).toEqual([{ signal: { from, data: JSON.parse(textOf(data)) } }]);
    expect(client.state.name).toBe('online');
  });
});

describe('lefts', () => {
  it.each(vectors.lefts)('$name', async ({ room: name, code, line }) => {
    const { events, server, client, room } = await liveIn(name, { epoch: 'e', offset: 0 });
    await server.say(textOf(line));
    expect(events).toMatchObject([{ left: { code } }]);
    expect(room.state).toBe('idle');
    expect(client.state.name).toBe('online');
  });
});

describe('heartbeats', () => {
  it.each(vectors.heartbeats)('$name', async ({ line }) => {
    const { server, client } = await onlineWorld();
    await server.say(textOf(line));
    expect(server.frames.at(-1)).toEqual([{ op: 'pong' }]);
    expect(client.state.name).toBe('online');
  });
});

describe('resyncs', () => {
  it.each(vectors.resyncs)('$name', async ({ room: name, position, gap, line }) => {
    const before = gap?.from ?? { epoch: 'e1', offset: 4 };
    const { events, server, client } = await liveIn(name, before);
    await server.say(textOf(line));
    expect(events).toEqual(gap === undefined ? [] : [{ gap }]);
    expect(server.take('join')).toMatchObject({ room: name, since: gap === undefined ? before : position });
    expect(client.state.name).toBe('resyncing');
  });
});

describe('disconnects', () => {
  it.each(vectors.disconnects)('$name', async ({ reason, words, reconnects, afterMs, line }) => {
    const { server, client, environment } = await onlineWorld();
    await server.say(textOf(line));
    const told = words ?? reason;
    if (reconnects) {
      const retryAtMs = environment.wallMs() + (afterMs as number);
      expect(client.state).toEqual({ name: 'waiting', reason: told, retryAtMs });
    } else {
      expect(client.state).toEqual({ name: 'closed', reason: told, code: DISCONNECTS[reason].code });
    }
  });
});

it('leaves out no vector', () => {
  expect(Object.keys(vectors).sort()).toEqual(
    ['messages', 'replies', 'errors', 'presences', 'signals', 'lefts', 'heartbeats', 'resyncs', 'disconnects'].sort(),
  );
  for (const { op } of vectors.replies) expect([...Object.keys(askers), 'connect', 'join', 'refresh']).toContain(op);
});

it('greets as the vectors do', () => {
  const connect = vectors.replies.find(({ op }) => op === 'connect')?.ok as typeof WELCOME;
  expect(Object.keys(WELCOME).sort()).toEqual(Object.keys(connect).sort());
  expect(Object.keys(LIMITS).sort()).toEqual(Object.keys(connect.limits).sort());
});
