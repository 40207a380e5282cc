import { describe, expect, it } from 'vitest';
import type { Ending, Fault, Point } from './faults.ts';
import { IMPATIENT, OneFault } from './one-fault.ts';

/** Turns of ann's at a point, with what they mean. */
const POINTS: readonly (readonly [Point, number, string])[] = [
  ['upgrade', 1, 'before the connection is open'],
  ['open', 1, 'when it is open'],
  ['connect', 1, "before connect's reply"],
  ['connected', 1, "behind connect's reply"],
  ['join', 2, 'between two replies to joins'],
  ['joined', 2, 'behind the last reply to a join'],
  ['page', 2, 'in the middle of pages'],
  ['paged', 1, 'behind a page'],
  ['publish', 2, 'before a publish is in the log'],
  ['appended', 2, 'between the log and the answer to a publish'],
  ['acked', 2, 'behind the answer to a publish'],
  ['push', 2, 'instead of a push'],
  ['pushed', 2, 'behind a push'],
];

const ENDINGS: readonly Ending[] = [
  { by: 'reset' },
  { by: 'close', code: 1001 },
  { by: 'close', code: 1005 },
  { by: 'close', code: 1012 },
  { by: 'close', code: 3003 },
  { by: 'disconnect', code: 3000, afterMs: 800 },
  { by: 'disconnect', code: 3003, afterMs: null },
  { by: 'half_object' },
  { by: 'half_frame' },
  { by: 'silence', isDeaf: false },
  { by: 'silence', isDeaf: true },
  { by: 'nonsense', said: '{"push":"heartbeat"' },
];

const CASES = POINTS.flatMap(([point, turn, when]) =>
  ENDINGS.map((ending) => ({ point, turn, when, ending, how: JSON.stringify(ending) })),
);

async function oneBadEnd(one: OneFault, fault: Fault, point: Point, turn: number): Promise<string[]> {
  const { ann, server, stage, script } = one;
  script.on('ann', point, turn, fault);
  one.say(5);
  ann.follow('tea', { since: one.tea.beginning });
  ann.follow('milk', { since: server.room('milk').beginning });
  ann.expect('connect', ann.client.connect());
  for (let i = 0; i < 4; i += 1) ann.publish('tea', stage.words('ann'));
  await stage.until('ann to be at rest', () => ann.isAtRest);
  one.say(3);
  return one.settle();
}

describe('a connection that ends', () => {
  it.concurrent.for(CASES)('$when, by $how, costs nothing', async ({ point, turn, ending }, context) => {
    const isSilence = ending.by === 'silence';
    const one = await OneFault.open(context, { pageMax: 2, ...(isSilence && IMPATIENT) });
    expect(await oneBadEnd(one, { do: 'end', ending }, point, turn)).toEqual([]);
    expect(one.ann.watch.socketCount).toBeGreaterThanOrEqual(2);
    expect(one.ann.gaps('tea')).toEqual([]);
  });

  const refusals: readonly Fault[] = [{ do: 'hang' }, { do: 'status', status: 503 }];
  it.concurrent.for(refusals)('before it is open, by %o, costs nothing', async (fault, context) => {
    const one = await OneFault.open(context, { pageMax: 2, ...IMPATIENT });
    expect(await oneBadEnd(one, fault, 'upgrade', 1)).toEqual([]);
    expect(one.ann.watch.socketCount).toBeGreaterThanOrEqual(2);
  });
});

describe('a client that is cut off', () => {
  it.concurrent('waits for as long as the server says, also where a network is back', async (context) => {
    const one = await OneFault.open(context);
    await one.live();
    one.script.next('ann', 'push', { do: 'end', ending: { by: 'disconnect', code: 3000, afterMs: 3_000 } });
    const cutOff = one.cutOff();
    one.say(1);
    await cutOff;
    const before = one.ann.watch.socketCount;
    one.ann.environment.goOnline();
    expect(one.ann.watch.socketCount).toBe(before);
    const { state } = one.ann.client;
    expect(state).toMatchObject({ name: 'waiting', reason: 'so it is' });
    // What opens too early is among what is wrong.
    expect(await one.settle()).toEqual([]);
  });

  it.concurrent('comes at once when a network is back and the server did not say when', async (context) => {
    const one = await OneFault.open(context, { retryWindowMs: 600_000 });
    await one.live();
    one.script.next('ann', 'push', { do: 'end', ending: { by: 'reset' } });
    const cutOff = one.cutOff();
    one.say(1);
    await cutOff;
    const before = one.ann.watch.socketCount;
    one.ann.environment.goOnline();
    expect(one.ann.watch.socketCount).toBe(before + 1);
    expect(await one.settle()).toEqual([]);
  });

  it.concurrent('joins all its rooms in one frame, each from its place', async (context) => {
    const one = await OneFault.open(context);
    const rooms = Array.from({ length: 20 }, (_, i) => `room-${i}`);
    for (const room of rooms) one.ann.follow(room, { since: one.server.room(room).beginning });
    await one.live();
    for (const room of rooms) one.say(2, one.server.room(room));
    one.script.next('ann', 'push', { do: 'end', ending: { by: 'reset' } });
    const cutOff = one.cutOff();
    one.say(1);
    await cutOff;
    for (const room of rooms) one.say(2, one.server.room(room));
    expect(await one.settle()).toEqual([]);
    expect(one.ann.watch.joinsByFrame).toEqual([21, 21]);
  });

  const finals: readonly Ending[] = [3500, 3501, 3502, 3503, 3504, 3505].flatMap((code): Ending[] => [
    { by: 'disconnect', code, afterMs: null },
    { by: 'close', code },
  ]);
  it.concurrent.for(finals)('for good, by %o, does not come back by itself', async (ending, context) => {
    const one = await OneFault.open(context);
    await one.live();
    one.script.next('ann', 'appended', { do: 'end', ending });
    const record = one.ann.publish('tea', 1);
    await one.stage.until('ann to be closed', () => one.ann.client.state.name === 'closed');
    expect(one.ann.client.state).toMatchObject({
      code: ending.by === 'close' || ending.by === 'disconnect' ? ending.code : 0,
    });
    await one.stage.until('the outcome', () => one.ann.hasSettled);
    expect(record.outcome).toMatchObject({ code: 'closed', wasSent: true });
    one.ann.environment.goOnline();
    expect(one.ann.watch.socketCount).toBe(1);
    expect(one.ann.surprises).toEqual([expect.stringContaining('for await: ClientError: closed')]);
  });
});

describe('a connect that is refused', () => {
  const codes = ['rate_limited', 'overloaded', 'unavailable', 'internal'] as const;
  const refusals = codes.flatMap((code): Fault[] => [
    { do: 'refuse', code },
    { do: 'refuse', code, retryAfterMs: 1_500 },
  ]);
  it.concurrent.for(refusals)('for a while, by %o, is tried again', async (fault, context) => {
    const one = await OneFault.open(context, { pageMax: 2 });
    const cutOff = one.cutOff();
    expect(await oneBadEnd(one, fault, 'connect', 1)).toEqual([]);
    expect(await cutOff).toContain('not now');
    expect(one.ann.watch.socketCount).toBeGreaterThanOrEqual(2);
  });

  it.concurrent('for good closes the client', async (context) => {
    const one = await OneFault.open(context);
    one.script.on('ann', 'connect', 1, { do: 'refuse', code: 'bad_request' });
    await expect(one.ann.client.connect()).rejects.toMatchObject({ code: 'closed' });
    expect(one.ann.client.state).toMatchObject({ name: 'closed', code: null });
    expect(one.ann.watch.socketCount).toBe(1);
  });
});

describe('a ticket', () => {
  it.concurrent('is offered once, and never one that came before another', async (context) => {
    const one = await OneFault.open(context);
    const { script, server, stage, ann } = one;
    script.on('ann', 'connected', 1, { do: 'ticket', ticket: 'first' });
    await one.live();
    // The second handshake has the ticket, and fails; the third one has none; the fourth one has the next ticket.
    script.next('ann', 'upgrade', { do: 'status', status: 503 });
    script.next('ann', 'push', { do: 'end', ending: { by: 'reset' } });
    script.next('ann', 'connected', { do: 'ticket', ticket: 'second' });
    one.say(1);
    await stage.until('ann to be back', () => ann.messages('tea').length === 1 && ann.isAtRest);
    expect(server.tickets.shown.get('ann')).toEqual(['first']);
    script.next('ann', 'push', { do: 'end', ending: { by: 'reset' } });
    one.say(1);
    expect(await one.settle()).toEqual([]);
    expect(server.tickets.shown.get('ann')).toEqual(['first', 'second']);
    expect(server.handshakes.get('ann')).toBe(4);
  });

  it.concurrent('that no handshake can have is left out', async (context) => {
    const one = await OneFault.open(context);
    one.script.on('ann', 'connected', 1, { do: 'ticket', ticket: 'not a token, "this"' });
    await one.live();
    one.script.next('ann', 'push', { do: 'end', ending: { by: 'reset' } });
    one.say(1);
    expect(await one.settle()).toEqual([]);
    expect(one.server.tickets.shown.get('ann')).toBeUndefined();
  });
});
