import { METRICS } from '../src/observability/catalogue.ts';
import type { DashboardPlan } from './dashboard.ts';
import { largest, mean, observations, percentile, percentiles, perSecond, smallest, sum, times, use } from './query.ts';

/** Who is here, who hears of it, and what replicas share of that through Redis. */
export const PRESENCE: DashboardPlan = {
  name: 'presence',
  title: 'presence',
  description:
    'Who is here and who hears of it; whether what replicas tell is that of all of them, and how Redis does, which carries it.',
  rows: [
    {
      title: 'Now',
      stats: [
        {
          title: 'Sessions',
          description: 'Sessions connected, on all nodes.',
          unit: 'short',
          queries: [sum(METRICS.sessions, { legend: 'sessions' })],
        },
        {
          title: 'Users',
          description:
            'Users online, in their grace too. Each node counts those it has sessions of: who is on two counts twice.',
          unit: 'short',
          queries: [sum(METRICS.users, { legend: 'users' })],
        },
        {
          title: 'Devices',
          description: 'Devices of users online, in their grace too.',
          unit: 'short',
          queries: [sum(METRICS.devices, { legend: 'devices' })],
        },
        {
          title: 'Rooms',
          description: 'Rooms with somebody present, counted once on each node where somebody is.',
          unit: 'short',
          queries: [sum(METRICS.rooms, { legend: 'rooms' })],
        },
        {
          title: 'Shared',
          description:
            'Yes while what every node tells is presence of all replicas; no where one tells of its own sessions alone, as partial. One process by itself has nothing to share, and says no.',
          unit: 'bool_yes_no',
          good: { from: 1 },
          queries: [smallest(METRICS.presenceShared, { legend: 'shared' })],
        },
        {
          title: 'Redis call, p99',
          description: 'Of all that Redis is asked for, one in a hundred takes longer than this.',
          unit: 's',
          good: { to: 0.1 },
          queries: [percentile(99, METRICS.redisCall)],
        },
      ],
    },
    {
      title: 'Who is here',
      graphs: [
        {
          title: 'Sessions',
          description: 'Sessions connected, by node.',
          unit: 'short',
          style: 'stacked',
          queries: [sum(METRICS.sessions, { by: ['instance'] })],
        },
        {
          title: 'Users and devices',
          description: 'Users online and their devices, in their grace too; who is on two nodes counts twice.',
          unit: 'short',
          queries: [sum(METRICS.users, { legend: 'users' }), sum(METRICS.devices, { legend: 'devices' })],
        },
        {
          title: 'Rooms',
          description: 'Rooms with somebody present, by node.',
          unit: 'short',
          queries: [sum(METRICS.rooms, { by: ['instance'] })],
        },
        {
          title: 'In their grace',
          description:
            'Sessions that were cut off and are still seen, by node. They come back, or leave when the grace is over; many at a time: a network or a balancer has dropped them.',
          unit: 'short',
          queries: [sum(METRICS.lingering, { by: ['instance'] })],
        },
        {
          title: 'Heartbeats missed',
          description: 'Sessions a second that ended because the peer had vanished.',
          unit: 'cps',
          queries: [perSecond(METRICS.disconnects, { by: ['reason'], where: { reason: ['heartbeat_timeout'] } })],
        },
        {
          title: 'Asked and said',
          description: 'Commands of clients that are about presence.',
          unit: 'cps',
          queries: [
            perSecond(METRICS.commands, {
              by: ['op'],
              where: { op: ['presence', 'status', 'watch', 'unwatch', 'signal'] },
            }),
          ],
        },
      ],
    },
    {
      title: 'Who hears of it',
      graphs: [
        {
          title: 'Watches',
          description: 'Sessions that hear of rooms (counted once a room) and of users (once a user).',
          unit: 'short',
          queries: [sum(METRICS.roomWatches, { legend: 'of rooms' }), sum(METRICS.userWatches, { legend: 'of users' })],
        },
        {
          title: 'Pushes',
          description:
            'Presence pushes handed to readers. They are what presence costs: a room’s are summed up over 250 ms, and tell counts alone above 250 readers.',
          unit: 'cps',
          style: 'stacked',
          queries: [perSecond(METRICS.presencePushes, { by: ['instance'] })],
        },
        {
          title: 'Users named in a push',
          description: 'How many users one push of a room’s presence names, once a push and not once a reader.',
          unit: 'short',
          queries: [...percentiles(METRICS.presenceChanges), mean(METRICS.presenceChanges, { legend: 'mean' })],
        },
        {
          title: 'Signals',
          description:
            'Typing and the like, handed to members; shed, as a member lagged behind; and between replicas: said, shed and heard.',
          unit: 'cps',
          queries: [
            perSecond(METRICS.signalPushes, { legend: 'handed on' }),
            perSecond(METRICS.signalsShed, { legend: 'shed by members' }),
            perSecond(METRICS.peerSignals, { legend: 'between replicas:', by: ['what'] }),
          ],
        },
        {
          title: 'Channels',
          description:
            'What each node hears of others through Redis: rooms and users of whose presence, rooms whose signals; and channels of Redis in all.',
          unit: 'short',
          queries: [
            sum(METRICS.presenceInterests, { legend: 'presence', by: ['instance'] }),
            sum(METRICS.peerRooms, { legend: 'signals', by: ['instance'] }),
            sum(METRICS.redisChannels, { legend: 'channels', by: ['instance'] }),
          ],
        },
        {
          title: 'Removals',
          description:
            'Disconnects, kicks and devices that came from another replica, which the others were told of. partial: not all have said that it is done.',
          unit: 'cps',
          queries: [perSecond(METRICS.peerRemovals, { by: ['result'] })],
        },
      ],
    },
    {
      title: 'Shared through Redis',
      graphs: [
        {
          title: 'Shared',
          description:
            '1 while presence is that of all replicas, 0 while it is the node’s own. All are 0 with Redis down.',
          unit: 'short',
          queries: [smallest(METRICS.presenceShared, { by: ['instance'] })],
        },
        {
          title: 'Leases',
          description:
            'Leases taken: one at the start of a node, and another one each time that it was lost, as after a pause or a failover. More than that is a Redis, or a machine, that is too slow.',
          unit: 'short',
          style: 'bars',
          queries: [times(METRICS.presenceLeases, { by: ['instance'] })],
        },
        {
          title: 'Degraded',
          description: 'Times that presence came to be that of one node alone, as Redis did not answer.',
          unit: 'short',
          style: 'bars',
          queries: [times(METRICS.presenceDegraded, { by: ['instance'] })],
        },
        {
          title: 'Taken out',
          description:
            'Users of replicas that are gone whom others have taken out of presence (reaped), and users looked through for what no replica holds (swept).',
          unit: 'short',
          style: 'bars',
          queries: [
            times(METRICS.presenceReaped, { legend: 'reaped' }),
            times(METRICS.presenceSwept, { legend: 'swept' }),
          ],
        },
        {
          title: 'Redis calls, p99',
          description: 'From asking Redis to its answer, by what is asked, of what it has answered in time.',
          unit: 's',
          queries: [percentile(99, METRICS.redisCall, { by: ['call'] })],
        },
        {
          title: 'Redis calls',
          description:
            'Answers of Redis, by what was asked. Presence costs it little: a lease every 2 s, and batches of joins.',
          unit: 'cps',
          style: 'stacked',
          queries: [observations(METRICS.redisCall, { by: ['call'] })],
        },
        {
          title: 'Redis is there',
          description:
            '1 on the node where it is worst: up, it is asked; hearing, what is published is heard; broken, it is there and does not answer in time.',
          unit: 'short',
          queries: [
            smallest(METRICS.redisUp, { legend: 'up' }),
            smallest(METRICS.redisHearing, { legend: 'hearing' }),
            largest(METRICS.redisBroken, { legend: 'broken' }),
          ],
        },
        {
          title: 'Redis failures',
          description: 'Commands that Redis has not done, by reason. timeout: it is slow, or far away.',
          unit: 'cps',
          style: 'stacked',
          queries: [perSecond(METRICS.redisFailures, { by: ['reason'] })],
        },
        {
          title: 'Redis, without an answer',
          description: 'Commands that Redis has not answered, of the most that may be, on the node that has most.',
          unit: 'percentunit',
          queries: [use(METRICS.redisUnanswered, METRICS.redisUnansweredMax, { by: ['instance'] })],
        },
        {
          title: 'Redis connections',
          description: 'Connections that came to be used. More than one each at a start: they break.',
          unit: 'short',
          style: 'bars',
          queries: [times(METRICS.redisConnections, { by: ['connection'] })],
        },
        {
          title: 'Not told to others',
          description:
            'Messages for other replicas that were not published, as Redis was not there or too much was under way; and what came and could not be read, of another version.',
          unit: 'short',
          style: 'bars',
          queries: [
            times(METRICS.redisShed, { legend: 'not published' }),
            times(METRICS.peerUnreadable, { legend: 'unreadable' }),
          ],
        },
      ],
    },
  ],
};
