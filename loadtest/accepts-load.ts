/**
 * The load process of arrivals: sessions come as fast as they are let in, a bounded number at a time, and the oldest
 * one leaves for each that comes, once enough are there. Started with an AcceptsPlan; sends an AcceptsResult.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { LOOPBACK, type Run, Session } from './clients/session.ts';
import type { Wire } from './clients/wire.ts';
import { wireOf } from './clients/wires.ts';
import { LatencyHistogram } from './latency-histogram.ts';
import { runAsLoad } from './load-main.ts';
import type { LoadTarget, Usage } from './load-plan.ts';
import { PublishWindow } from './publish-window.ts';
import { RoomStream } from './room-stream.ts';
import { UsageMeter } from './usage-meter.ts';

export interface AcceptsPlan extends LoadTarget {
  /** With what sessions sign a token each; undefined: they are anonymous. */
  readonly jwtSecret: string | undefined;
  /** Sessions between connecting and the reply to their join. */
  readonly arrivingAtOnce: number;
  /** Sessions that have joined and not left. */
  readonly presentMax: number;
  readonly sessionsPerRoom: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export interface AcceptsResult extends Usage {
  readonly kind: 'done';
  /** Sessions that connected, joined, and had every reply within the window. */
  readonly accepts: number;
  readonly acceptsPerSecond: number;
  /** From connecting to the reply to the join. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Each goodbye is answered; so many may be on their way for each session on its way in. */
const LEAVING_PER_ARRIVING = 4;

class Arrivals implements Run {
  readonly road = LOOPBACK;
  readonly ports: readonly number[];
  readonly wire: Wire;
  /** From connecting to the reply to the join. */
  readonly histogram = new LatencyHistogram();
  /** Nobody publishes here. */
  readonly window = new PublishWindow(0, 0);
  readonly histograms: readonly LatencyHistogram[];
  nowUs = 0;
  deliveries = 0;
  bytes = 0;
  presences = 0;
  accepts = 0;
  readonly fail: (error: Error) => void;
  readonly #plan: AcceptsPlan;
  readonly #present: Session[] = [];
  #leaving = 0;
  #next = 0;
  #room: RoomStream;
  #hasEnded = false;

  constructor(plan: AcceptsPlan, fail: (error: Error) => void) {
    this.ports = plan.ports;
    this.histograms = plan.ports.map(() => new LatencyHistogram());
    this.wire = wireOf(plan.wire, { presence: 'full', ...(plan.jwtSecret && { jwtSecret: plan.jwtSecret }) });
    this.fail = fail;
    this.#plan = plan;
    this.#room = this.#roomOf(0);
  }

  start(): void {
    for (let one = 0; one < this.#plan.arrivingAtOnce; one++) this.#arrive().catch(this.fail);
  }

  end(): void {
    this.#hasEnded = true;
    for (const session of this.#present) session.close();
  }

  async #arrive(): Promise<void> {
    const { sessionsPerRoom, presentMax, arrivingAtOnce } = this.#plan;
    while (!this.#hasEnded) {
      const index = this.#next++;
      if (index % sessionsPerRoom === 0) this.#room = this.#roomOf(index / sessionsPerRoom);
      const startMs = performance.now();
      // From the address that the system picks, all of them: to bind one costs more the more ports have been used.
      const session = await Session.open(this, [this.#room], index, 0);
      this.histogram.record((performance.now() - startMs) * 1000);
      this.accepts++;
      this.#present.push(session);
      if (this.#present.length <= presentMax) continue;
      const gone = this.#leave(this.#present.shift() as Session);
      if (this.#leaving > LEAVING_PER_ARRIVING * arrivingAtOnce) await gone;
    }
  }

  async #leave(session: Session): Promise<void> {
    this.#leaving++;
    await session.leave();
    this.#leaving--;
  }

  #roomOf(index: number): RoomStream {
    return new RoomStream(index, `room-${index}`, this.wire, this.window);
  }
}

async function perform(plan: AcceptsPlan, fail: (error: Error) => void): Promise<AcceptsResult> {
  const arrivals = new Arrivals(plan, fail);
  const meter = new UsageMeter(plan);
  arrivals.start();
  await sleep(plan.warmUpMs);
  const acceptsBefore = arrivals.accepts;
  arrivals.histogram.clear();
  meter.start();
  await sleep(plan.measureMs);
  const usage = meter.stop();
  const accepts = arrivals.accepts - acceptsBefore;
  arrivals.end();
  return {
    kind: 'done',
    ...usage,
    accepts,
    acceptsPerSecond: accepts / usage.seconds,
    p50Ms: arrivals.histogram.quantileUs(0.5) / 1000,
    p99Ms: arrivals.histogram.quantileUs(0.99) / 1000,
  };
}

runAsLoad(perform);
