import fc from 'fast-check';
import { expect } from 'vitest';
import { type ClientModel, type Greeting, ROOMS } from './client-model.ts';
import { settled } from './fake-environment.ts';
import type { Fate } from './gateway-model.ts';

type Step = fc.AsyncCommand<ClientModel, null>;

/** @param act resolves with whether it did anything @param isPossible whether it can happen now */
function step(
  name: string,
  isPossible: (model: ClientModel) => boolean,
  act: (model: ClientModel) => Promise<void>,
): Step {
  return {
    check: isPossible,
    run: async (model) => {
      await act(model);
      model.check();
    },
    toString: () => name,
  };
}

/** One that takes a value. */
function stepWith<Value>(
  name: string,
  values: fc.Arbitrary<Value>,
  isPossible: (model: ClientModel, value: Value) => boolean,
  act: (model: ClientModel, value: Value) => Promise<void>,
): fc.Arbitrary<Step> {
  return values.map((value) =>
    step(
      `${name}(${JSON.stringify(value)})`,
      (model) => isPossible(model, value),
      (model) => act(model, value),
    ),
  );
}

function only(name: string, isPossible: (model: ClientModel) => boolean, act: (model: ClientModel) => Promise<void>) {
  return fc.constant(step(name, isPossible, act));
}

const always = () => true;
const isIn =
  (...phases: readonly ClientModel['phase'][]) =>
  ({ phase }: ClientModel) =>
    phases.includes(phase);

const room = fc.constantFrom(...ROOMS);
const afterMs = fc.constantFrom(undefined, 0, 1, 250, 7_000);
const greeting: fc.Arbitrary<Greeting> = fc.record({
  ticket: fc.boolean(),
  retryWindowMs: fc.constantFrom(0, 200, 1_000, 5_000, 40_000),
  heartbeatMs: fc.constantFrom(20_000, 20_000, 0),
  lifeMs: fc.constantFrom(null, -5_000, 30_000, 100_000),
});
const later: fc.Arbitrary<Fate> = fc.record({ kind: fc.constant('later'), afterMs, isDone: fc.boolean() });
const done: fc.Arbitrary<Fate> = fc.record({ kind: fc.constant('done'), pageMax: fc.constantFrom(1, 1, 2, 300) });
const fate = fc.oneof(
  { weight: 12, arbitrary: done },
  { weight: 4, arbitrary: later },
  { weight: 1, arbitrary: fc.constant<Fate>({ kind: 'never' }) },
);

const codes = fc.constantFrom(1000, 1001, 1006, 1009, 3000, 3004, 3499, 3500, 3503, 3999, 4000);

/** So that it happens so many times as often as others. */
function often(times: number, each: fc.Arbitrary<Step>): fc.Arbitrary<Step>[] {
  return Array<fc.Arbitrary<Step>>(times).fill(each);
}

/** What the client is told to do. */
const calls: fc.Arbitrary<Step>[] = [
  only('connect', always, (model) => model.connect()),
  only('close', always, (model) => model.close()),
  ...often(
    4,
    stepWith('join', fc.tuple(room, fc.nat({ max: 3 })), always, (model, [name, history]) => model.join(name, history)),
  ),
  ...often(
    2,
    stepWith(
      'leave',
      room,
      (model, name) => model.room(name).isWanted,
      (model, name) => model.leave(name),
    ),
  ),
  ...often(
    5,
    stepWith('publish', room, always, (model, name) => model.publish(name)),
  ),
];

/** What the world does. */
const world: fc.Arbitrary<Step>[] = [
  only(
    'a token is given',
    ({ isAsked }) => isAsked,
    (model) => model.giveToken(),
  ),
  only(
    'a token is refused',
    ({ isAsked }) => isAsked,
    (model) => model.refuseToken(),
  ),
  only('the socket opens', isIn('dialing'), (model) => model.openSocket()),
  only('the socket fails', isIn('dialing'), async (model) => {
    await model.world.server.end(1006);
    model.lost(null);
  }),
  only('a socket that was let go of closes', always, async (model) => {
    model.world.environment.sockets.find(({ state }) => state === 'closing')?.closes(1006);
    await settled();
  }),
  only('the browser says online', always, (model) => model.goOnline()),
  stepWith('time passes', fc.constantFrom(1, 500, 5_000, 16_000, 45_000, 70_000), always, (model, ms) =>
    model.pass(ms),
  ),
  stepWith('the program stands still', fc.constantFrom(5_000, 70_000), always, (model, ms) => model.freeze(ms)),
  stepWith('the computer sleeps', fc.constantFrom(5_000, 70_000), always, async (model, ms) => {
    model.world.environment.sleep(ms);
  }),
  stepWith('the clock is set back', fc.constantFrom(5_000, 3_600_000), always, async (model, ms) => {
    model.world.environment.setWallBack(ms);
  }),
];

/** What the server does. */
const server: fc.Arbitrary<Step>[] = [
  stepWith(
    'the server welcomes',
    greeting,
    ({ phase, gateway }) => phase === 'introducing' && gateway.hasCommands,
    (model, value) => model.welcome(value),
  ),
  stepWith(
    'the server refuses',
    fc.tuple(fc.constantFrom('unavailable', 'internal', 'forbidden', 'unauthorized'), afterMs),
    ({ phase, gateway }) => phase === 'introducing' && gateway.hasCommands,
    async (model, [code, retryAfterMs]) => {
      await model.world.server.fail('connect', code, retryAfterMs);
      if (code === 'forbidden') model.closed();
      else if (code !== 'unauthorized') model.lost(retryAfterMs ?? null);
    },
  ),
  stepWith(
    'the socket closes',
    codes,
    ({ hasSocket }) => hasSocket,
    async (model, code) => {
      await model.world.server.end(code);
      if (code >= 3500 && code <= 3999) model.closed();
      else model.lost(null);
    },
  ),
  stepWith(
    'the server sends the client away',
    fc.tuple(codes, fc.oneof(fc.constant(null), fc.record({ afterMs }))),
    ({ hasSocket }) => hasSocket,
    async (model, [code, reconnect]) => {
      await model.world.server.say({ push: 'disconnect', code, reason: 'why', reconnect });
      if (reconnect === null) model.closed();
      else model.lost(reconnect.afterMs ?? null);
    },
  ),
  only(
    'the server cannot be understood',
    ({ hasSocket }) => hasSocket,
    async (model) => {
      await model.world.server.say('{"push":"mess');
      model.lost(null);
    },
  ),
  ...often(
    8,
    stepWith(
      'the server answers',
      fc.array(fate, { minLength: 1, maxLength: 4 }),
      ({ phase, gateway }) => phase === 'session' && gateway.hasCommands,
      async (model, fates) => {
        for (const each of fates) await model.gateway.answer(each);
      },
    ),
  ),
  ...often(
    4,
    stepWith(
      'somebody speaks',
      fc.tuple(room, fc.integer({ min: 1, max: 4 })),
      always,
      async (model, [name, times]) => {
        for (let i = 0; i < times; i += 1) await model.gateway.say(name);
      },
    ),
  ),
  ...often(
    2,
    stepWith('the log forgets', fc.tuple(room, fc.nat({ max: 6 })), always, async (model, [name, count]) => {
      model.room(name).log.forget(count);
    }),
  ),
  stepWith('the log is restored', fc.tuple(room, fc.nat({ max: 2 })), always, async (model, [name, lost]) => {
    // With it, the server begins anew.
    if (model.phase === 'dialing' || model.hasSocket) {
      await model.world.server.end(1006);
      model.lost(null);
    }
    model.room(name).log.restore(lost);
  }),
  ...often(
    3,
    stepWith(
      'the server suspends',
      fc.tuple(room, fc.boolean()),
      ({ phase, gateway }, [name]) => phase === 'session' && gateway.mayEnd(name),
      (model, [name, withGap]) => model.gateway.resync(name, withGap),
    ),
  ),
  stepWith(
    'the server ends',
    room,
    ({ phase, gateway }, name) => phase === 'session' && gateway.mayEnd(name),
    (model, name) => model.gateway.end(name),
  ),
  stepWith('a session holds', fc.constantFrom(30_000, 61_000), isIn('session'), async (model, ms) => {
    for (let passed = 0; passed < ms; passed += 10_000) {
      await model.hear({ push: 'heartbeat' });
      await model.pass(Math.min(10_000, ms - passed));
      if (model.phase !== 'session') return;
    }
  }),
];

/** Short cuts to where more may happen. */
const roads: fc.Arbitrary<Step>[] = [
  ...often(
    8,
    stepWith(
      'it comes online',
      greeting,
      ({ phase }) => phase !== 'session',
      (model, value) => model.comeOnline(value),
    ),
  ),
  ...often(
    2,
    only('a try is in vain', isIn('session', 'waiting'), (model) => model.tryInVain()),
  ),
  ...often(
    2,
    only('it comes to rest', always, (model) => model.comeToRest()),
  ),
  ...often(
    3,
    stepWith(
      'much is missed',
      fc.array(fc.tuple(room, fc.integer({ min: 1, max: 5 }), fc.nat({ max: 3 })), { maxLength: 3 }),
      isIn('session'),
      async (model, missed) => {
        await model.world.server.end(1006);
        model.lost(null);
        for (const [name, times, forgotten] of missed) {
          for (let i = 0; i < times; i += 1) await model.gateway.say(name);
          model.room(name).log.forget(forgotten);
        }
        await model.comeOnline();
      },
    ),
  ),
];

export const steps: fc.Arbitrary<Iterable<Step>> = fc.commands([...calls, ...world, ...server, ...roads], {
  maxCommands: 100,
  size: 'max',
});

/** After all: it comes to rest, and closed, leaves nothing behind. */
export async function conclude(model: ClientModel): Promise<void> {
  await model.comeToRest();
  await model.close();
  const { environment, client } = model.world;
  for (const socket of environment.sockets) if (socket.state !== 'closed') socket.closes(1006);
  await settled();
  model.check();
  expect(environment.timers).toEqual([]);
  expect(environment.liveSockets).toEqual([]);
  expect(client.state.name).toBe('closed');
}
