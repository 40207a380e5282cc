import { configDefaults, defineConfig } from 'vitest/config';

/** What talks to a gateway over WebSockets runs once on each library that can serve them. */
const ON_EACH_ENGINE = ['test/e2e/**/*.test.ts', 'test/faults/**/*.test.ts'];
/** Of those, what has nothing to do with WebSockets runs once. */
const ON_ONE_ENGINE = [
  'test/e2e/{api,api-access,openapi,cli-chat-terminal,client-docs,client-tokens,text-mode,page-accessibility}.test.ts',
  'test/faults/{backup,bit-flip,damage,data-directory,disk-full,embedded-disk-full,power-cut,retention,slow-disk,sync-faults}.test.ts',
];

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
    ],
  },
});
