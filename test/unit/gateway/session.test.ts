import { describe, expect, it } from 'vitest';
import { OutboxFlusher, UnsharedBytes } from '../../../src/gateway/outbox.ts';
import { Session, type SessionHost } from '../../../src/gateway/session.ts';
import { Grants } from '../../../src/identity/grants.ts';
import type { SessionRates } from '../../../src/limits/session-limits.ts';
import { TimerWheel } from '../../../src/limits/timer-wheel.ts';
import { Tally } from '../../../src/observability/tally.ts';
import { BOUNDS } from '../../../src/protocol/bounds.ts';
import type { Command } from '../../../src/protocol/commands.ts';
import type { Dialect } from '../../../src/protocol/dialect.ts';
import { CommandError } from '../../../src/protocol/errors.ts';
import { ndjsonDialect } from '../../../src/protocol/json-dialect.ts';
import { TextDialect } from '../../../src/protocol/text-dialect.ts';
import { endOfTurn, FakeTransport } from './fake-transport.ts';
import { SETTINGS } from './gateway-settings.ts';

const OUTBOX_BYTES_MAX = 1_000_000;

/** A node of which the test is the handlers: commands are recorded, and answered as it says. */
class FakeHost implements SessionHost {
  readonly flusher = new OutboxFlusher();
  readonly unshared = new UnsharedBytes(Number.MAX_SAFE_INTEGER);
  readonly outboxBytesMax = OUTBOX_BYTES_MAX;
  readonly wheel = new TimerWheel();
  readonly liveness = SETTINGS.liveness;
  rates: SessionRates = SETTINGS.rates;
  readonly tally = new Tally();
  readonly dispatched: Command[] = [];
  endedCount = 0;
  leaving: boolean | null = null;
  onCommand: (session: Session, command: Command) => void = () => {};

  afterMs(): number {
    return 250;
  }

  dispatch(session: Session, command: Command): void {
    this.dispatched.push(command);
    this.onCommand(session, command);
  }

  ended(_session: Session, isLeaving: boolean): void {
    this.leaving = isLeaving;
    this.endedCount += 1;
  }

  get ops(): string[] {
    return this.dispatched.map((command) => ('id' in command ? `${command.op} ${command.id}` : command.op));
  }
}

function open(dialect: Dialect = ndjsonDialect) {
  const transport = new FakeTransport();
  const host = new FakeHost();
  const session = new Session('s1', transport, dialect, host);
  transport.attach(session);
  return { transport, host, session };
}

function answerAll(session: Session, command: Command): void {
  if (command.op === 'ping') session.reply('ping', command.id, { serverMs: 1 });
}

const ping = (id: number) => ({ op: 'ping', id });
const publish = (id: number) => ({ op: 'publish', id, room: 'a', mid: `m${id}`, data: id });
const ANN = { user: 'ann', device: 'phone', grants: Grants.of({ join: [], publish: [], presence: [] }, 'ann') };
const DISCONNECT = { push: 'disconnect', code: 3501, reason: 'protocol_error', reconnect: null };

describe('Session', () => {
  it('executes commands in order, wherever the bytes are cut, and writes once a turn', async () => {
    const { transport, host } = open();
    host.onCommand = answerAll;
    const bytes = Buffer.from([1, 2, 3, 4].map((id) => `${JSON.stringify(ping(id))}\r\n`).join('\n'));
    transport.send(bytes.subarray(0, 30));
    transport.send(bytes.subarray(30));
    expect(host.ops).toEqual(['ping 1', 'ping 2', 'ping 3', 'ping 4']);
    expect(transport.writes).toEqual([]);
    await endOfTurn();
    expect(transport.writes).toEqual([4]);
    expect(transport.order).toEqual([1, 2, 3, 4]);
  });

  it('answers what cannot be read, and goes on', async () => {
    const { transport, host } = open();
    host.onCommand = answerAll;
    transport.send(ping(1), 'nonsense', { op: 'shout', id: 2 }, ping(3));
    await endOfTurn();
    expect(transport.order).toEqual([1, null, 2, 3]);
    expect(host.ops).toEqual(['ping 1', 'ping 3']);
    expect(transport.said[1]).toMatchObject({ id: null, error: { code: 'bad_request' } });
  });

  it('says nothing of replies that come after its end', async () => {
    const { transport, host, session } = open();
    transport.send(ping(1), ping(2));
    session.quit();
    session.reply('ping', 1, { serverMs: 1 });
    session.fail(2, new CommandError('internal', 'x'));
    session.push(Buffer.from('x'));
    session.resync('a', { epoch: 'e', offset: 1 }, undefined);
    session.disconnect('kicked');
    session.quit();
    await endOfTurn();
    expect(transport.written).toEqual([]);
    expect(transport.closes).toEqual([{ code: 1000, reason: '' }]);
    expect(host.endedCount).toBe(1);
    expect(session.state).toBe('ended');
    transport.send(ping(3));
    expect(host.ops).toEqual(['ping 1', 'ping 2']);
  });

  it('has its user and device from when it is connected', () => {
    const { session } = open();
    expect(session).toMatchObject({ state: 'unconnected', wasConnected: false });
    expect(() => session.identity).toThrow('not connected');
    session.connected(ANN, true);
    expect(session).toMatchObject({ state: 'connected', user: 'ann', identity: ANN });
    session.quit();
    expect(session).toMatchObject({ state: 'ended', user: 'ann', wasConnected: true });
  });

  it('executes no more when it stops reading, and still answers', async () => {
    const { transport, host, session } = open();
    transport.send(ping(1));
    session.stopReading();
    transport.send(ping(2));
    session.reply('ping', 1, { serverMs: 1 });
    await endOfTurn();
    expect(host.ops).toEqual(['ping 1']);
    expect(transport.order).toEqual([1]);
    session.disconnect('drain');
    const reconnect = { afterMs: 250 };
    expect(transport.said.at(-1)).toEqual({ push: 'disconnect', code: 3000, reason: 'drain', reconnect });
    expect(transport.closes).toEqual([{ code: 3000, reason: 'drain' }]);
  });

  it('tells the host when the connection is gone, once, and keeps no bytes', async () => {
    const { transport, host, session } = open();
    transport.isStuck = true;
    transport.send('nonsense');
    await endOfTurn();
    expect(host.unshared.bytes).toBeGreaterThan(0);
    transport.vanish();
    expect(host.endedCount).toBe(1);
    expect(session.state).toBe('ended');
    expect(host.unshared.bytes).toBe(0);
  });
});

describe('lines that cannot be read', () => {
  const bad = ['nonsense', '[]', '{"op":"ping"}', '{"id":1,"id":1}', '\ufeff{}'];

  it('end the session when there are ten in a row', async () => {
    const { transport, host } = open();
    transport.send(...bad, ...bad.slice(1));
    await endOfTurn();
    expect(transport.closes).toEqual([]);
    transport.send('nonsense', ping(1));
    expect(transport.order).toEqual([...Array(10).fill(null), 'disconnect']);
    expect(transport.said.at(-1)).toEqual(DISCONNECT);
    expect(transport.closes).toEqual([{ code: 3501, reason: 'protocol_error' }]);
    expect(host.endedCount).toBe(1);
    expect(host.ops).toEqual([]);
  });

  it.each([
    ['a command', '{"op":"ping","id":1}'],
    ['a refused command with an id', '{"op":"shout","id":1}'],
    ['a pong', '{"op":"pong"}'],
  ])('are counted from the start again after %s', async (_name, readable) => {
    const { transport } = open();
    transport.send(...bad, ...bad.slice(1), readable, ...bad, ...bad.slice(1));
    await endOfTurn();
    expect(transport.closes).toEqual([]);
    transport.send('nonsense');
    expect(transport.closes).toEqual([{ code: 3501, reason: 'protocol_error' }]);
  });

  it('are not counted from the start again after an empty line', () => {
    const { transport } = open();
    transport.send(...bad, '', ' \t\r', ...bad);
    expect(transport.closes).toHaveLength(1);
  });

  it('end the session at once when one is too long, behind the answers to what came before', () => {
    const { transport, host } = open();
    host.onCommand = answerAll;
    transport.send(ping(1), 'x'.repeat(BOUNDS.frameBytesMax + 1), ping(2));
    expect(transport.order).toEqual([1, null, 'disconnect']);
    expect(transport.said.at(-1)).toEqual(DISCONNECT);
    expect(host.ops).toEqual(['ping 1']);
  });

  it('do not count in text mode where they were understood', () => {
    const { transport } = open(new TextDialect());
    const unreadable = Buffer.from([0xff, 0x0a]);
    transport.send(...Array<string>(12).fill('/dance'), ...Array<Buffer>(9).fill(unreadable), '/help');
    expect(transport.closes).toEqual([]);
    transport.send(...Array<Buffer>(10).fill(unreadable));
    expect(transport.closes).toEqual([{ code: 3501, reason: 'protocol_error' }]);
  });
});

describe('an id', () => {
  it('cannot be used while it is unanswered', async () => {
    const { transport, host, session } = open();
    transport.send(ping(1), ping(1), ping(2), { op: 'shout', id: 1 });
    await endOfTurn();
    expect(host.ops).toEqual(['ping 1', 'ping 2']);
    expect(transport.order).toEqual([null, null]);
    expect(transport.said[0]).toMatchObject({ error: { code: 'bad_request' } });
    expect(session.gate.unansweredCount).toBe(2);
    session.reply('ping', 1, { serverMs: 1 });
    transport.send(ping(1));
    expect(host.ops).toEqual(['ping 1', 'ping 2', 'ping 1']);
  });

  it('can be used again behind an error', () => {
    const { transport, host, session } = open();
    transport.send(ping(1));
    session.fail(1, new CommandError('unavailable', 'x'));
    transport.send(ping(1));
    expect(host.ops).toEqual(['ping 1', 'ping 1']);
  });

  it('counts as an unreadable line where it is used again', () => {
    const { transport } = open();
    transport.send(...Array<object>(10).fill(ping(1)));
    expect(transport.closes).toEqual([]);
    transport.send(ping(1));
    expect(transport.closes).toEqual([{ code: 3501, reason: 'protocol_error' }]);
  });

  it('is free after a refusal, which was its answer', () => {
    const { transport, host } = open();
    transport.send({ op: 'shout', id: 1 }, ping(1));
    expect(host.ops).toEqual(['ping 1']);
  });
});

describe('commands wait', () => {
  const big = 'x'.repeat(100_000);
  const leave = (id: number) => ({ op: 'leave', id, room: 'a' });

  /** Answers each leave with 100 KB. */
  function answerBig(session: Session, command: Command): void {
    if (command.op === 'leave') session.reply('leave', command.id, { room: big });
  }

  it('while more than 256 KiB wait to be sent, until all is sent', async () => {
    const { transport, host } = open();
    host.onCommand = answerBig;
    transport.isStuck = true;
    transport.send(...[1, 2, 3, 4, 5, 6, 7].map(leave));
    expect(host.ops).toEqual(['leave 1', 'leave 2', 'leave 3']);
    await endOfTurn();
    expect(transport.order).toEqual([1, 2, 3]);
    expect(host.ops).toHaveLength(3);
    transport.send(ping(8));
    expect(host.ops).toHaveLength(3);
    transport.drain();
    await endOfTurn();
    expect(transport.order).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(host.ops.at(-1)).toBe('ping 8');
    expect(transport.closes).toEqual([]);
  });

  it('while more than 256 KiB wait, and so do lines that cannot be read', async () => {
    const { transport, host, session } = open();
    transport.isStuck = true;
    session.push(Buffer.alloc(BOUNDS.repliesBytesMax, 'x'));
    transport.send('nonsense', 'nonsense', ping(1));
    await endOfTurn();
    // Just at the bound one more is read, and its answer is above it.
    expect(transport.written.slice(1).map((error) => JSON.parse(error.toString()))).toMatchObject([{ id: null }]);
    transport.drain();
    await endOfTurn();
    expect(transport.written.slice(1)).toHaveLength(2);
    expect(host.ops).toEqual(['ping 1']);
  });

  it('from the 33rd publish on, until one is answered, and then in order', () => {
    const { transport, host, session } = open();
    host.onCommand = (_session, command) => {
      if (command.op === 'publish') session.gate.publishBegun();
    };
    const count = BOUNDS.publishesUnansweredMax;
    transport.send(...Array.from({ length: count + 2 }, (_, i) => publish(i)), ping(100));
    expect(host.dispatched).toHaveLength(count);
    session.gate.publishEnded();
    expect(host.ops.slice(count)).toEqual([`publish ${count}`]);
    session.gate.publishEnded();
    expect(host.ops.slice(count)).toEqual([`publish ${count}`, `publish ${count + 1}`, 'ping 100']);
  });

  it('for a read under way in the same room, and for more than two in any', () => {
    const { transport, host, session } = open();
    const ended = new Map<number, () => void>();
    host.onCommand = (_session, command) => {
      if (command.op === 'join' || command.op === 'history')
        ended.set(command.id, session.gate.readBegun(command.room));
    };
    transport.send(
      { op: 'join', id: 1, room: 'a' },
      { op: 'history', id: 2, room: 'b', limit: 1 },
      { op: 'leave', id: 3, room: 'c' },
      { op: 'join', id: 4, room: 'c' },
      ping(5),
    );
    expect(host.ops).toEqual(['join 1', 'history 2', 'leave 3']);
    ended.get(1)?.();
    expect(host.ops.slice(3)).toEqual(['join 4', 'ping 5']);
    transport.send({ op: 'leave', id: 6, room: 'b' }, ping(7));
    expect(host.ops.slice(5)).toEqual([]);
    ended.get(4)?.();
    expect(host.ops.slice(5)).toEqual([]);
    ended.get(2)?.();
    expect(host.ops.slice(5)).toEqual(['leave 6', 'ping 7']);
  });

  it('and go on without new bytes', () => {
    const { transport, host, session } = open();
    const done: (() => void)[] = [];
    host.onCommand = (_session, command) => {
      if (command.op === 'history') done.push(session.gate.readBegun(command.room));
    };
    transport.send({ op: 'history', id: 1, room: 'a', limit: 1 }, { op: 'history', id: 2, room: 'a', limit: 1 });
    expect(host.ops).toEqual(['history 1']);
    done[0]?.();
    expect(host.ops).toEqual(['history 1', 'history 2']);
  });
});

describe('pushes', () => {
  it('may fill the outbox exactly, and one byte more ends the session', async () => {
    const { transport, host, session } = open();
    transport.isStuck = true;
    session.push(Buffer.alloc(OUTBOX_BYTES_MAX / 2, '\n'));
    await endOfTurn();
    expect(transport.bufferedBytes).toBe(OUTBOX_BYTES_MAX / 2);
    session.push(Buffer.alloc(OUTBOX_BYTES_MAX / 2, '\n'));
    expect(transport.closes).toEqual([]);
    session.push(Buffer.from('\n'));
    expect(transport.closes).toEqual([{ code: 3001, reason: 'slow_consumer' }]);
    expect(host.endedCount).toBe(1);
    const last = transport.written.at(-1)?.toString() ?? '';
    expect(JSON.parse(last)).toMatchObject({ push: 'disconnect', code: 3001, reconnect: { afterMs: 250 } });
  });

  it('come in the order of what else is said', async () => {
    const { transport, host, session } = open();
    host.onCommand = answerAll;
    transport.send(ping(1));
    session.push(Buffer.from('{"push":"message"}\n'));
    transport.send(ping(2));
    session.resync('a', { epoch: 'e', offset: 3 }, undefined);
    await endOfTurn();
    expect(transport.order).toEqual([1, 'message', 2, 'resync']);
  });
});

describe('the end of the client’s side', () => {
  it('is followed by ours when everything that came is answered', async () => {
    const { transport, host, session } = open();
    transport.send(ping(1), ping(2), Buffer.from('{"op":"ping","id":3}'));
    transport.end();
    session.reply('ping', 2, { serverMs: 1 });
    await endOfTurn();
    expect(transport.closes).toEqual([]);
    session.reply('ping', 1, { serverMs: 1 });
    await endOfTurn();
    expect(transport.order).toEqual([2, 1]);
    expect(transport.closes).toEqual([{ code: 1000, reason: '' }]);
    expect(host.ops).toEqual(['ping 1', 'ping 2']);
    expect(host.endedCount).toBe(1);
  });

  it('waits for commands that are held', async () => {
    const { transport, host, session } = open();
    const done: (() => void)[] = [];
    host.onCommand = (_session, command) => {
      if (command.op === 'history') done.push(session.gate.readBegun(command.room));
      answerAll(session, command);
    };
    transport.send({ op: 'history', id: 1, room: 'a', limit: 1 }, { op: 'leave', id: 2, room: 'a' }, ping(3));
    transport.end();
    session.fail(1, new CommandError('unavailable', 'x'));
    await endOfTurn();
    expect(transport.closes).toEqual([]);
    done[0]?.();
    expect(host.ops).toEqual(['history 1', 'leave 2', 'ping 3']);
    session.reply('leave', 2, { room: 'a' });
    await endOfTurn();
    expect(transport.order).toEqual([1, 3, 2]);
    expect(transport.closes).toHaveLength(1);
  });

  it('ends a session at once that has nothing to say', async () => {
    const { transport } = open();
    transport.end();
    await endOfTurn();
    expect(transport.closes).toEqual([{ code: 1000, reason: '' }]);
  });
});

describe('a disconnect from outside', () => {
  /** Whatever the client sends now is held, behind 300 KB that are queued and not written yet. */
  function openWithHeld() {
    const opened = open();
    opened.session.connected(ANN, true);
    opened.session.push(Buffer.from(`${' '.repeat(300_000)}\n`));
    return opened;
  }

  it('is the last thing said, and commands that were held are not executed any more', async () => {
    const { transport, host, session } = openWithHeld();
    transport.send(publish(1), ping(2));
    expect(host.ops).toEqual([]);
    session.disconnect('replaced');
    await endOfTurn();
    expect(host.ops).toEqual([]);
    expect(transport.written.at(-1)?.toString()).toContain('"replaced"');
  });

  it('ends the session once, whatever was held', () => {
    const { transport, host, session } = openWithHeld();
    host.onCommand = (of, command) => {
      if (command.op === 'quit') of.quit();
    };
    transport.send({ op: 'quit', id: 1 });
    session.disconnect('replaced');
    expect(host.endedCount).toBe(1);
    expect(transport.closes).toEqual([{ code: 3504, reason: 'replaced' }]);
  });
});
