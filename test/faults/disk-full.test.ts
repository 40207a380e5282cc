import { writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { TcpClient } from '../e2e/clients.ts';
import { startGateway, temporaryDirectory, UNLIMITED } from '../e2e/gateway-process.ts';
import { eventually, Load, readLog } from './load.ts';
import { isPossible, Mount, readiness } from './machine.ts';

const MEBIBYTES = 12;

const possible = await isPossible(async () => {
  const directory = await temporaryDirectory();
  try {
    await (await Mount.tmpfs(join(directory.path, 'mount'), 1)).unmount();
  } finally {
    await directory.remove();
  }
});

test.skipIf(!possible)(
  'a full disk stops publishes and nothing else, and room lets them go on',
  {
    timeout: 180_000,
  },
  async () => {
    const { mount, data, filler, load, ...started } = await underLoad(20_260_107);
    let { gateway } = started;
    onTestFinished(async () => void (await gateway.stop('SIGKILL')));

    /** The disk is full, or is about to be. */
    const whileFull = async () => {
      const refused = load.errorCount('unavailable');
      await eventually('publishes to be refused', () => load.errorCount('unavailable') > refused + 20);
      // In one look: a smaller record may find room for a moment, and the next one none again.
      await eventually('not to be ready', async () => {
        const { status, reason } = await readiness(gateway);
        return status === 503 && reason === 'the disk is full';
      });
      // Who comes anew can join and read; who is there stays.
      const client = await TcpClient.open(gateway.ports.tcp);
      await client.connect('visitor');
      for (const room of load.rooms) {
        const { messages } = await client.ok({ op: 'join', room, history: 50 });
        expect(messages).not.toHaveLength(0);
        await client.ok({ op: 'history', room, limit: 300 });
      }
      client.close();
      expect((await readLog(gateway.ports, load.rooms)).size).toBe(load.rooms.length);
      expect(load.clients.every(({ connections, isLive }) => connections === 1 && isLive)).toBe(true);
    };
    const onceFreed = async () => {
      await eventually('readiness', async () => (await readiness(gateway)).status === 200);
      await load.acks(200);
      expect(gateway.exited).toBe(false);
    };

    await load.acks(200);
    fill(filler);
    await whileFull();
    await rm(filler);
    await onceFreed();

    // Once more: this time it is the log itself that fills the disk.
    await whileFull();
    await mount.resize(4 * MEBIBYTES);
    await onceFreed();
    expect(load.errorCount('unknown_outcome')).toBe(0);

    load.goNowhere();
    await gateway.stop('SIGKILL');
    gateway = await startGateway(data, { env: UNLIMITED });
    load.goTo(gateway.ports);
    await load.settle();
    expect(load.oracle.judge(await readLog(gateway.ports, load.rooms))).toEqual([]);
    console.log(
      `a disk full twice: ${load.errorCount('unavailable')} refusals, ` +
        `${load.oracle.ackedCount} publishes acknowledged, none lost or doubled`,
    );
  },
);

test.skipIf(!possible)(
  'killed on a full disk, it has everything when there is room again',
  {
    timeout: 180_000,
  },
  async () => {
    const { data, filler, load, ...started } = await underLoad(20_260_108);
    let { gateway } = started;
    onTestFinished(async () => void (await gateway.stop('SIGKILL')));
    await load.acks(200);
    fill(filler);
    await eventually('publishes to be refused', () => load.errorCount('unavailable') > 20);
    load.goNowhere();
    await gateway.stop('SIGKILL');
    // Without room for a byte it may refuse, and says why; it must not make anything worse.
    await startGateway(data, { env: UNLIMITED }).then(
      (started) => started.stop('SIGKILL'),
      (error: Error) => expect(error.message).toMatch(/no space|disk is full/),
    );

    await rm(filler);
    gateway = await startGateway(data, { env: UNLIMITED });
    load.goTo(gateway.ports);
    await load.settle();
    expect(load.oracle.judge(await readLog(gateway.ports, load.rooms))).toEqual([]);
  },
);

/** A gateway with a small disk of its own, and clients at work on it. The test stops the gateway. */
async function underLoad(seed: number) {
  const directory = await temporaryDirectory();
  onTestFinished(() => directory.remove());
  const mount = await Mount.tmpfs(join(directory.path, 'mount'), MEBIBYTES);
  onTestFinished(() => mount.unmount());
  const data = join(mount.path, 'data');
  const load = new Load({ seed, dataBytesMax: 4_000 });
  onTestFinished(() => load.close());
  const gateway = await startGateway(data, { env: UNLIMITED });
  load.goTo(gateway.ports);
  return { mount, data, filler: join(mount.path, 'filler'), load, gateway };
}

/** Takes all the room that is left. */
function fill(path: string): void {
  for (const size of [65_536, 4_096, 1]) {
    try {
      for (;;) writeFileSync(path, Buffer.alloc(size), { flag: 'a' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }
}
