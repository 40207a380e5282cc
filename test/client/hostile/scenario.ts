import { Random } from '../../faults/random.ts';
import type { Participant } from './participant.ts';
import { SeededPlan } from './seeded-plan.ts';
import { Stage } from './stage.ts';

/** The clients' minute is 2.4 s. */
const SPEED = 25;
/** When all is to become well, on whatever machine: 6 s. */
const CALM_SPEED = 10;
const HEARTBEAT_MS = 2_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** Real milliseconds between what a participant does. */
const REST_MS_MAX = 12;
/** Longer than anything is sent again. */
const SLEEP_MS = 300_000;
/** Real milliseconds that faults go on, when all has been published and not everything has an outcome. */
const AFTERMATH_MS_MAX = 600;

/** What came of a seed. */
export interface Result {
  readonly plan: SeededPlan;
  /** What is wrong. */
  readonly found: readonly string[];
  readonly faults: number;
  readonly sockets: number;
  readonly messages: number;
  readonly gaps: number;
  readonly resolved: number;
  readonly timedOut: number;
  /** All that was said. */
  readonly transcript: readonly string[];
}

/** Has clients publish and follow rooms while a plan of faults is played, then looks at all there was. */
export async function play(seed: number): Promise<Result> {
  const plan = new SeededPlan(seed);
  const { settings } = plan;
  const random = new Random(seed + 1);
  const stage = await Stage.open(plan, { ...settings, seed, speed: SPEED, heartbeatMs: HEARTBEAT_MS });
  try {
    const rooms = Array.from({ length: settings.rooms }, (_, i) => `r${i + 1}`);
    const participants = Array.from({ length: settings.clients }, (_, i) => {
      const { retryForMs, backoffShare } = settings;
      const options = { retryForMs, connectTimeoutMs: CONNECT_TIMEOUT_MS };
      const participant = stage.participant(`ann${i + 1}`, options, backoffShare);
      // The first one hears everything.
      for (const room of rooms) if (i === 0 || random.next() < 0.7) follow(participant, room, stage, random, i === 0);
      participant.expect('connect', participant.client.connect());
      return participant;
    });
    const lives = participants.map((participant) =>
      live(participant, rooms, stage, plan, new Random(random.int(0, 1e9))),
    );
    await Promise.all(lives);
    const endMs = performance.now() + random.int(0, AFTERMATH_MS_MAX);
    const isOver = () => performance.now() > endMs || participants.every(({ hasSettled }) => hasSettled);
    await stage.until('the end of the faults', isOver);
    plan.isHostile = false;
    for (const { client, environment } of participants) {
      environment.setSpeed(CALM_SPEED);
      if (client.state.name === 'waiting') environment.goOnline();
    }
    const found = await stage.settle().catch((error: Error) => [error.message]);
    const outcomes = participants.flatMap(({ publishes }) => publishes.map(({ outcome }) => outcome));
    const count = (counted: (participant: Participant) => number) =>
      participants.reduce((sum, participant) => sum + counted(participant), 0);
    return {
      ...{ plan, found, faults: plan.faultCount, sockets: count(({ watch }) => watch.socketCount) },
      messages: count((participant) => rooms.reduce((sum, room) => sum + participant.messages(room).length, 0)),
      gaps: count((participant) => rooms.reduce((sum, room) => sum + participant.gaps(room).length, 0)),
      resolved: outcomes.filter((outcome) => outcome !== null && 'offset' in outcome).length,
      transcript: participants.flatMap(({ name, watch }) => watch.transcript.map((line) => `${name} ${line}`)),
      timedOut: outcomes.filter((outcome) => outcome !== null && 'code' in outcome && outcome.code === 'timed_out')
        .length,
    };
  } finally {
    await stage.close();
  }
}

function follow(
  participant: Participant,
  room: string,
  { server }: Stage,
  random: Random,
  isFromBeginning: boolean,
): void {
  if (isFromBeginning) participant.follow(room, { since: server.room(room).beginning });
  else participant.follow(room, random.next() < 0.5 ? {} : { history: random.int(0, 20) });
}

/** Publishes, and does now and then what programs do. */
async function live(
  participant: Participant,
  rooms: readonly string[],
  stage: Stage,
  { settings }: SeededPlan,
  random: Random,
): Promise<void> {
  const { client, environment, followings } = participant;
  let left = settings.publishesEach;
  while (left > 0) {
    const burst = Math.min(random.int(1, 6), left);
    left -= burst;
    for (let i = 0; i < burst; i += 1) participant.publish(random.pick(rooms), stage.words(participant.name));
    await rest(random.int(0, REST_MS_MAX));
    // With publishes on their way, and others waiting.
    if (settings.sleeps && random.next() < 0.2) environment.shiftWall(random.pick([SLEEP_MS, -SLEEP_MS]));
    await rest(random.int(0, REST_MS_MAX));
    const following = random.pick([...followings.values(), null]);
    const position = following?.room.position ?? null;
    switch (random.int(0, 12)) {
      case 0:
        if (following === null || following.room.state === 'idle') break;
        participant.expect('leave', following.room.leave());
        participant.rejoin(following);
        break;
      case 1:
        if (following === null || position === null) break;
        participant.expect('history', following.room.history({ after: position, limit: 3 }), 'timed_out');
        break;
      case 2:
        environment.goOnline();
        break;
      case 3:
        participant.expect('ping', client.ping(), 'timed_out');
    }
  }
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
