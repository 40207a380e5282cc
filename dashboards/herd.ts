import { METRICS } from '../src/observability/catalogue.ts';
import type { DashboardPlan } from './dashboard.ts';
import { observations, percentile, percentiles, perSecond, sum, use } from './query.ts';

/** Many who come at the same time: after a restart, a crash, or a network that was gone. */
export const HERD: DashboardPlan = {
  name: 'herd',
  title: 'herd',
  description: 'Who comes, who is refused and why, how those that come back resume, and who was sent away.',
  rows: [
    {
      title: 'Now',
      stats: [
        {
          title: 'Accepted',
          description: 'Connections a second that were admitted.',
          unit: 'cps',
          queries: [perSecond(METRICS.connectionsAccepted, { legend: 'accepted' })],
        },
        {
          title: 'Refused',
          description: 'Connections a second that got no session, whatever the reason.',
          unit: 'cps',
          queries: [perSecond(METRICS.connectionsRefused, { legend: 'refused' })],
        },
        {
          title: 'Connects',
          description: 'Sessions a second that have begun.',
          unit: 'cps',
          queries: [observations(METRICS.connect, { legend: 'connects' })],
        },
        {
          title: 'Connect, p99',
          description: 'One connect in a hundred waits longer than this for its reply.',
          unit: 's',
          good: { to: 1 },
          queries: [percentile(99, METRICS.connect)],
        },
        {
          title: 'Resumes with a gap',
          description: 'Joins a second with a position that was too far behind.',
          unit: 'cps',
          queries: [perSecond(METRICS.resumes, { legend: 'gaps', where: { outcome: ['gap'] } })],
        },
        {
          title: 'Draining',
          description: 'Nodes that are to end and hand their sessions over.',
          unit: 'short',
          queries: [sum(METRICS.draining, { legend: 'draining' })],
        },
      ],
    },
    {
      title: 'Who comes',
      graphs: [
        {
          title: 'Connections accepted',
          description: 'Connections admitted, by transport.',
          unit: 'cps',
          style: 'stacked',
          queries: [perSecond(METRICS.connectionsAccepted, { by: ['transport'] })],
        },
        {
          title: 'Accepted by node',
          description: 'The same by node: whether a balancer spreads them.',
          unit: 'cps',
          queries: [perSecond(METRICS.connectionsAccepted, { by: ['instance'] })],
        },
        {
          title: 'Connections refused',
          description:
            'Connections that got no session, by reason. overloaded: handshakes or connections are at their bound; dropped: so many that they were not even told.',
          unit: 'cps',
          style: 'stacked',
          queries: [perSecond(METRICS.connectionsRefused, { by: ['reason'] })],
        },
        {
          title: 'Handshakes',
          description: 'Connections that have not said connect, of the most that may be. At 100 % more are refused.',
          unit: 'percentunit',
          queries: [use(METRICS.handshakes, METRICS.handshakesMax, { by: ['instance'] })],
        },
        {
          title: 'Connections',
          description: 'Connections open, of the most that may be. At 100 % more are refused.',
          unit: 'percentunit',
          queries: [use(METRICS.connections, METRICS.connectionsMax, { by: ['instance'] })],
        },
        {
          title: 'Sessions',
          description: 'Sessions connected, by node: how fast a herd is back.',
          unit: 'short',
          style: 'stacked',
          queries: [sum(METRICS.sessions, { by: ['instance'] })],
        },
        {
          title: 'Connects and joins',
          description: 'Commands a second that succeeded.',
          unit: 'cps',
          queries: [
            observations(METRICS.connect, { legend: 'connect' }),
            observations(METRICS.join, { legend: 'join' }),
          ],
        },
        {
          title: 'Connect, from command to reply',
          description: 'Of those that succeeded, with the check of a token where there is one.',
          unit: 's',
          queries: percentiles(METRICS.connect),
        },
        {
          title: 'Join, from command to reply',
          description: 'Of those that succeeded, with presence and what was missed, where asked for.',
          unit: 's',
          queries: percentiles(METRICS.join),
        },
      ],
    },
    {
      title: 'How they come back',
      graphs: [
        {
          title: 'Resumes by source',
          description:
            'Joins with a position, by the farthest that had to be looked: nothing was missed (present), memory, the history in Redis, or the log, which a herd should not need.',
          unit: 'cps',
          style: 'stacked',
          queries: [perSecond(METRICS.resumes, { by: ['source'] })],
        },
        {
          title: 'Resumes by outcome',
          description:
            'The same by outcome. recovered: nothing is missing; gap: something was gone, and the client was told.',
          unit: 'cps',
          style: 'stacked',
          queries: [perSecond(METRICS.resumes, { by: ['outcome'] })],
        },
        {
          title: 'In their grace',
          description:
            'Sessions that were cut off and are still seen, of the most that may be. At 100 % the oldest leave early.',
          unit: 'percentunit',
          queries: [use(METRICS.lingering, METRICS.lingeringMax, { by: ['instance'] })],
        },
      ],
    },
    {
      title: 'Who goes',
      graphs: [
        {
          title: 'Ends of sessions',
          description:
            'Sessions that ended, by reason. drain: a planned end; lost: the connection was gone; many at a time are a herd to come.',
          unit: 'cps',
          style: 'stacked',
          queries: [perSecond(METRICS.disconnects, { by: ['reason'] })],
        },
        {
          title: 'Draining',
          description: '1 from the signal to end on, by node.',
          unit: 'short',
          queries: [sum(METRICS.draining, { by: ['instance'] })],
        },
        {
          title: 'Commands that wait',
          description:
            'Bytes of commands that wait for their sessions (uWebSockets.js), of the most that may. At 100 % sessions that add to them end.',
          unit: 'percentunit',
          queries: [use(METRICS.inboxBytes, METRICS.inboxBytesMax, { by: ['instance'] })],
        },
      ],
    },
    {
      title: 'Limits and tokens',
      graphs: [
        {
          title: 'Rate limited',
          description: 'Commands refused with rate_limited, by the bucket that was empty.',
          unit: 'cps',
          style: 'stacked',
          queries: [perSecond(METRICS.rateLimited, { by: ['bucket'] })],
        },
        {
          title: 'Floods held',
          description: 'Sessions that are not read, because they went on far beyond their rates.',
          unit: 'short',
          queries: [sum(METRICS.floodHeld, { by: ['instance'] })],
        },
        {
          title: 'Tokens',
          description:
            'Tokens refused, by reason, and requests for the key set and those that brought no keys. unavailable: the key server is down, and known keys go on.',
          unit: 'cps',
          queries: [
            perSecond(METRICS.tokensRefused, { by: ['reason'] }),
            perSecond(METRICS.keySetFetches, { legend: 'key set requests' }),
            perSecond(METRICS.keySetFailures, { legend: 'key set failures' }),
          ],
        },
      ],
    },
  ],
};
