/**
 * A process of its own that appends one record after the other, each until it is acknowledged, and writes what
 * came of it: `acked MID`, or the code of an error. At the end it opens the log anew and writes `kept` and the
 * mids that are there.
 */
import { writeSync } from 'node:fs';
import { openEmbeddedLog } from '../../src/fanout/embedded-log.ts';
import { EMBEDDED_LOG_DEFAULTS } from '../../src/fanout/embedded-settings.ts';

const RECORDS = 40;
const [directory = '', synced = 'true'] = process.argv.slice(2);
const silent = { info() {}, warn() {}, error() {} };
const settings = { ...EMBEDDED_LOG_DEFAULTS, directory, partitions: 1, synced: synced === 'true' };

const log = await openEmbeddedLog(settings, silent);
say('open');
for (let number = 0; number < RECORDS; number++) await publish(`m${number}`);
await log.close();

const again = await openEmbeddedLog(settings, silent);
const page = await again.read({ room: 'r', through: Number.MAX_SAFE_INTEGER, limit: 300, bytesMax: 1_048_576 });
say(['kept', ...page.publications.map(({ value }) => JSON.parse(value.toString()).mid)].join(' '));
await again.close();

async function publish(mid: string): Promise<void> {
  for (;;) {
    try {
      await log.append({ room: 'r', from: 'user', mid, data: '1' });
      return say(`acked ${mid}`);
    } catch (error) {
      say(error instanceof Error && 'code' in error ? String(error.code) : String(error));
    }
  }
}

// At once, so that a trace of the process's calls shows it in its place.
function say(line: string): void {
  writeSync(1, `${line}\n`);
}
