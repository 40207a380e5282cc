import { expect, test } from 'vitest';
import type { Stretch } from '../../../src/fanout/shared-history.ts';
import { backwardStretch, forwardStretch } from '../../../src/redis/history-stretch.ts';

const PLACE = { room: 'r', partition: 3, epoch: 'e' };

interface State {
  readonly from?: number;
  readonly through?: number;
  readonly forgotten?: number;
  readonly last?: number;
}

/** As the scripts answer: offsets, each with that behind which the room has nothing before it. */
function answer(state: State, entries: readonly (readonly [number, number])[], behind?: number): unknown {
  const { from = 0, through = 1_000, forgotten = -1, last } = state;
  const streamed = entries.map(([offset, previous]) => {
    return [`${offset}-1`, ['p', String(previous), 't', String(1_000 + offset), 'v', `{"${offset}":"é"}`]];
  });
  const numbers = [from, through, forgotten, last].map((each) => (each === undefined ? null : String(each)));
  return [...numbers, streamed, behind === undefined ? null : String(behind)];
}

/** From where to where, and what stands there. */
function shown({ from, through, publications }: Stretch): unknown {
  return through < from ? 'nothing' : [from, through, publications.map(({ offset }) => offset)];
}

test('publications are what they were', () => {
  expect(forwardStretch(PLACE, 5, 7, answer({ last: 7 }, [[7, 4]])).publications).toEqual([
    { room: 'r', partition: 3, epoch: 'e', offset: 7, ts: 1_007, value: Buffer.from('{"7":"é"}') },
  ]);
});

test.each<[string, unknown, number, number, unknown]>([
  ['of which nothing is known', [], 5, 90, 'nothing'],
  ['that could not be asked', undefined, 5, 90, 'nothing'],
  [
    'to the end',
    answer({ last: 20 }, [
      [10, 4],
      [20, 10],
    ]),
    5,
    90,
    [5, 90, [10, 20]],
  ],
  [
    'not beyond what was taken over',
    answer({ last: 20, through: 60 }, [
      [10, 4],
      [20, 10],
    ]),
    5,
    90,
    [5, 60, [10, 20]],
  ],
  [
    'not beyond what is wanted',
    answer({ last: 99 }, [
      [10, 4],
      [20, 10],
      [99, 20],
    ]),
    5,
    90,
    [5, 90, [10, 20]],
  ],
  [
    'as far as it was cut',
    answer({ last: 99 }, [
      [10, 4],
      [20, 10],
    ]),
    5,
    90,
    [5, 20, [10, 20]],
  ],
  [
    'to a hole',
    answer({ last: 30, from: 25 }, [
      [10, 4],
      [20, 10],
      [30, 24],
    ]),
    5,
    90,
    [5, 20, [10, 20]],
  ],
  [
    'behind what was trimmed',
    answer({ last: 20 }, [
      [10, 8],
      [20, 10],
    ]),
    5,
    90,
    [9, 90, [10, 20]],
  ],
  ['whose stream is gone', answer({ last: 20 }, []), 5, 90, [21, 90, []]],
  ['whose stream has lost its end', answer({ last: 30 }, [[10, 4]]), 5, 90, [5, 10, [10]]],
  ['quiet for long', answer({ last: 3 }, []), 5, 90, [5, 90, []]],
  ['quiet since before the state begins', answer({ last: 3, from: 40 }, []), 5, 90, [40, 90, []]],
  ['unheard of', answer({}, []), 5, 90, [5, 90, []]],
  ['forgotten', answer({ forgotten: 50 }, []), 5, 90, [51, 90, []]],
  ['with nothing but what is not wanted', answer({ last: 99 }, [[99, 95]]), 5, 90, 'nothing'],
])('forward: a room %s', (_, given, from, through, expected) => {
  expect(shown(forwardStretch(PLACE, from, through, given))).toEqual(expected);
});

test.each<[string, unknown, number, unknown]>([
  ['of which nothing is known', [], 90, 'nothing'],
  ['that could not be asked', undefined, 90, 'nothing'],
  [
    'to its beginning',
    answer({ last: 20 }, [
      [20, 10],
      [10, -1],
    ]),
    90,
    [0, 90, [10, 20]],
  ],
  [
    'with more behind',
    answer(
      { last: 99 },
      [
        [20, 10],
        [10, 4],
      ],
      20,
    ),
    90,
    [5, 90, [10, 20]],
  ],
  [
    'with something missing behind',
    answer(
      { last: 99 },
      [
        [20, 10],
        [10, 4],
      ],
      30,
    ),
    90,
    [31, 90, []],
  ],
  ['with the next one beyond a hole', answer({ last: 99 }, [[20, 10]], 95), 90, 'nothing'],
  ['not taken over so far', answer({ last: 20, through: 60 }, [[20, 10]]), 90, 'nothing'],
  [
    'to a hole',
    answer({ last: 30, from: 25 }, [
      [30, 24],
      [20, 10],
    ]),
    90,
    [25, 90, [30]],
  ],
  ['whose stream is gone', answer({ last: 20 }, []), 90, [21, 90, []]],
  ['whose stream has lost its end', answer({ last: 30 }, [[10, 4]]), 90, [31, 90, []]],
  ['unheard of', answer({}, []), 90, [0, 90, []]],
  ['forgotten', answer({ forgotten: 50 }, []), 90, [51, 90, []]],
])('backward: a room %s', (_, given, through, expected) => {
  expect(shown(backwardStretch(PLACE, through, given))).toEqual(expected);
});
