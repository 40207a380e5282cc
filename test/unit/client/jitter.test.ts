import { describe, expect, it } from 'vitest';
import { Random } from '../../faults/random.ts';
import { chanceOf, chanceOfUniform } from './chi-square.ts';
import { FakeEnvironment, settled } from './fake-environment.ts';
import { WELCOME, type World, waitMs, worldOf } from './virtual-server.ts';

const CLIENTS = 10_000;
const BASE_MS = 1_000;
const CAP_MS = 30_000;
/** Tries after the first that are looked at; the last ones are at the cap. */
const TRIES = 7;
const CHANCE_MIN = 0.001;

function boundMsOf(tries: number): number {
  return Math.min(CAP_MS, BASE_MS * 2 ** tries);
}

/** Clients that had a session, and lost it in the same moment. */
async function lostClients(welcome: object, lose: (world: World) => void): Promise<World[]> {
  const worlds = Array.from({ length: CLIENTS }, (_, seed) => worldOf({}, new FakeEnvironment(new Random(seed))));
  for (const { client, environment } of worlds) {
    void client.connect();
    environment.socket.opens();
  }
  await settled();
  for (const world of worlds) {
    const { id } = world.server.take('connect');
    world.environment.socket.says({ id, ok: { ...WELCOME, ...welcome } });
    lose(world);
  }
  return worlds;
}

function waitsOf(worlds: readonly World[]): number[] {
  return worlds.map(waitMs);
}

/** Each tries again after its wait, and finds nobody. */
async function failAgain(worlds: readonly World[]): Promise<void> {
  await Promise.all(worlds.map((world) => world.environment.pass(waitMs(world) + 0.01)));
  for (const { environment } of worlds) environment.socket.closes(1006);
}

describe('the measure', () => {
  it.each([
    [1, 10.828],
    [4, 18.467],
    [10, 29.588],
    [29, 58.301],
    [59, 98.324],
  ])('knows the table’s 0.1 %% with %i degrees of freedom', (freedom, chiSquare) => {
    expect(chanceOf(chiSquare, freedom)).toBeCloseTo(0.001, 5);
  });

  const random = new Random(5);
  const rolls = Array.from({ length: CLIENTS }, () => random.next());

  it('takes what is uniform', () => {
    for (const boundMs of [2_000, 5_000, 16_000, CAP_MS, 2_500]) {
      expect(
        chanceOfUniform(
          rolls.map((roll) => roll * boundMs),
          boundMs,
        ),
      ).toBeGreaterThan(CHANCE_MIN);
    }
  });

  it.each([
    ['clamped behind the jitter', (roll: number) => Math.min(CAP_MS - 0.001, roll * 32_000)],
    ['clamped for all', () => CAP_MS - 0.001],
    ['with half of it fixed, "equal jitter"', (roll: number) => CAP_MS / 2 + (roll * CAP_MS) / 2],
    ['not random', () => CAP_MS / 2],
    ['up to half of the bound', (roll: number) => (roll * CAP_MS) / 2],
    ['up to a little less than the bound', (roll: number) => roll * (CAP_MS - 500)],
    ['leaning towards the beginning', (roll: number) => roll ** 1.1 * CAP_MS],
    ['beyond the bound', (roll: number) => roll * 32_000],
  ])('does not take what is %s', (_, waitMsOf) => {
    expect(chanceOfUniform(rolls.map(waitMsOf), CAP_MS)).toBeLessThan(CHANCE_MIN);
  });
});

describe(`${CLIENTS} clients that lose their server in one moment`, () => {
  it.each([5_000, 20_000])('come back spread over its window of %i ms', async (retryWindowMs) => {
    const worlds = await lostClients({ retryWindowMs }, ({ environment }) => environment.socket.closes(1006));
    expect(chanceOfUniform(waitsOf(worlds), retryWindowMs)).toBeGreaterThan(CHANCE_MIN);
  });

  it('come back spread also where the server said that it goes, and not when to come back', async () => {
    const retryWindowMs = 10_000;
    const worlds = await lostClients({ retryWindowMs }, ({ environment }) =>
      environment.socket.says({ push: 'disconnect', code: 3000, reason: 'drain', reconnect: {} }),
    );
    expect(chanceOfUniform(waitsOf(worlds), retryWindowMs)).toBeGreaterThan(CHANCE_MIN);
  });

  it('come back when the server says, each of them', async () => {
    const worlds = await lostClients({}, ({ environment }) =>
      environment.socket.says({ push: 'disconnect', code: 3000, reason: 'drain', reconnect: { afterMs: 1_234 } }),
    );
    expect(new Set(waitsOf(worlds))).toEqual(new Set([1_234]));
  });

  it('are spread in every try that fails, also at the cap', async () => {
    const worlds = await lostClients({ retryWindowMs: 5_000 }, ({ environment }) => environment.socket.closes(1006));
    const spread = [];
    for (let tries = 1; tries <= TRIES; tries += 1) {
      await failAgain(worlds);
      const waitsMs = waitsOf(worlds);
      spread.push({
        boundMs: boundMsOf(tries),
        isUniform: chanceOfUniform(waitsMs, boundMsOf(tries)) > CHANCE_MIN,
        inOneMoment: waitsMs.length - new Set(waitsMs).size > 10,
      });
    }
    expect(spread).toEqual(
      [2_000, 4_000, 8_000, 16_000, CAP_MS, CAP_MS, CAP_MS].map((boundMs) => ({
        boundMs,
        isUniform: true,
        inOneMoment: false,
      })),
    );
  });
});
