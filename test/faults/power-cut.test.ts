import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { startGateway, temporaryDirectory, UNLIMITED } from '../e2e/gateway-process.ts';
import { Load, readLog } from './load.ts';
import { Disk, freeze, isPossible, type Mount, run } from './machine.ts';

const ROUNDS = 5;
const DISK_MEBIBYTES = 96;

const possible = await isPossible(async () => {
  const directory = await temporaryDirectory();
  try {
    const mount = await (await Disk.make(join(directory.path, 'disk'), 8)).mount(join(directory.path, 'mount'));
    await mount.unmount();
  } finally {
    await directory.remove();
  }
});

/** A machine with a disk of its own, whose power can be cut. */
class Machine {
  readonly #directory: string;
  readonly #env: Readonly<Record<string, string>>;
  #disk: Disk;
  #cuts = 0;
  mount!: Mount;
  gateway!: Awaited<ReturnType<typeof startGateway>>;

  private constructor(directory: string, disk: Disk, env: Readonly<Record<string, string>>) {
    this.#directory = directory;
    this.#disk = disk;
    this.#env = env;
  }

  static async start(env: Readonly<Record<string, string>> = {}): Promise<Machine> {
    const directory = await temporaryDirectory();
    onTestFinished(() => directory.remove());
    const disk = await Disk.make(join(directory.path, 'disk-0'), DISK_MEBIBYTES);
    const machine = new Machine(directory.path, disk, env);
    onTestFinished(async () => {
      await machine.gateway?.stop('SIGKILL');
      await machine.mount?.unmount();
    });
    await machine.#boot();
    return machine;
  }

  async cutPower(): Promise<void> {
    this.#cuts += 1;
    await freeze(this.gateway);
    const left = await this.#disk.copy(join(this.#directory, `disk-${this.#cuts}`));
    await this.gateway.stop('SIGKILL');
    await this.mount.unmount();
    this.#disk = left;
  }

  async restore(): Promise<void> {
    await this.#boot();
  }

  async #boot(): Promise<void> {
    this.mount = await this.#disk.mount(join(this.#directory, `mount-${this.#cuts}`));
    this.gateway = await startGateway(join(this.mount.path, 'data'), { env: { ...UNLIMITED, ...this.#env } });
  }
}

test.skipIf(!possible)(
  'a power cut loses nothing that was acknowledged or delivered',
  { timeout: 180_000 },
  async () => {
    const load = new Load({ seed: 20_260_102 });
    onTestFinished(() => load.close());
    const machine = await Machine.start();
    load.goTo(machine.gateway.ports);

    let ackedBeforeCuts = 0;
    for (let round = 0; round < ROUNDS; round++) {
      await load.acks(load.random.int(200, 1_200));
      await delay(load.random.int(0, 20));
      load.goNowhere();
      // Taken before the cut; what comes through the sockets after it was written before, too.
      const acked = load.oracle.ackedSoFar();
      ackedBeforeCuts = acked.length;
      await machine.cutPower();
      await machine.restore();
      const log = await readLog(machine.gateway.ports, load.rooms);
      expect(load.oracle.lost(log, acked)).toEqual([]);
      expect(load.oracle.judgeLog(log)).toEqual([]);
      load.goTo(machine.gateway.ports);
    }
    await load.settle();

    const log = await readLog(machine.gateway.ports, load.rooms);
    expect(load.oracle.judge(log)).toEqual([]);
    console.log(
      `${ROUNDS} power cuts: ${ackedBeforeCuts} publishes acknowledged before the last one, none lost; ` +
        `${load.oracle.duplicateCount} found there by a retry`,
    );
  },
);

test.skipIf(!possible)('without the sync it would lose what it acknowledged', { timeout: 180_000 }, async () => {
  const load = new Load({ seed: 20_260_103 });
  onTestFinished(() => load.close());
  const machine = await Machine.start({ TIDEGATE_TEST_UNSYNCED: 'true' });
  load.goTo(machine.gateway.ports);
  await load.acks(200);
  const before = load.oracle.ackedSoFar();
  // So far all is on the disk, as it would be after the kernel's own half a minute; from here on nothing is.
  await run('sync', '--file-system', machine.mount.path);
  await load.acks(1_000);
  load.goNowhere();
  const acked = load.oracle.ackedSoFar();
  await machine.cutPower();
  await machine.restore();

  const log = await readLog(machine.gateway.ports, load.rooms);
  const lost = load.oracle.lost(log, acked);
  expect(load.oracle.lost(log, before)).toEqual([]);
  expect(lost.length).toBeGreaterThan(0);
  console.log(`a power cut without the sync: ${acked.length} publishes acknowledged, ${lost.length} lost`);
});
