/** The thread of another client of a presence in Redis: writes and reads at a fixed rate. Its data is a ProbePlan. */
import { parentPort, workerData } from 'node:worker_threads';
import { LatencyHistogram, quantilesOf } from './latency-histogram.ts';
import type { ProbeMessage, ProbeOrder, ProbePlan } from './presence-plan.ts';
import { openReplica } from './presence-replicas.ts';
import type { SimulatedSession } from './presence-scheme.ts';
import { PublishSchedule } from './publish-schedule.ts';

const OPEN_MAX = 10_000;
const STATUSES = ['away', 'online'] as const;

const { scheme, url, pace, sessions, rooms } = workerData as ProbePlan;
const writes = new LatencyHistogram();
const reads = new LatencyHistogram();
let failed = 0;
let open = 0;
let turn = 0;

function say(message: ProbeMessage): void {
  parentPort?.postMessage(message);
}

function fail(error: Error): void {
  say({ kind: 'failed', reason: error.message });
}

const replica = await openReplica(scheme, url, pace, fail);
await replica.join(sessions);

async function perform(command: Promise<unknown>, histogram: LatencyHistogram, dueUs: number): Promise<void> {
  open++;
  try {
    await command;
    histogram.record(performance.now() * 1000 - dueUs);
  } catch {
    failed++;
  } finally {
    open--;
  }
}

/** Writes and reads take turns, as do sessions, their statuses and rooms. */
function sendNext(dueUs: number): void {
  const pair = Math.floor(turn / 2);
  if (turn % 2 === 0) {
    const status = STATUSES[Math.floor(pair / sessions.length) % STATUSES.length] as (typeof STATUSES)[number];
    const session = sessions[pair % sessions.length] as SimulatedSession;
    void perform(replica.setStatus(session, status), writes, dueUs);
  } else {
    void perform(replica.readRoom(rooms[pair % rooms.length] as string), reads, dueUs);
  }
  turn++;
}

const schedule = new PublishSchedule(
  {
    publishAt: (dueUs) => {
      if (open >= OPEN_MAX) return false;
      sendNext(dueUs);
      return true;
    },
  },
  'woken',
  fail,
);

parentPort?.on('message', (order: ProbeOrder) => {
  if (order === 'clear') {
    for (const histogram of [writes, reads, schedule.lateness]) histogram.clear();
    failed = 0;
  } else if (order === 'report') {
    const figures = {
      writes: quantilesOf(writes),
      reads: quantilesOf(reads),
      count: writes.count + reads.count,
      failed,
      latenessP99Ms: quantilesOf(schedule.lateness).p99Ms,
    };
    say({ kind: 'report', figures });
  } else {
    schedule.stop();
    replica.crash();
    say({ kind: 'stopped' });
  }
});
schedule.setRate(2 * pace.probesPerSecond);
say({ kind: 'ready' });
