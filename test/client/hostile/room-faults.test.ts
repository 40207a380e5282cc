import { describe, expect, it } from 'vitest';
import type { Fault } from './faults.ts';
import { OneFault, offsetsOf } from './one-fault.ts';

const RETRYABLE = ['rate_limited', 'overloaded', 'unknown_outcome', 'unavailable', 'internal'] as const;
const REFUSALS = RETRYABLE.flatMap((code): Fault[] => [
  { do: 'refuse', code },
  { do: 'refuse', code, retryAfterMs: 700 },
]);
/** Cuts ann off for long enough to do something to the log. */
const AWAY: Fault = { do: 'end', ending: { by: 'disconnect', code: 3000, afterMs: 1_000 } };

describe('a room that is suspended', () => {
  it.concurrent('without a gap goes on where it was', async (context) => {
    const one = await OneFault.open(context);
    await one.live();
    one.script.on('ann', 'push', 2, { do: 'resync', overtakes: false });
    one.say(4);
    expect(await one.settle()).toEqual([]);
    expect(one.ann.gaps('tea')).toEqual([]);
    expect(one.ann.watch.socketCount).toBe(1);
    expect(one.ann.states.slice(-2)).toEqual(['resyncing', 'online']);
  });

  it.concurrent('with a gap tells of it, and goes on behind it', async (context) => {
    const one = await OneFault.open(context);
    await one.live();
    one.script.on('ann', 'push', 3, { do: 'resync_gap' });
    const [first, second, third, fourth] = offsetsOf(one.say(4));
    expect(await one.settle()).toEqual([]);
    expect(one.told().slice(0, 4)).toEqual([first, second, [second, third], fourth]);
  });

  it.concurrent('twice in a row loses nothing', async (context) => {
    const one = await OneFault.open(context);
    await one.live();
    one.script.on('ann', 'push', 2, { do: 'resync', overtakes: false, twice: true });
    one.say(4);
    expect(await one.settle()).toEqual([]);
    expect(one.ann.gaps('tea')).toEqual([]);
  });

  it.concurrent('while catching up takes no page that was asked for before', async (context) => {
    const one = await OneFault.open(context, { pageMax: 2 });
    const { ann, script, server, stage, tea } = one;
    const old = offsetsOf(one.say(6));
    script.on('ann', 'page', 1, { do: 'delay', ms: 300 });
    ann.follow('tea', { since: tea.beginning });
    ann.expect('connect', ann.client.connect());
    await stage.until('ann to ask for a page', () => script.turns('ann', 'page') === 1);
    server.strike(tea, { do: 'renew', lose: 'all', by: 'resync', overtakes: true });
    const [next] = offsetsOf(one.say(1));
    expect(await one.settle()).toEqual([]);
    expect(one.told().slice(0, 4)).toEqual([...old.slice(0, 2), [null, -1], next]);
    expect(
      ann
        .messages('tea')
        .slice(0, 3)
        .map(({ epoch }) => epoch),
    ).toEqual(['tea.1', 'tea.1', 'tea.2']);
  });

  it.concurrent('while it is being left and joined again loses nothing', async (context) => {
    const one = await OneFault.open(context, { speed: 2 });
    const { ann, script, stage } = one;
    await one.live();
    script.next('ann', 'leave', { do: 'refuse', code: 'rate_limited' });
    const following = ann.followings.get('tea');
    if (following === undefined) throw new Error('ann follows nothing');
    ann.expect('leave', following.room.leave());
    ann.rejoin(following);
    // The room is still joined, and the client waits before it leaves it.
    await stage.until('the leave to be refused', () => script.turns('ann', 'leave') === 1);
    script.on('ann', 'push', 4, { do: 'resync_gap' });
    const [, , , fourth] = offsetsOf(one.say(4));
    expect(await one.settle()).toEqual([]);
    expect(one.told()[0]).toEqual([-1, fourth]);
  });
});

describe('a room that is left and joined again', () => {
  it.concurrent('is live with the reply to the join, whenever that to the leave comes', async (context) => {
    const one = await OneFault.open(context);
    const { ann, script, stage } = one;
    await one.live();
    script.on('ann', 'leave', 1, { do: 'delay', ms: 300 });
    const following = ann.followings.get('tea');
    if (following === undefined) throw new Error('ann follows nothing');
    ann.expect('leave', following.room.leave());
    ann.rejoin(following);
    await stage.until('ann to be back', () => ann.isAtRest);
    const offsets = offsetsOf(one.say(3));
    expect(await one.settle()).toEqual([]);
    expect(one.told().slice(0, 3)).toEqual(offsets);
  });
});

describe('a log that has lost something', () => {
  it.concurrent('to retention tells those who come back of it', async (context) => {
    const one = await OneFault.open(context);
    await one.live();
    one.script.on('ann', 'pushed', 1, AWAY);
    const offsets = offsetsOf(one.say(6));
    one.server.strike(one.tea, { do: 'trim', keep: 2 });
    expect(await one.settle()).toEqual([]);
    expect(one.told().slice(0, 4)).toEqual([offsets[0], [offsets[0], offsets[3]], offsets[4], offsets[5]]);
  });

  it.concurrent('to retention tells those who begin before it', async (context) => {
    const one = await OneFault.open(context);
    const offsets = offsetsOf(one.say(6));
    one.server.strike(one.tea, { do: 'trim', keep: 1 });
    await one.live();
    expect(await one.settle()).toEqual([]);
    expect(one.told().slice(0, 2)).toEqual([[-1, offsets[4]], offsets[5]]);
  });

  it.concurrent('to retention tells those who are catching up', async (context) => {
    const one = await OneFault.open(context, { pageMax: 2 });
    const { ann, script, server, stage, tea } = one;
    const offsets = offsetsOf(one.say(8));
    script.on('ann', 'join', 1, { do: 'delay', ms: 300 });
    ann.follow('tea', { since: tea.beginning });
    ann.expect('connect', ann.client.connect());
    await stage.until('ann to join', () => script.turns('ann', 'join') === 1);
    server.strike(tea, { do: 'trim', keep: 2 });
    expect(await one.settle()).toEqual([]);
    const [first, second, third = 0, , , sixth, seventh, eighth] = offsets;
    // The first page speaks up to the third one.
    expect(one.told().slice(0, 5)).toEqual([first, second, [third - 1, sixth], seventh, eighth]);
  });

  it.concurrent('to damage tells of it behind the messages before', async (context) => {
    const one = await OneFault.open(context);
    const offsets = offsetsOf(one.say(7));
    for (const back of [4, 3, 1]) one.server.strike(one.tea, { do: 'damage', back });
    await one.live();
    expect(await one.settle()).toEqual([]);
    const [first, second, , fourth, fifth, sixth, seventh] = offsets;
    expect(one.told().slice(0, 6)).toEqual([first, second, [second, fourth], fifth, [fifth, sixth], seventh]);
    expect(one.script.turns('ann', 'page')).toBe(1);
  });

  for (const by of ['reset', 'resync'] as const) {
    it.concurrent(`and began anew, told by ${by}, is another one from its beginning`, async (context) => {
      const one = await OneFault.open(context);
      await one.live();
      const old = offsetsOf(one.say(3));
      await one.stage.until('ann to hear it', () => one.ann.messages('tea').length === 3);
      one.server.strike(one.tea, { do: 'renew', lose: 'all', by, overtakes: false });
      const next = offsetsOf(one.say(2));
      expect(await one.settle()).toEqual([]);
      expect(one.told().slice(0, 6)).toEqual([...old, [null, -1], ...next]);
    });

    it.concurrent(`and was restored, told by ${by}, does not say again what was heard`, async (context) => {
      const one = await OneFault.open(context, { pageMax: 2 });
      await one.live();
      const old = offsetsOf(one.say(5));
      await one.stage.until('ann to hear it', () => one.ann.messages('tea').length === 5);
      one.server.strike(one.tea, { do: 'renew', lose: 2, by, overtakes: false });
      const next = offsetsOf(one.say(2));
      expect(await one.settle()).toEqual([]);
      expect(one.told().slice(0, 8)).toEqual([...old, [null, -1], ...next]);
    });
  }

  it.concurrent('and says nothing of it but that it ends before the place', async (context) => {
    const one = await OneFault.open(context);
    const { ann, script, stage, tea } = one;
    await one.live();
    const old = offsetsOf(one.say(4));
    await stage.until('ann to hear it', () => ann.messages('tea').length === 4);
    script.on('ann', 'pushed', 5, AWAY);
    const cutOff = one.cutOff();
    const [lost] = offsetsOf(one.say(1));
    await cutOff;
    tea.rollBack(2);
    await stage.until('ann to be back', () => ann.isAtRest);
    const next = offsetsOf(one.say(2));
    await stage.until('ann to hear what is new', () => ann.messages('tea').length === 7);
    expect(one.told()).toEqual([...old, lost, [null, -1], ...next]);
  });
});

describe('pages', () => {
  it.concurrent('that are short or empty are followed by more, as long as they say so', async (context) => {
    const one = await OneFault.open(context, { pageMax: 3 });
    one.script.on('ann', 'join', 1, { do: 'short', limit: 0 });
    for (const [i, limit] of [0, 1, 0, -1].entries()) one.script.on('ann', 'page', i + 1, { do: 'short', limit });
    const offsets = offsetsOf(one.say(7));
    await one.live();
    expect(await one.settle()).toEqual([]);
    expect(one.told().slice(0, 7)).toEqual(offsets);
  });

  it.concurrent('have what is pushed too early', async (context) => {
    const one = await OneFault.open(context, { pageMax: 2 });
    const { ann, script, stage, tea } = one;
    const offsets = offsetsOf(one.say(6));
    script.on('ann', 'page', 1, { do: 'delay', ms: 300 });
    for (let turn = 1; turn <= 3; turn += 1) script.on('ann', 'withheld', turn, { do: 'premature' });
    ann.follow('tea', { since: tea.beginning });
    ann.expect('connect', ann.client.connect());
    await stage.until('ann to ask for a page', () => script.turns('ann', 'page') === 1);
    offsets.push(...offsetsOf(one.say(3)));
    expect(await one.settle()).toEqual([]);
    expect(one.told().slice(0, 9)).toEqual(offsets);
  });

  it.concurrent('that come twice are read once', async (context) => {
    const one = await OneFault.open(context, { pageMax: 2 });
    one.script
      .on('ann', 'join', 1, { do: 'twice' })
      .on('ann', 'page', 1, { do: 'twice' })
      .on('ann', 'page', 3, { do: 'twice' });
    const offsets = offsetsOf(one.say(7));
    await one.live();
    expect(await one.settle()).toEqual([]);
    expect(one.told().slice(0, 7)).toEqual(offsets);
  });

  it.concurrent('of one room may come before those of another', async (context) => {
    const one = await OneFault.open(context, { pageMax: 2 });
    const { ann, script, server, stage } = one;
    one.say(5);
    one.say(5, server.room('milk'));
    script.on('ann', 'join', 1, { do: 'delay', ms: 25 });
    ann.follow('tea', { since: one.tea.beginning });
    ann.follow('milk', { since: server.room('milk').beginning });
    ann.expect('connect', ann.client.connect());
    await stage.until('ann to be at rest', () => ann.isAtRest);
    const firstOf = (room: string) => ann.watch.transcript.findIndex((line) => line.includes(`"ok":{"room":"${room}"`));
    expect(firstOf('milk')).toBeLessThan(firstOf('tea'));
    expect(await one.settle()).toEqual([]);
  });
});

describe('pushes', () => {
  it.concurrent('that come twice, or again later, are handed on once', async (context) => {
    const one = await OneFault.open(context);
    await one.live();
    one.script.on('ann', 'push', 1, { do: 'twice' }).on('ann', 'push', 4, { do: 'repeat' });
    one.script.on('ann', 'pushed', 3, { do: 'repeat' });
    const offsets = offsetsOf(one.say(5));
    expect(await one.settle()).toEqual([]);
    expect(one.told().slice(0, 5)).toEqual(offsets);
    expect(one.ann.watch.socketCount).toBe(1);
  });

  it.concurrent('may come many in one frame', async (context) => {
    const one = await OneFault.open(context);
    await one.live();
    one.script.on('ann', 'push', 1, { do: 'gather', ms: 10 });
    const offsets = offsetsOf(one.say(30));
    expect(await one.settle()).toEqual([]);
    expect(one.told().slice(0, 30)).toEqual(offsets);
    expect(one.ann.watch.transcript.some((line) => line.split('\n').length >= 30)).toBe(true);
  });
});

describe('a refusal', () => {
  it.concurrent.for(REFUSALS)('of a join, a page and a leave by %o is not the end', async (fault, context) => {
    const one = await OneFault.open(context, { pageMax: 2 });
    const { ann, script } = one;
    script
      .on('ann', 'join', 1, fault)
      .on('ann', 'join', 2, fault)
      .on('ann', 'page', 1, fault)
      .on('ann', 'page', 3, fault);
    const offsets = offsetsOf(one.say(7));
    await one.live();
    script.on('ann', 'leave', 1, fault);
    await ann.client.room('tea').leave();
    expect(script.turns('ann', 'leave')).toBe(2);
    const following = ann.followings.get('tea');
    if (following !== undefined) ann.rejoin(following);
    offsets.push(...offsetsOf(one.say(2)));
    expect(await one.settle()).toEqual([]);
    expect(one.told().slice(0, 9)).toEqual(offsets);
  });

  it.concurrent('of a join for good is told', async (context) => {
    const one = await OneFault.open(context);
    const { ann, script } = one;
    script.on('ann', 'join', 1, { do: 'refuse', code: 'forbidden' });
    const room = ann.client.room('tea');
    const lefts: string[] = [];
    room.on('left', ({ code }) => lefts.push(code));
    const joined = room.join();
    ann.expect('connect', ann.client.connect());
    await expect(joined).rejects.toMatchObject({ code: 'forbidden' });
    expect(room.state).toBe('idle');
    expect(lefts).toEqual(['forbidden']);
    expect(await one.settle()).toEqual([]);
  });
});

describe('a room that the server takes away', () => {
  it.concurrent('while live can be joined again from its place', async (context) => {
    const one = await OneFault.open(context);
    await one.live();
    one.script.on('ann', 'push', 2, { do: 'left', code: 'kicked' });
    const offsets = offsetsOf(one.say(4));
    expect(await one.settle()).toEqual([]);
    expect(one.told().slice(0, 4)).toEqual(offsets);
    expect(one.ann.followings.get('tea')?.lefts).toBe(1);
  });

  it.concurrent('while catching up can be joined again from its place', async (context) => {
    const one = await OneFault.open(context, { pageMax: 2 });
    const { ann, script, stage, tea } = one;
    const offsets = offsetsOf(one.say(6));
    script.on('ann', 'page', 1, { do: 'delay', ms: 300 });
    script.on('ann', 'withheld', 1, { do: 'left', code: 'forbidden' });
    ann.follow('tea', { since: tea.beginning });
    ann.expect('connect', ann.client.connect());
    await stage.until('ann to ask for a page', () => script.turns('ann', 'page') === 1);
    offsets.push(...offsetsOf(one.say(2)));
    expect(await one.settle()).toEqual([]);
    expect(one.told().slice(0, 8)).toEqual(offsets);
    expect(ann.followings.get('tea')?.lefts).toBe(1);
  });
});

describe('a join without a place', () => {
  it.concurrent('begins with the newest messages, and keeps its place from then on', async (context) => {
    const one = await OneFault.open(context);
    const offsets = offsetsOf(one.say(6));
    one.ann.follow('tea', { history: 2 });
    one.script.on('ann', 'join', 1, { do: 'end', ending: { by: 'reset' } });
    one.ann.expect('connect', one.ann.client.connect());
    await one.stage.until('ann to be at rest', () => one.ann.isAtRest);
    one.script.next('ann', 'push', AWAY);
    offsets.push(...offsetsOf(one.say(3)));
    expect(await one.settle()).toEqual([]);
    expect(one.told().slice(0, 5)).toEqual(offsets.slice(4));
  });

  it.concurrent('keeps its place also where nothing was said since', async (context) => {
    const one = await OneFault.open(context);
    one.say(3);
    one.ann.follow('tea');
    one.ann.expect('connect', one.ann.client.connect());
    await one.stage.until('ann to be at rest', () => one.ann.isAtRest);
    one.script.next('ann', 'push', AWAY);
    const offsets = offsetsOf(one.say(3));
    expect(await one.settle()).toEqual([]);
    expect(one.told().slice(0, 3)).toEqual(offsets);
  });
});
