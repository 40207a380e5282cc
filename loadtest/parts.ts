import { ACCEPTS } from './accepts-part.ts';
import { CLUSTER } from './cluster-part.ts';
import { GROWTH } from './growth-part.ts';
import { HISTORY } from './history-part.ts';
import { IDLE } from './idle-part.ts';
import { LATENCY } from './latency-part.ts';
import type { Part } from './part.ts';
import { PRESENCE } from './presence-part.ts';
import { PUBLISH } from './publish-part.ts';
import { SLOW_READERS } from './slow-readers-part.ts';
import { FANOUT, ROOMS } from './speed-part.ts';

export const PARTS: readonly Part[] = [
  FANOUT,
  ROOMS,
  IDLE,
  ACCEPTS,
  PUBLISH,
  LATENCY,
  SLOW_READERS,
  GROWTH,
  CLUSTER,
  PRESENCE,
  HISTORY,
];
