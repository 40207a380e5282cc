import { describe, expect, it } from 'vitest';
import type { Point } from './faults.ts';
import { IMPATIENT, OneFault, offsetsOf } from './one-fault.ts';
import { NOISE, NONSENSE } from './seeded-plan.ts';

/** As noise and nonsense have it; the plans of seeds know no other names. */
const ROOM = 'r1';
const POINTS: readonly Point[] = ['connected', 'joined', 'paged', 'pushed'];

async function saidIn(one: OneFault): Promise<{ found: string[]; offsets: number[] }> {
  const { ann, server, stage } = one;
  const room = server.room(ROOM);
  const offsets = offsetsOf(one.say(5, room));
  ann.follow(ROOM, { since: room.beginning });
  ann.expect('connect', ann.client.connect());
  await stage.until('ann to be at rest', () => ann.isAtRest);
  offsets.push(...offsetsOf(one.say(3, room)));
  return { found: await one.settle(), offsets };
}

describe('a server that says more than the client knows', () => {
  it.concurrent.for(NOISE)('is not minded: %s', async (said, context) => {
    const one = await OneFault.open(context, { pageMax: 2 });
    for (const point of POINTS) one.script.on('ann', point, 1, { do: 'noise', said });
    const { found, offsets } = await saidIn(one);
    expect(found).toEqual([]);
    expect(one.told(ROOM).slice(0, 8)).toEqual(offsets);
    expect(one.ann.watch.socketCount).toBe(1);
  });
});

describe('a server that says what nobody can mean', () => {
  const cases = NONSENSE.flatMap((said) => POINTS.map((point) => ({ said, point, words: String(said) })));
  it.concurrent.for(cases)('costs nothing: $words behind $point', async ({ said, point }, context) => {
    const one = await OneFault.open(context, { pageMax: 2 });
    one.script.on('ann', point, 1, { do: 'end', ending: { by: 'nonsense', said } });
    const { found, offsets } = await saidIn(one);
    expect(found).toEqual([]);
    expect(one.told(ROOM).slice(0, 8)).toEqual(offsets);
  });
});

describe('a server that is silent', () => {
  it.concurrent('hears a sign of life whenever it asks for one', async (context) => {
    const one = await OneFault.open(context, { heartbeatMs: 500 });
    await one.live();
    const pongs = () => one.ann.watch.transcript.filter((line) => line.endsWith('says {"op":"pong"}')).length;
    await one.stage.until('ann to answer', () => pongs() >= 3);
  });

  it.concurrent('is left, though nothing is on its way to it', async (context) => {
    const one = await OneFault.open(context, IMPATIENT);
    await one.live();
    one.script.on('ann', 'push', 1, { do: 'end', ending: { by: 'silence', isDeaf: true } });
    const cutOff = one.cutOff();
    one.say(1);
    await cutOff;
    expect(one.ann.client.state).toMatchObject({ reason: 'silence' });
    expect(await one.settle()).toEqual([]);
  });
});
