/**
 * The load process: all sessions of one run against one server. Started by the bench with a LoadPlan as its
 * argument; sends a LoadResult or LoadFailure over IPC and exits.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { BareWsWire } from './clients/bare-ws.ts';
import { type Run, Session } from './clients/session.ts';
import { SocketIoWire } from './clients/socket-io.ts';
import { TidegateWire } from './clients/tidegate.ts';
import type { Wire } from './clients/wire.ts';
import { LatencyHistogram } from './latency-histogram.ts';
import type { CalibrationTask, LoadFailure, LoadPlan, LoadResult, Measurement, WireName } from './load-plan.ts';
import { OPEN_PER_PUBLISHER, PublishWindow } from './publish-window.ts';
import { RoomStream } from './room-stream.ts';
import { UsageMeter } from './usage-meter.ts';

const CONNECTING_AT_ONCE = 32;
const DRAIN_MS_MAX = 10_000;
const DRAIN_POLL_MS = 5;
/** What must not come after the last delivery would come by then: a duplicate, say. */
const QUIET_MS = 100;
/** By so much, other load on the machine is not the reason. */
const FAR_MORE = 2;
/** Calibration warms the server up with this many times its smallest window. */
const WARM_UP_FACTOR = 8;

const WIRES: Record<WireName, () => Wire> = {
  'tidegate-ws': () => new TidegateWire('websocket'),
  'tidegate-tcp': () => new TidegateWire('lines'),
  'socket.io': () => new SocketIoWire(),
  ws: () => new BareWsWire(),
};

class LoadRun implements Run {
  readonly port: number;
  readonly wire: Wire;
  readonly window: PublishWindow;
  readonly histogram = new LatencyHistogram();
  nowUs = 0;
  deliveries = 0;
  bytes = 0;
  readonly #plan: LoadPlan;
  readonly #rooms: RoomStream[] = [];
  readonly #sessions: Session[] = [];
  readonly #meter: UsageMeter;
  readonly fail: (error: Error) => void;

  constructor(plan: LoadPlan, fail: (error: Error) => void) {
    this.#plan = plan;
    this.fail = fail;
    this.port = plan.port;
    this.wire = WIRES[plan.wire]();
    const { rooms, sessionsPerRoom, publishersPerRoom } = plan.workload;
    this.window = new PublishWindow(rooms * publishersPerRoom, sessionsPerRoom, this.histogram);
    this.#meter = new UsageMeter(plan);
  }

  async connect(): Promise<void> {
    const { rooms, sessionsPerRoom, publishersPerRoom } = this.#plan.workload;
    for (let index = 0; index < rooms; index++) {
      this.#rooms.push(new RoomStream(index, `room-${String(index).padStart(4, '0')}`, this.wire, this.window));
    }
    const total = rooms * sessionsPerRoom;
    for (let first = 0; first < total; first += CONNECTING_AT_ONCE) {
      const count = Math.min(CONNECTING_AT_ONCE, total - first);
      const opening = Array.from({ length: count }, (_, index) => this.#open(first + index));
      this.#sessions.push(...(await Promise.all(opening)));
    }
    // Members of a room are neighbours; those who publish are spread evenly among them.
    const stride = Math.floor(sessionsPerRoom / publishersPerRoom);
    for (const [index, session] of this.#sessions.entries()) {
      const member = index % sessionsPerRoom;
      const publishes = member % stride === 0 && member / stride < publishersPerRoom;
      if (publishes) session.becomePublisher(Math.floor(index / sessionsPerRoom));
    }
  }

  async measure(window: number, settleMs: number, measureMs: number): Promise<Measurement> {
    await this.#setWindow(window);
    await sleep(settleMs);
    this.histogram.clear();
    const deliveriesBefore = this.deliveries;
    const bytesBefore = this.bytes;
    this.#meter.start();
    await sleep(measureMs);
    const usage = this.#meter.stop();
    const deliveries = this.deliveries - deliveriesBefore;
    return {
      window,
      ...usage,
      deliveries,
      deliveriesPerSecond: deliveries / usage.seconds,
      p50Ms: this.histogram.quantileUs(0.5) / 1000,
      p99Ms: this.histogram.quantileUs(0.99) / 1000,
      bytesPerDelivery: deliveries === 0 ? 0 : (this.bytes - bytesBefore) / deliveries,
    };
  }

  /** Doubles the window until the median latency is far more than a window may cost. */
  async calibrate(task: CalibrationTask): Promise<Measurement[]> {
    const { rooms, publishersPerRoom, windowMin } = this.#plan.workload;
    const windowMax = rooms * publishersPerRoom * OPEN_PER_PUBLISHER;
    await this.measure(windowMin * WARM_UP_FACTOR, task.warmUpMs, 0);
    const measurements: Measurement[] = [];
    for (let window = windowMin; window <= windowMax; window *= 2) {
      const measurement = await this.measure(window, task.stepSettleMs, task.stepMs);
      measurements.push(measurement);
      if (measurement.p50Ms > task.p50MaxMs * FAR_MORE) break;
    }
    return measurements;
  }

  /**
   * Stops publishing, waits for what is open and ends the sessions.
   *
   * @throws Error unless every session has received everything.
   */
  async finish(): Promise<void> {
    await this.#setWindow(0);
    await sleep(QUIET_MS);
    for (const room of this.#rooms) room.finish();
    if (this.window.open > 0) throw new Error(`${this.window.open} publications were delivered but not answered`);
    if (this.deliveries === 0) throw new Error('nothing was delivered');
    for (const session of this.#sessions) session.close();
  }

  /** Resolves when no more are open than the window allows, or that has taken too long. */
  async #setWindow(window: number): Promise<void> {
    this.window.limit = window;
    this.window.planFlush();
    const deadlineMs = performance.now() + DRAIN_MS_MAX;
    while (this.window.open > window && performance.now() < deadlineMs) await sleep(DRAIN_POLL_MS);
  }

  #open(index: number): Promise<Session> {
    const room = this.#rooms[Math.floor(index / this.#plan.workload.sessionsPerRoom)] as RoomStream;
    return Session.open(this, room, index);
  }
}

async function perform(plan: LoadPlan, fail: (error: Error) => void): Promise<LoadResult> {
  const run = new LoadRun(plan, fail);
  await run.connect();
  const { task } = plan;
  const measurements =
    task.kind === 'calibrate'
      ? await run.calibrate(task)
      : [await run.measure(task.window, task.warmUpMs, task.measureMs)];
  await run.finish();
  return { kind: 'done', measurements, deliveriesVerified: run.deliveries };
}

function report(message: LoadResult | LoadFailure): void {
  process.send?.(message, () => process.exit(message.kind === 'done' ? 0 : 1));
}

const plan = JSON.parse(process.argv[2] ?? '') as LoadPlan;
// A bench that dies must not leave its load behind.
process.on('disconnect', () => process.exit(1));
const failed = new Promise<never>((_resolve, reject) => {
  perform(plan, reject).then(report, reject);
});
failed.catch((error: unknown) =>
  report({ kind: 'failed', reason: error instanceof Error ? error.message : String(error) }),
);
