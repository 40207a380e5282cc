import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEmbeddedLog } from '../../src/fanout/embedded-log.ts';
import { EMBEDDED_LOG_DEFAULTS } from '../../src/fanout/embedded-settings.ts';
import { describeRoomLog } from './room-log.contract.ts';

const silent = { info() {}, warn() {}, error() {} };

describeRoomLog('the embedded log', async ({ partitions }) => {
  const directory = await mkdtemp(join(tmpdir(), 'tidegate-log-'));
  const open = () => openEmbeddedLog({ ...EMBEDDED_LOG_DEFAULTS, directory, partitions }, silent);
  const first = await open();
  let current = first;
  return {
    log: first,
    async reopen() {
      await current.close();
      current = await open();
      return current;
    },
    async dispose() {
      await current.close();
      await rm(directory, { recursive: true });
    },
  };
});
