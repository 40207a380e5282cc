import type { MetricEntry } from './metric-entry.ts';

/** Who is here, and who hears of it. */
export const PRESENCE_METRICS = {
  sessions: {
    name: 'tidegate_sessions',
    type: 'gauge',
    signal: 'presence',
    help: 'Sessions connected here',
  },
  users: {
    name: 'tidegate_users',
    type: 'gauge',
    signal: 'presence',
    help: 'Users online, in their grace too',
  },
  devices: {
    name: 'tidegate_devices',
    type: 'gauge',
    signal: 'presence',
    help: 'Devices of users online, in their grace too',
  },
  rooms: {
    name: 'tidegate_rooms',
    type: 'gauge',
    signal: 'presence',
    help: 'Rooms with somebody present',
  },
  roomWatches: {
    name: 'tidegate_room_watches',
    type: 'gauge',
    signal: 'presence',
    help: "Sessions that hear of a room's presence, counted once a room",
  },
  userWatches: {
    name: 'tidegate_user_watches',
    type: 'gauge',
    signal: 'presence',
    help: "Sessions that hear of a user's presence, counted once a user",
  },
  presencePushes: {
    name: 'tidegate_presence_pushes_total',
    type: 'counter',
    signal: 'traffic',
    help: 'Presence pushes handed to readers of rooms and users',
  },
  presenceChanges: {
    name: 'tidegate_presence_push_users',
    type: 'histogram',
    signal: 'presence',
    help: "Users that a push of a room's presence named, once a push and not once a reader; 0: it gave a count alone",
    buckets: [0, 1, 2, 5, 10, 25, 50, 100, 250, 500],
  },
} as const satisfies Record<string, MetricEntry>;
