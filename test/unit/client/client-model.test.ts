import fc from 'fast-check';
import { it } from 'vitest';
import { Random } from '../../faults/random.ts';
import { ClientModel, type TokenRequest } from './client-model.ts';
import { conclude, steps } from './client-steps.ts';
import { FakeEnvironment } from './fake-environment.ts';
import { worldOf } from './virtual-server.ts';

const SEED = 20_261_121;
const RUNS = 600;
/** It is all computing, and others may compute as well. */
const TIMEOUT_MS = 180_000;

/** Chance in steps so wide that times come out without rounding, and that nothing is to be done at once. */
function coarse(seed: number): Pick<Random, 'next'> {
  const random = new Random(seed);
  return { next: () => random.int(1, 1_023) / 1_024 };
}

/** A client that nothing has happened to. */
function begin(seed: number, hasProvider: boolean): ClientModel {
  const requests: TokenRequest[] = [];
  const token = () => new Promise<string>((resolve, reject) => requests.push({ resolve, reject }));
  const world = worldOf(hasProvider ? { token } : {}, new FakeEnvironment(coarse(seed)));
  return new ClientModel(world, hasProvider ? requests : null);
}

it('is what the protocol makes of it, whatever happens', { timeout: TIMEOUT_MS }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.boolean(), steps, async (seed, hasProvider, taken) => {
      const model = begin(seed, hasProvider);
      await fc.asyncModelRun(() => ({ model, real: null }), taken);
      await conclude(model);
    }),
    { seed: SEED, numRuns: RUNS },
  );
});
