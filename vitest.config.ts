import { configDefaults, defineConfig } from 'vitest/config';
import { missingForServices } from './test/services/test-services.ts';

/** What talks to a gateway over WebSockets runs once on each library that can serve them. */
const ON_EACH_ENGINE = ['test/e2e/**/*.test.ts', 'test/faults/**/*.test.ts'];
/**
 * Of those, what has nothing to do with WebSockets runs once, and so does what is about sessions, the page and programs
 * once they are connected: of how they are, others that run on each library have to do with more. So it is with a session's
 * rates: what floods do to a library is in bounds, bad-input and hostile.
 */
const ON_ONE_ENGINE = [
  'test/e2e/{api,api-access,auth,openapi,client-docs,client-tokens,limits,proxy-header,text-mode}.test.ts',
  'test/e2e/{presence,grace,client,client-presence,client-process,client-rooms,process}.test.ts',
  'test/e2e/cli-chat{,-restart,-terminal}.test.ts',
  'test/e2e/dashboard.test.ts',
  'test/e2e/page{,-accessibility,-direct,-history,-offline,-presence,-rooms}.test.ts',
  'test/faults/{client-reconnects,kill}.test.ts',
  'test/faults/{backup,bit-flip,damage,data-directory,disk-full,embedded-disk-full,power-cut,retention,slow-disk,sync-faults}.test.ts',
];
/**
 * What rooms and presence promise holds where a gateway is two replicas, whichever of them a client comes to. Within these
 * files what one process does by itself is marked as such. Left out as a whole is:
 * - presence: how many hear names, and how often, is for each replica to say, and what one tells is seen at another some
 *   moments later; the stores' contract and test/redis have what they share;
 * - page-presence, client-docs, ghosts: grace and client-presence have the same of two replicas;
 * - client, client-process, client-reconnects, cli-chat, page: what clients do that lose a replica and come to another is
 *   in test/cluster, behind a real balancer;
 * - auth, client-tokens, api-access, openapi, http, page-safety, forwarded-for, proxy-header: who may come, and what a port
 *   answers, is asked of one process, and nothing of it is shared;
 * - bad-input, bounds, limits, heartbeat, vanished-peer, hostile: bounds of sessions and of a process;
 * - metrics, dashboard, logs, delivery, process: what a process tells of itself, and how it starts and ends;
 * - the page's others: what a page makes of what it is told, and its looks;
 * - the other faults: the embedded log and its disk, whose part test/kafka has for Kafka.
 */
const ON_A_CLUSTER = [
  'test/e2e/{api,chat,text-mode}.test.ts',
  'test/e2e/{client-presence,client-rooms,grace}.test.ts',
  'test/faults/kill.test.ts',
];

/** Where it can't be run its tests are left out, except in CI, where they fail. */
const isKafkaMissing = !process.env.CI && (await missingForServices()).length > 0;

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: ['default'],
    globalSetup: ['test/services/test-services.ts'],
    projects: [
      {
        extends: true,
        test: {
          name: 'uws',
          include: ['test/**/*.test.ts'],
          env: { TIDEGATE_TEST_WS_ENGINE: 'uws' },
        },
      },
      {
        extends: true,
        test: {
          name: 'ws',
          include: ON_EACH_ENGINE,
          exclude: [...configDefaults.exclude, ...ON_ONE_ENGINE],
          env: { TIDEGATE_TEST_WS_ENGINE: 'ws' },
        },
      },
      ...(isKafkaMissing
        ? []
        : [
            {
              extends: true as const,
              test: {
                name: 'cluster',
                include: ON_A_CLUSTER,
                env: { TIDEGATE_TEST_REPLICAS: '2' },
              },
            },
          ]),
    ],
  },
});
