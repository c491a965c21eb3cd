import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root, runProgram } from './project.js';

interface Plant {
  readonly file: string;
  readonly source: string;
}

const importRule = 'lint/style/noRestrictedImports';
const timeRule = 'lint/style/noRestrictedGlobals';

/** Each is refused with the rule named. Every plant has a file of its own, so that none hides another. */
const refused: readonly (readonly [title: string, rule: string, plant: Plant])[] = [
  plant(
    'a part into another',
    importRule,
    'packages/core/src/limiter/p1.ts',
    "import { createCache } from '../cache/index.js';",
  ),
  plant(
    'a type of another part',
    importRule,
    'packages/core/src/limiter/p2.ts',
    "import type { Cache } from '../cache/index.js';",
  ),
  plant(
    'a re-export from another part',
    importRule,
    'packages/core/src/limiter/p3.ts',
    "export { createCache } from '../cache/index.js';",
  ),
  plant(
    'a dynamic import of another part',
    importRule,
    'packages/core/src/limiter/p4.ts',
    "export const cache = import('../cache/index.js');",
  ),
  plant(
    'the inside of another part',
    importRule,
    'packages/core/src/limiter/p5.ts',
    "import { keyvStore } from '../cache/stores/keyv.js';",
  ),
  plant(
    'another part by the name of the package',
    importRule,
    'packages/core/src/limiter/p6.ts',
    "import { createCache } from '@warmpath/core/cache';",
  ),
  plant(
    'the composition root into a part',
    importRule,
    'packages/core/src/limiter/p7.ts',
    "import { createWarmpath } from '../create-warmpath.js';",
  ),
  plant('a framework into a part', importRule, 'packages/core/src/limiter/p8.ts', "import express from 'express';"),
  plant(
    "another part into a part's folder",
    importRule,
    'packages/core/src/cache/stores/p1.ts',
    "import { createLimiter } from '../../limiter/index.js';",
  ),
  plant(
    'more than the stores of a part into a door',
    importRule,
    'packages/core/src/sqlite/p1.ts',
    "export { createCache } from '../cache/index.js';",
  ),
  plant(
    'the inside of a part into a door',
    importRule,
    'packages/core/src/sqlite/p2.ts',
    "export { packEntry } from '../cache/envelope.js';",
  ),
  plant(
    'the kernel into a door',
    importRule,
    'packages/core/src/sqlite/p3.ts',
    "export { systemClock } from '../kernel/index.js';",
  ),
  plant(
    'the runtime into a door, which has nothing to do with it',
    importRule,
    'packages/core/src/sqlite/p4.ts',
    "import { DatabaseSync } from 'node:sqlite';",
  ),
  plant(
    'the inside of a part into the door of Redis',
    importRule,
    'packages/core/src/redis/p1.ts',
    "export { packEntry } from '../cache/envelope.js';",
  ),
  plant(
    'a part into the connections to Redis',
    importRule,
    'packages/core/src/redis/connection/p1.ts',
    "import { createLimiter } from '../../limiter/index.js';",
  ),
  plant(
    'the connections to Redis into a part',
    importRule,
    'packages/core/src/cache/stores/redis/p1.ts',
    "import { connectRedis } from '../../../redis/connection/redis-client.js';",
  ),
  plant(
    'a store by its door into a part',
    importRule,
    'packages/core/src/limiter/p9.ts',
    "import { sqliteStore } from '../sqlite/index.js';",
  ),
  plant(
    'a part into the kernel',
    importRule,
    'packages/core/src/kernel/p1.ts',
    "import { createLimiter } from '../limiter/index.js';",
  ),
  plant(
    'NestJS adapter into the Express one',
    importRule,
    'packages/express/src/p1.ts',
    "import { WarmpathModule } from '@warmpath/nestjs';",
  ),
  plant(
    'Express adapter into the NestJS one',
    importRule,
    'packages/nestjs/src/p1.ts',
    "import { warmpath } from '@warmpath/express';",
  ),
  plant(
    "core's folder into an adapter",
    importRule,
    'packages/express/src/p2.ts',
    "import { createCache } from '../../core/src/cache/index.js';",
  ),
  plant('the time of day', 'plugin', 'packages/core/src/limiter/t1.ts', 'export const at = Date.now();'),
  plant('a new Date of now', 'plugin', 'packages/core/src/limiter/t2.ts', 'export const at = new Date();'),
  plant('chance', 'plugin', 'packages/express/src/t1.ts', 'export const chance = Math.random();'),
  plant('the monotonic time', timeRule, 'packages/nestjs/src/t1.ts', 'export const at = performance.now();'),
  plant('a timer', timeRule, 'packages/core/src/limiter/t3.ts', 'export const timer = setTimeout(() => {}, 5);'),
  plant(
    'an interval',
    timeRule,
    'packages/core/src/cache/stores/t1.ts',
    'export const timer = setInterval(() => {}, 5);',
  ),
  plant(
    'the time of day, by another name',
    'plugin',
    'packages/core/src/limiter/t4.ts',
    'export const now = Date.now;',
  ),
  plant('a time limit', 'plugin', 'packages/core/src/limiter/t5.ts', 'export const late = AbortSignal.timeout(5);'),
  plant(
    'a timer module',
    importRule,
    'packages/core/src/limiter/t6.ts',
    "import { setTimeout } from 'node:timers/promises';",
  ),
  plant(
    'another part into a deep folder',
    importRule,
    'packages/core/src/cache/stores/deep/p1.ts',
    "import { createLimiter } from '../../../limiter/index.js';",
  ),
  plant(
    'a cycle',
    'lint/suspicious/noImportCycles',
    'packages/core/src/limiter/c1.ts',
    "import { two } from './c2.js';\nexport const one = () => two;",
  ),
  plant(
    'export *',
    'lint/performance/noReExportAll',
    'packages/core/src/limiter/e1.ts',
    "export * from './limiter.js';",
  ),
];

const allowed: readonly (readonly [title: string, plant: Plant])[] = [
  [
    'the kernel into a part',
    { file: 'packages/core/src/limiter/a1.ts', source: "export { systemClock } from '../kernel/index.js';\n" },
  ],
  [
    "the kernel into a part's folder",
    { file: 'packages/core/src/cache/stores/a1.ts', source: "export { systemClock } from '../../kernel/index.js';\n" },
  ],
  [
    'the stores of a part into a door',
    {
      file: 'packages/core/src/sqlite/a1.ts',
      source: "export { sqliteStore } from '../cache/stores/sqlite/sqlite-store.js';\n",
    },
  ],
  [
    'the stores of a part and the kernel into the door of Redis',
    {
      file: 'packages/core/src/redis/a1.ts',
      source:
        "export { redisStoreOver } from '../cache/stores/redis/redis-namespaces.js';\nexport { systemClock } from '../kernel/index.js';\n",
    },
  ],
  [
    "a part's own folder",
    { file: 'packages/core/src/limiter/a2.ts', source: "export { createLimiter } from './limiter.js';\n" },
  ],
  [
    'core into an adapter',
    { file: 'packages/express/src/a1.ts', source: "export { createCache } from '@warmpath/core/cache';\n" },
  ],
  [
    'the testing kit into a test',
    {
      file: 'packages/core/src/limiter/a3.test.ts',
      source: "export { createFakeClock } from '../testing/index.js';\n",
    },
  ],
  [
    'a Date that is given its time',
    { file: 'packages/core/src/limiter/a4.ts', source: 'export const start = new Date(0);\n' },
  ],
];

/** The other half of the cycle. */
const background: Plant = {
  file: 'packages/core/src/limiter/c2.ts',
  source: "import { one } from './c1.js';\nexport const two = () => one;\n",
};

function plant(title: string, rule: string, file: string, source: string): readonly [string, string, Plant] {
  const name = /(?:import|export) (?:type )?(?:\{ )?(\w+)(?: \})? from/.exec(source)?.[1];
  const used =
    name && source.startsWith('import') && !source.includes('\n')
      ? `\nexport const used = ${source.includes('import type') ? 'null as unknown as ' : ''}${name};`
      : '';
  return [title, rule, { file, source: `${source}${used}\n` }];
}

/** The rules that each planted file breaks. The plants stand in a copy of the sources, so the tree itself stays clean. */
const broken = new Map<string, string[]>();
let copy: string;

beforeAll(async () => {
  copy = mkdtempSync(join(tmpdir(), 'warmpath-lint-'));
  for (const path of [
    'biome.json',
    '.gitignore',
    'scripts',
    ...['core', 'express', 'nestjs'].map((name) => `packages/${name}/src`),
  ]) {
    cpSync(join(root, path), join(copy, path), { recursive: true });
  }
  for (const { file, source } of [
    ...refused.map(([, , each]) => each),
    ...allowed.map(([, each]) => each),
    background,
  ]) {
    mkdirSync(dirname(join(copy, file)), { recursive: true });
    writeFileSync(join(copy, file), source);
  }
  const { stdout } = await runProgram('biome', ['lint', '--reporter=json', '--max-diagnostics=none', 'packages'], {
    cwd: copy,
  });
  const report = JSON.parse(stdout) as { diagnostics: { category: string; location: { path: string } }[] };
  for (const { category, location } of report.diagnostics) {
    broken.set(location.path, [...(broken.get(location.path) ?? []), category]);
  }
});
afterAll(() => rmSync(copy, { recursive: true, force: true }));

describe('the lint refuses', () => {
  it.each(refused)('%s', (_, rule, { file }) => {
    expect(broken.get(file) ?? []).toContain(rule);
  });
});

describe('the lint allows', () => {
  it.each(allowed)('%s', (_, { file }) => {
    expect(broken.get(file) ?? []).toEqual([]);
  });
});
