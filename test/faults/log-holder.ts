/**
 * A process of its own that holds a log: opens the directory that it is given, appends without end, and writes
 * each acknowledged mid as a line. It is killed by the test that started it.
 */
import { openEmbeddedLog } from '../../src/fanout/embedded-log.ts';
import { EMBEDDED_LOG_DEFAULTS } from '../../src/fanout/embedded-settings.ts';

const [directory = ''] = process.argv.slice(2);
const silent = { info() {}, warn() {}, error() {} };
const log = await openEmbeddedLog({ ...EMBEDDED_LOG_DEFAULTS, directory, partitions: 1 }, silent);
let number = 0;
await Promise.all(
  Array.from({ length: 20 }, async () => {
    for (;;) {
      const mid = `m${number++}`;
      await log.append({ room: 'r', from: 'user', mid, data: '{"text":"hello"}' });
      process.stdout.write(`${mid}\n`);
    }
  }),
);
