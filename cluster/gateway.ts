import { fileURLToPath } from 'node:url';
import { HOST } from '../services/ports.ts';
import type { Program } from './kept-process.ts';
import type { Place } from './places.ts';

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const READY_MS_MAX = 60_000;
const ANSWER_MS_MAX = 1_000;

/** A replica as it is deployed. `settings` are those of all of them. */
export function gatewayProgram(
  name: string,
  place: Place,
  settings: Readonly<Record<string, string>>,
  logFile: string,
): Program {
  const env = {
    ...settings,
    TIDEGATE_NODE_ID: name,
    TIDEGATE_HTTP_PORT: `${place.http}`,
    TIDEGATE_TCP_PORT: `${place.tcp}`,
    TIDEGATE_INTERNAL_PORT: `${place.internal}`,
  };
  const isReady = async () => {
    try {
      const signal = AbortSignal.timeout(ANSWER_MS_MAX);
      return (await fetch(`http://${HOST}:${place.internal}/health/ready`, { signal })).ok;
    } catch {
      return false;
    }
  };
  return { name, command: process.execPath, args: [MAIN], env, logFile, readyMsMax: READY_MS_MAX, isReady };
}
