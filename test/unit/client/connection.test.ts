import { describe, expect, it } from 'vitest';
import { begin, beginOpen, call, endOf } from './connection-world.ts';
import { settled } from './fake-environment.ts';

describe('a connection', () => {
  it.each([
    [null, ['tidegate.v1']],
    ['abc', ['tidegate.v1', 'tidegate.ticket.abc']],
  ])('offers the ticket %s in the subprotocols', (ticket, subprotocols) => {
    const { socket } = begin(ticket);
    expect(socket.url).toBe('ws://gateway/ws');
    expect(socket.subprotocols).toEqual(subprotocols);
  });

  it('tells that it is open', () => {
    const { socket, told } = begin();
    expect(told).toEqual([]);
    socket.opens();
    expect(told).toEqual(['open']);
  });

  it('does not tell it once it was given up', () => {
    const { socket, told, connection } = begin();
    void connection.close();
    // A browser may have told it before it was asked to close.
    socket.state = 'opening';
    socket.opens();
    expect(told).toEqual([]);
  });

  it('gives every command an id of its own, and the outcome to whoever asked', async () => {
    const { connection, socket } = beginOpen();
    const first = call(connection, '"op":"a"');
    const second = call(connection, '"op":"b"');
    await settled();
    expect(socket.sent).toEqual(['{"id":0,"op":"a"}\n{"id":1,"op":"b"}']);
    socket.says({ id: 1, ok: { b: 1 } });
    expect(first).toEqual([]);
    expect(second).toEqual([{ ok: { b: 1 } }]);
    socket.says({ id: 0, error: { code: 'overloaded', message: 'no', retryAfterMs: 5 } });
    expect(first).toMatchObject([
      { error: { code: 'overloaded', message: 'overloaded: no', wasSent: true, retryAfterMs: 5 } },
    ]);
    // Answers to nobody, and second answers, are none.
    socket.says({ id: 0, ok: {} }, { id: 7, ok: {} }, { id: null, error: { code: 'bad_request', message: 'what' } });
    expect(first).toHaveLength(1);
    expect(second).toHaveLength(1);
  });

  it('tells every command without an answer that there will be none, and then its end', async () => {
    const world = beginOpen();
    const { connection, socket, told } = world;
    call(connection, '"op":"a"');
    connection.call('"op":"b"', (outcome) => told.push(`b: ${outcome}`));
    const last = call(connection, '"op":"c"');
    await settled();
    socket.says({ id: 0, ok: {} });
    socket.closes(1001);
    expect(last).toEqual([null]);
    expect(told.map((each) => (typeof each === 'string' ? each : 'end'))).toEqual(['b: null', 'end']);
    expect(connection.call('"op":"d"', () => {})).toBe(false);
    expect(world.environment.timers).toEqual([]);
  });

  it('hands on pushes, line by line', () => {
    const { socket, told } = beginOpen();
    socket.says('{"push":"a"}\n\n{"push":"b","n":1}\n');
    expect(told).toEqual([{ push: 'a' }, { push: 'b', n: 1 }]);
  });

  it('answers heartbeats', async () => {
    const { socket, told } = beginOpen();
    socket.says({ push: 'heartbeat' });
    await settled();
    expect(socket.sent).toEqual(['{"op":"pong"}']);
    expect(told).toEqual([]);
  });
});

describe('a message of the client', () => {
  const bytesOf = (text: string) => Buffer.byteLength(text);

  it.each(['x', 'é', '€', '😀'])('is no longer than the server takes, in bytes of %s', async (letter) => {
    const { connection, socket } = beginOpen();
    connection.frameBytesMax = 1_000;
    for (let i = 0; i < 40; i += 1) call(connection, `"data":"${letter.repeat(20 + (i % 7))}"`);
    await settled();
    for (const message of socket.sent) expect(bytesOf(message)).toBeLessThanOrEqual(1_000);
    // As few of them as there may be, or nearly so.
    const bytes = socket.sent.reduce((sum, message) => sum + bytesOf(message) + 1, 0);
    expect(socket.sent.length).toBeLessThanOrEqual(Math.ceil(bytes / 900));
    const ids = socket.sent.flatMap((message) => message.split('\n').map((line) => JSON.parse(line).id));
    expect(ids).toEqual(Array.from({ length: 40 }, (_, i) => i));
  });

  it('is as long as the server takes', async () => {
    const { connection, socket } = beginOpen();
    connection.frameBytesMax = 100;
    const members = `"data":"${'é'.repeat(41)}"`;
    const outcomes = call(connection, members);
    await settled();
    expect(socket.sent.map(bytesOf)).toEqual([100]);
    expect(outcomes).toEqual([]);
  });

  it('is as long as every server takes, until this one has said what it takes', async () => {
    const { connection, socket } = beginOpen();
    const overhead = bytesOf('{"id":0,"data":""}');
    const outcomes = call(connection, `"data":"${'x'.repeat(65_536 - overhead)}"`);
    const tooLong = call(connection, `"data":"${'x'.repeat(65_537 - overhead)}"`);
    await settled();
    expect(socket.sent.map(bytesOf)).toEqual([65_536]);
    expect(outcomes).toEqual([]);
    expect(tooLong).toMatchObject([{ error: { code: 'bad_request' } }]);
  });

  it('holds as many lines as there is room for, with their line feeds', async () => {
    const { connection, socket } = beginOpen();
    connection.frameBytesMax = 100;
    // Lines of 49 bytes, and then one of 50.
    for (const length of [32, 32, 32, 32, 32, 33]) call(connection, `"data":"${'x'.repeat(length - 1)}"`);
    await settled();
    const lengths = socket.sent.map((message) => message.split('\n').map(bytesOf));
    expect(lengths).toEqual([[49, 49], [49, 49], [49], [50]]);
  });

  it('that is longer is not sent, and fails by itself', async () => {
    const { connection, socket } = beginOpen();
    connection.frameBytesMax = 100;
    const before = call(connection, '"op":"a"');
    const outcomes = call(connection, `"data":"${'é'.repeat(41)}x"`);
    expect(outcomes).toEqual([]);
    const behind = call(connection, '"op":"b"');
    await settled();
    expect(outcomes).toMatchObject([{ error: { code: 'bad_request' } }]);
    expect(socket.sent.join('\n').split('\n')).toHaveLength(2);
    expect([before, behind]).toEqual([[], []]);
  });

  it('holds what was said in the same turn', async () => {
    const { connection, socket } = beginOpen();
    call(connection, '"op":"a"');
    call(connection, '"op":"b"');
    await settled();
    call(connection, '"op":"c"');
    await settled();
    expect(socket.sent.map((message) => message.split('\n').length)).toEqual([2, 1]);
  });

  it('is not sent behind the end', async () => {
    const { connection, socket } = beginOpen();
    call(connection, '"op":"a"');
    socket.says({ push: 'disconnect', code: 3000, reason: 'drain', reconnect: { afterMs: 1 } });
    await settled();
    expect(socket.sent).toEqual([]);
  });
});

describe('what cannot be understood', () => {
  it.each([
    ['half a line', '{"push":"mess'],
    ['no JSON', 'hello'],
    ['bytes', new ArrayBuffer(2)],
    ['null', 'null'],
    ['an error without a code', '{"id":0,"error":null}'],
    ['a push that cannot be one', '{"push":"broken"}'],
  ])('ends the connection, to be tried again: %s', (_, data) => {
    const world = beginOpen();
    call(world.connection, '"op":"a"');
    world.socket.saysRaw(data);
    expect(endOf(world)).toMatchObject({ code: 4002, afterMs: null, isFinal: false });
    expect(endOf(world)?.reason).toMatch(/^not understood: /);
    expect(world.socket.closedWith?.code).toBe(4002);
    expect(world.environment.timers).toEqual([]);
  });

  it('ends it once; what comes behind is not heard', () => {
    const world = beginOpen();
    world.socket.saysRaw('{"push":"a"}\nhello\n{"push":"b"}');
    world.socket.saysRaw('{"push":"c"}');
    world.socket.closes(4002);
    expect(world.told).toHaveLength(2);
    expect(world.told[0]).toEqual({ push: 'a' });
  });
});

describe('the end of a connection', () => {
  it.each([
    [1000, '', 'closed with 1000', false],
    [1001, 'bye', 'bye', false],
    [1006, '', 'no connection', false],
    [1009, '', 'closed with 1009', false],
    [3000, 'drain', 'drain', false],
    [3499, '', 'closed with 3499', false],
    [3500, 'invalid_token', 'invalid_token', true],
    [3999, '', 'closed with 3999', true],
    [4000, '', 'closed with 4000', false],
  ])('by the close code %i "%s" is told as "%s", for good: %s', (code, reason, words, isFinal) => {
    const world = beginOpen();
    world.socket.closes(code, reason);
    expect(world.told).toEqual([{ reason: words, code, afterMs: null, isFinal }]);
  });

  it.each([
    [{ code: 3000, reason: 'drain', reconnect: { afterMs: 250 } }, 250, false],
    [{ code: 3003, reason: 'overloaded', reconnect: { afterMs: 0 } }, 0, false],
    [{ code: 3005, reason: 'internal', reconnect: {} }, null, false],
    [{ code: 3005, reason: 'internal' }, null, false],
    [{ code: 3005, reason: 'internal', reconnect: { afterMs: 'soon' } }, null, false],
    [{ code: 3503, reason: 'kicked', reconnect: null }, null, true],
    [{ code: 3999, reason: 'a new one', reconnect: null }, null, true],
  ])('by %j comes back after %s ms, never: %s', (said, afterMs, isFinal) => {
    const world = beginOpen();
    world.socket.says({ push: 'disconnect', ...said }, { push: 'behind' });
    const { code, reason } = said;
    expect(world.told).toEqual([{ reason, code, afterMs, isFinal }]);
    // The socket is let go of without a goodbye.
    expect(world.socket.closedWith?.code).toBe(4000);
    world.socket.closes(code, reason);
    expect(world.told).toHaveLength(1);
  });

  it('by ourselves is a goodbye, told to nobody, and done when the socket has closed', async () => {
    const { connection, socket, told, environment } = beginOpen();
    const outcomes = call(connection, '"op":"a"');
    let isDone = false;
    void connection.close().then(() => {
      isDone = true;
    });
    // What was said before goes out first.
    expect(socket.sent).toEqual(['{"id":0,"op":"a"}']);
    expect(socket.closedWith).toEqual({ code: 1000, reason: '' });
    expect(outcomes).toEqual([null]);
    await environment.pass(4_999);
    expect(isDone).toBe(false);
    socket.closes(1000);
    await settled();
    expect(isDone).toBe(true);
    expect(told).toEqual([]);
    expect(environment.timers).toEqual([]);
  });

  it('by ourselves is done at once where the socket closes at once', async () => {
    const { connection, socket, environment, told } = begin();
    socket.closesAtOnce = true;
    await connection.close();
    expect(environment.timers).toEqual([]);
    expect(told).toEqual([]);
  });

  it('by ourselves is done after 5 s also where the socket does not close', async () => {
    const { connection, environment } = beginOpen();
    let isDone = false;
    void connection.close().then(() => {
      isDone = true;
    });
    await environment.pass(4_999);
    expect(isDone).toBe(false);
    await environment.pass(1);
    expect(isDone).toBe(true);
    expect(environment.timers).toEqual([]);
  });

  it('comes once, however often it is given up', () => {
    const world = beginOpen();
    const end = { reason: 'enough', code: 4003, afterMs: 7, isFinal: true };
    world.connection.abandon(end);
    world.connection.abandon({ ...end, reason: 'again' });
    world.socket.closes(4003);
    expect(world.told).toEqual([end]);
    expect(world.socket.closedWith?.code).toBe(4003);
  });
});
