import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';

/** Of the workspace itself: they watch no clocks and need no services, so they run beside the units. */
const ofWorkspace = [
  'test/{house,packaging}/**/*.test.ts',
  'test/{bench,launcher,openai-client,resilience-*,chaos-*}.test.ts',
];

const nest11 = fileURLToPath(new URL('test/nest-11/node_modules/', import.meta.url));

export default defineConfig({
  test: {
    // Its default is one less than there are cores, which on two of them is one.
    maxWorkers: 2,
    reporters: ['default', './test/summary-reporter.ts'],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['packages/{core,express}/src/**/*.test.ts', 'examples/*/src/**/*.test.ts'],
          // Files share what their worker has loaded: to load it anew takes as long as most of them. So none may leave anything behind.
          isolate: false,
        },
      },
      {
        test: { name: 'nest-12', include: ['packages/nestjs/src/**/*.test.ts'] },
      },
      {
        // The same suite a second time, on the other NestJS that we promise.
        resolve: {
          alias: [{ find: /^(@nestjs\/[^/]+|rxjs|reflect-metadata)(?=$|\/)/, replacement: `${nest11}$1` }],
        },
        test: { name: 'nest-11', include: ['packages/nestjs/src/**/*.test.ts'] },
      },
      {
        test: { name: 'workspace', include: ofWorkspace, testTimeout: 60_000, hookTimeout: 60_000 },
      },
      {
        test: {
          name: 'system',
          include: ['test/**/*.test.ts'],
          exclude: [...configDefaults.exclude, ...ofWorkspace],
          globalSetup: './test/services.ts',
          testTimeout: 60_000,
          hookTimeout: 60_000,
          // Alone, and one after the other: they watch clocks, and processes of their own want the cores.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
