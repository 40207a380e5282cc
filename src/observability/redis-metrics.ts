import { LOCAL_SECONDS, type MetricEntry } from './metric-entry.ts';

/** What a process has to tell of Redis, and of presence there; where it has none, all of it is 0. */
export const REDIS_METRICS = {
  redisCall: {
    name: 'tidegate_redis_call_seconds',
    type: 'histogram',
    signal: 'latency',
    help: 'From asking Redis to its answer, of what it has answered in time',
    labels: {
      call: [
        'lease',
        'presence_write',
        'presence_read',
        'reap',
        'history_write',
        'history_read',
        'peers',
        'publish',
        'other',
      ],
    },
    buckets: LOCAL_SECONDS,
  },
  redisConnections: {
    name: 'tidegate_redis_connections_total',
    type: 'counter',
    signal: 'traffic',
    help: 'Connections to Redis that came to be used: for commands, and for what is published',
    labels: { connection: ['commands', 'subscriber'] },
  },
  redisShed: {
    name: 'tidegate_redis_shed_total',
    type: 'counter',
    signal: 'traffic',
    help: 'Messages for other replicas that were not published, as Redis was not there, or too much was under way',
  },
  redisFailures: {
    name: 'tidegate_redis_failures_total',
    type: 'counter',
    signal: 'errors',
    help: 'Commands that Redis has not done: not sent, without a connection (down), while it does not answer (broken) or as too many have no answer (overfull); without an answer in time (timeout), or before the connection was lost (lost); refused: it is in no state to',
    labels: { reason: ['down', 'broken', 'overfull', 'timeout', 'lost', 'refused'] },
  },
  redisUp: {
    name: 'tidegate_redis_up',
    type: 'gauge',
    signal: 'errors',
    help: '1 while Redis is asked, else 0',
  },
  redisHearing: {
    name: 'tidegate_redis_hearing',
    type: 'gauge',
    signal: 'errors',
    help: '1 while what is published through Redis is heard, else 0',
  },
  redisBroken: {
    name: 'tidegate_redis_broken',
    type: 'gauge',
    signal: 'errors',
    help: '1 while Redis is there, and not asked because it does not answer in time, else 0',
  },
  redisUnanswered: {
    name: 'tidegate_redis_unanswered_commands',
    type: 'gauge',
    signal: 'saturation',
    help: 'Commands that Redis has not answered, those that nobody waits for any more included',
  },
  redisUnansweredMax: {
    name: 'tidegate_redis_unanswered_commands_max',
    type: 'gauge',
    signal: 'saturation',
    help: 'Commands without an answer above which no more are sent',
  },
  redisChannels: {
    name: 'tidegate_redis_channels',
    type: 'gauge',
    signal: 'saturation',
    help: 'Channels of Redis that are heard here',
  },
  presenceShared: {
    name: 'tidegate_presence_shared',
    type: 'gauge',
    signal: 'presence',
    help: '1 while presence is that of all replicas, 0 while it is that of this one alone',
  },
  presenceInterests: {
    name: 'tidegate_presence_interests',
    type: 'gauge',
    signal: 'presence',
    help: 'Rooms and users of whose presence on other replicas is heard here',
  },
  presenceLeases: {
    name: 'tidegate_presence_leases_total',
    type: 'counter',
    signal: 'errors',
    help: 'Leases that this replica has taken in Redis: one at its start, and another one each time that it was lost',
  },
  presenceDegraded: {
    name: 'tidegate_presence_degraded_total',
    type: 'counter',
    signal: 'errors',
    help: 'Times that presence came to be that of this replica alone, as Redis did not answer',
  },
  presenceReaped: {
    name: 'tidegate_presence_reaped_users_total',
    type: 'counter',
    signal: 'traffic',
    help: 'Users of replicas that are gone whom this one has taken out of presence',
  },
  presenceSwept: {
    name: 'tidegate_presence_swept_users_total',
    type: 'counter',
    signal: 'traffic',
    help: 'Users that this replica has looked through for what no replica holds',
  },
} as const satisfies Record<string, MetricEntry>;
