import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { play } from './scenario.ts';

const SEED_COUNT = 30;

/**
 * `HOSTILE_SEED=7` plays one seed and prints what happened; `HOSTILE_SEEDS=500` plays so many. `HOSTILE_TRANSCRIPTS`
 * names a directory for all that was said where something is wrong.
 */
const { HOSTILE_SEED, HOSTILE_SEEDS, HOSTILE_TRANSCRIPTS } = process.env;
const seeds =
  HOSTILE_SEED === undefined
    ? Array.from({ length: Number(HOSTILE_SEEDS ?? SEED_COUNT) }, (_, i) => i + 1)
    : [Number(HOSTILE_SEED)];

describe('a client at a server that does whatever a seed says', () => {
  it.concurrent.each(seeds)('is told everything once and loses no publish: seed %i', async (seed) => {
    const { plan, found, transcript, ...counts } = await play(seed);
    if (HOSTILE_TRANSCRIPTS !== undefined && found.length > 0) {
      writeFileSync(`${HOSTILE_TRANSCRIPTS}/${seed}.txt`, [...transcript, plan, ...found].join('\n'));
    }
    if (HOSTILE_SEED !== undefined) console.log(String(plan), counts);
    expect(found, `${plan}\n${JSON.stringify(counts)}`).toEqual([]);
  });
});
