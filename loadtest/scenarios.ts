import type { Described } from './load-options.ts';
import type { Scenario } from './load-run.ts';
import { CHURN, SOAK } from './scenarios/churn.ts';
import { GHOSTS } from './scenarios/ghosts.ts';
import { HERD } from './scenarios/herd.ts';
import { HTTP } from './scenarios/http.ts';
import { IDLE } from './scenarios/idle.ts';
import { OPEN_LOOP } from './scenarios/open-loop.ts';
import { SLOW_READERS } from './scenarios/slow-readers.ts';

export const SCENARIOS: readonly (Described & { readonly scenario: Scenario })[] = [
  {
    name: 'fanout',
    what: 'a large room, and all that is published in it delivered to all',
    heeds: ['transport'],
    scenario: OPEN_LOOP,
    defaults: { sessions: 1_000, roomSize: 1_000, rate: 200, seconds: 20, replicas: 1, processes: 1 },
  },
  {
    name: 'rooms',
    what: 'many small rooms',
    heeds: ['transport'],
    scenario: OPEN_LOOP,
    defaults: { sessions: 1_000, roomSize: 4, rate: 1_000, seconds: 20, replicas: 1, processes: 1 },
  },
  {
    name: 'idle',
    what: 'sessions with presence that say nothing: memory',
    heeds: ['transport'],
    scenario: IDLE,
    defaults: { sessions: 5_000, roomSize: 10, rate: 1, seconds: 30, replicas: 1, processes: 1 },
  },
  {
    name: 'churn',
    what: 'sessions come and go, vanish, and lose their connections',
    heeds: ['arrivals', 'lifeSeconds'],
    scenario: CHURN,
    defaults: { sessions: 500, roomSize: 10, rate: 50, seconds: 30, replicas: 1, processes: 1 },
  },
  {
    name: 'slow-readers',
    what: 'some stop reading, and the others must not notice',
    heeds: ['transport', 'stopping', 'window'],
    scenario: SLOW_READERS,
    defaults: { sessions: 300, roomSize: 300, rate: 1, seconds: 5, replicas: 1, processes: 1 },
  },
  {
    name: 'ghosts',
    what: 'some vanish without a word, and are gone within the bound',
    heeds: ['arrivals', 'vanishing'],
    scenario: GHOSTS,
    defaults: { sessions: 500, roomSize: 10, rate: 20, seconds: 5, replicas: 1, processes: 1 },
  },
  {
    name: 'soak',
    what: 'a bit of everything, for as long as it is told: how memory goes',
    heeds: ['arrivals', 'lifeSeconds'],
    scenario: SOAK,
    defaults: { sessions: 500, roomSize: 10, rate: 50, seconds: 50, replicas: 1, processes: 1 },
  },
  {
    name: 'herd',
    what: 'a replica is killed, drained or frozen, and its clients come back',
    heeds: ['arrivals', 'fault', 'freezeSeconds', 'backSeconds'],
    scenario: HERD,
    defaults: { sessions: 2_000, roomSize: 10, rate: 50, seconds: 5, replicas: 2, processes: 2 },
  },
  {
    name: 'http',
    what: 'the chat page, the server API, and upgrades that are refused',
    heeds: [],
    scenario: HTTP,
    defaults: { sessions: 50, roomSize: 1, rate: 1, seconds: 18, replicas: 1, processes: 1 },
  },
];
