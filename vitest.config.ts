import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const nest11 = fileURLToPath(new URL('test/nest-11/node_modules/', import.meta.url));

export default defineConfig({
  test: {
    reporters: ['default', './test/summary-reporter.ts'],
    projects: [
      {
        test: { name: 'unit', include: ['packages/{core,express}/src/**/*.test.ts', 'examples/*/src/**/*.test.ts'] },
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
        test: {
          name: 'system',
          include: ['test/**/*.test.ts'],
          globalSetup: './test/services.ts',
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
