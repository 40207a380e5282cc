import { Random } from '../../faults/random.ts';
import type { Ending, Fault, Faults, Point, RetryableCode } from './faults.ts';

const RETRYABLE: readonly RetryableCode[] = [
  'rate_limited',
  'overloaded',
  'unknown_outcome',
  'unavailable',
  'internal',
];
/** What a client is to ignore. */
export const NOISE: readonly string[] = [
  '{"push":"weather","room":"r1","sky":"blue","next":{"more":[1,null]}}',
  '{"push":"weather"}',
  '{"push":"message","room":"elsewhere","epoch":"e","offset":7,"from":"x","mid":"m","ts":1,"data":null}',
  '{"push":"resync","room":"elsewhere","position":{"epoch":"e","offset":7}}',
  '{"push":"left","room":"elsewhere","code":"kicked"}',
  '{"push":"signal","room":"r1","from":"x","data":{"typing":true}}',
  '{"push":"presence","room":"r1","version":9,"count":2,"partial":false}',
  '{"push":"presence","user":"nobody","status":"away","devices":1,"lastSeenMs":1}',
  '{"id":999999,"ok":{"room":"r1"}}',
  '{"id":null,"error":{"code":"bad_request","message":"that was no line of yours"}}',
  '{"push":"heartbeat","at":17}',
  '\n\n',
];
/** What no server says. */
export const NONSENSE: readonly (string | Buffer)[] = [
  Buffer.from('{"push":"heartbeat"}'),
  Buffer.from([0, 255, 254]),
  'hello',
  '{"push":"heartbeat"',
  '{"push":"heartbeat"}{"push":"heartbeat"}',
  'null',
  '17',
  '"heartbeat"',
  '[{"push":"heartbeat"}]',
  '{"push":"heartbeat"}\n{"pu',
  '{"push":"message","room":"r1","epoch":"never","offset":1,"from":"x","mid":"never","ts":1,"data":"never"}',
  '{"push":"message","room":"r1"}',
];

/** Everything that a seed decides. */
export interface Settings {
  /** Chance of a fault at any one point. */
  readonly faultRate: number;
  readonly clients: number;
  readonly rooms: number;
  readonly publishesEach: number;
  /** Messages of a page. */
  readonly pageMax: number;
  readonly publishesUnansweredMax: number;
  readonly retryForMs: number;
  /** How much of their backoff the clients draw, at most. */
  readonly backoffShare: number;
  /** Whether a computer's sleep is part of it. */
  readonly sleeps: boolean;
}

type Draw = (random: Random) => Fault;

const delay: Draw = (random) => ({ do: 'delay', ms: random.int(1, 15) });
const twice: Draw = () => ({ do: 'twice' });
const gather: Draw = (random) => ({ do: 'gather', ms: random.int(1, 10) });
const noise: Draw = (random) => ({ do: 'noise', said: random.pick(NOISE) });
const short: Draw = (random) => ({ do: 'short', limit: random.int(-1, 3) });
const resync: Draw = (random) => ({ do: 'resync', overtakes: random.next() < 0.5, twice: random.next() < 0.2 });
const end: Draw = (random) => ({ do: 'end', ending: anEnding(random) });
const refuse: Draw = (random) => ({
  ...{ do: 'refuse', code: random.pick(RETRYABLE) },
  ...(random.next() < 0.5 && { retryAfterMs: random.int(0, 1_500) }),
});
const left: Draw = (random) => ({ do: 'left', code: random.pick(['forbidden', 'kicked']) });

/** What may happen where; what stands there twice is twice as likely. */
const MENU: Readonly<Record<Point, readonly Draw[]>> = {
  upgrade: [end, end, () => ({ do: 'status', status: 503 }), () => ({ do: 'hang' })],
  open: [end],
  connect: [end, refuse, delay],
  connected: [end, noise, twice, (random) => ({ do: 'ticket', ticket: `t.${random.int(1, 1e9)}` })],
  join: [end, refuse, delay, delay, twice, short, short, noise],
  joined: [end, noise],
  page: [end, refuse, delay, delay, twice, short, short, noise],
  paged: [end, noise],
  leave: [end, refuse, delay, delay],
  publish: [end, end, refuse, refuse, lateAppend, () => ({ do: 'refuse', code: 'forbidden' })],
  appended: [end, end, delay, delay, () => ({ do: 'refuse', code: 'unknown_outcome' }), twice, gather],
  acked: [end],
  push: [end, twice, () => ({ do: 'repeat' }), resync, () => ({ do: 'resync_gap' }), left, noise, gather, delay],
  withheld: [() => ({ do: 'premature' }), () => ({ do: 'premature' }), resync, left],
  pushed: [end, () => ({ do: 'repeat' })],
  grown: [
    (random) => ({ do: 'trim', keep: random.int(0, 10) }),
    (random) => ({ do: 'damage', back: random.int(0, 5) }),
    (random) => ({
      ...{ do: 'renew', lose: random.pick([0, 1, 3, 10, 'all']), by: random.pick(['reset', 'resync']) },
      overtakes: random.next() < 0.5,
    }),
  ],
};

/**
 * A run of faults that a seed decides: what happens at the n-th turn of a client at a point is always the same,
 * whichever of the clients comes first.
 */
export class SeededPlan implements Faults {
  readonly seed: number;
  readonly settings: Settings;
  isHostile = true;
  readonly #turns = new Map<string, number>();
  /** What has happened, in order. */
  readonly #done: string[] = [];

  constructor(seed: number) {
    this.seed = seed;
    const random = new Random(seed);
    this.settings = {
      faultRate: random.pick([0.02, 0.05, 0.1, 0.15]),
      clients: random.int(1, 4),
      rooms: random.int(1, 3),
      publishesEach: random.int(10, 40),
      pageMax: random.pick([1, 2, 5, 20, 300]),
      publishesUnansweredMax: random.pick([1, 3, 32]),
      retryForMs: random.pick([60_000, 60_000, 20_000]),
      backoffShare: random.pick([0.02, 0.1, 1]),
      sleeps: random.next() < 0.2,
    };
  }

  at(point: Point, client: string): Fault | null {
    const key = `${client} ${point}`;
    const turn = (this.#turns.get(key) ?? 0) + 1;
    this.#turns.set(key, turn);
    if (!this.isHostile) return null;
    const random = new Random(hash(`${this.seed} ${key} ${turn}`));
    if (random.next() >= this.settings.faultRate) return null;
    const fault = random.pick(MENU[point])(random);
    this.#done.push(`${key} ${turn}: ${JSON.stringify(fault)}`);
    return fault;
  }

  get faultCount(): number {
    return this.#done.length;
  }

  toString(): string {
    return [`HOSTILE_SEED=${this.seed}`, JSON.stringify(this.settings), ...this.#done].join('\n');
  }
}

function lateAppend(random: Random): Fault {
  return { do: 'append_late', ms: random.int(1, 40) };
}

function anEnding(random: Random): Ending {
  switch (random.int(0, 7)) {
    case 0:
    case 1:
      return { by: 'reset' };
    case 2:
      return { by: 'close', code: random.pick([1000, 1001, 1005, 1011, 1012, 3000, 3001, 3003, 3005]) };
    case 3:
    case 4: {
      const afterMs = random.next() < 0.5 ? null : random.int(0, 3_000);
      return { by: 'disconnect', code: random.int(3000, 3006), afterMs };
    }
    case 5:
      return { by: random.pick(['half_object', 'half_frame']) };
    case 6:
      return random.next() < 0.3 ? { by: 'silence', isDeaf: random.next() < 0.5 } : { by: 'reset' };
    default:
      return { by: 'nonsense', said: random.pick(NONSENSE) };
  }
}

function hash(text: string): number {
  let sum = 2_166_136_261;
  for (const char of text) sum = Math.imul(sum ^ (char.codePointAt(0) ?? 0), 16_777_619);
  return sum;
}
