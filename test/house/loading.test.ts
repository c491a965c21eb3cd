import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { exportedParts, root, runProgram } from './project.js';

/** The packages that a part loads, and nothing else does. A part that is not named loads none. */
const packagesOf: Readonly<Record<string, readonly string[]>> = {
  http: ['undici'],
  models: ['eventsource-parser'],
};

/** A door of stores has no folder of its own behind it: it loads these, by the beginning of their names. */
const storesOf: Readonly<Record<string, readonly string[]>> = {
  redis: [
    'cache/stores/redis/',
    'cache/envelope.js',
    'cache/store-guard/unsettled.js',
    'limiter/stores/redis/',
    'limiter/meters/',
  ],
  sqlite: ['cache/stores/sqlite/', 'cache/envelope.js'],
};

/** Prints each address that the runtime resolves while the module is loaded, one a line. */
const hook = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module';
  registerHooks({
    resolve(specifier, context, next) {
      const found = next(specifier, context);
      console.log(found.url);
      return found;
    },
  });
`)}`;

async function loadedBy(specifier: string): Promise<string[]> {
  const test = new URL('../loaded.mjs', import.meta.url);
  const entry = `data:text/javascript,${encodeURIComponent(`import ${JSON.stringify(import.meta.resolve(specifier, test))};`)}`;
  const { status, stdout, stderr } = await runProgram(process.execPath, [
    '--import',
    hook,
    '--import',
    entry,
    '--eval',
    '',
  ]);
  if (status !== 0) throw new Error(stderr);
  return stdout.split('\n').filter((url) => url.startsWith('file:') || url.startsWith('node:'));
}

const dist = pathToFileURL(`${root}packages/core/dist/`).href;

/** `limiter/bucket.js`, `node:crypto`, `undici`: what a loaded address is, said shortly. */
function named(url: string): string {
  if (url.startsWith('node:')) return url;
  if (url.startsWith(dist)) return url.slice(dist.length);
  return /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1] ?? url;
}

describe('importing one part of core loads', () => {
  it.each(exportedParts().filter((part) => part !== 'testing'))(
    'of %s: its own folder, the kernel, the runtime and its own packages, nothing else',
    async (part) => {
      const loaded = (await loadedBy(`@warmpath/core/${part}`)).map(named);
      expect(loaded).toContain(`${part}/index.js`);
      const own = [`${part}/`, 'kernel/', 'node:', ...(storesOf[part] ?? [])];
      const others = loaded.filter((name) => !own.some((beginning) => name.startsWith(beginning)));
      expect([...new Set(others)].sort()).toEqual(packagesOf[part] ?? []);
    },
  );

  it('of all but the door of SQLite: no node:sqlite, which some versions of Node call experimental', async () => {
    for (const part of [
      '',
      ...exportedParts()
        .filter((name) => name !== 'sqlite')
        .map((name) => `/${name}`),
    ]) {
      expect(await loadedBy(`@warmpath/core${part}`)).not.toContain('node:sqlite');
    }
    expect(await loadedBy('@warmpath/core/sqlite')).toContain('node:sqlite');
  });

  it('of testing: no package', async () => {
    const loaded = (await loadedBy('@warmpath/core/testing')).map(named);
    expect(loaded.filter((name) => !name.includes('/') && !name.startsWith('node:'))).toEqual([]);
  });
});

describe('this test', () => {
  it('sees the packages and parts that are loaded', async () => {
    expect((await loadedBy('@warmpath/core/http')).map(named)).toContain('undici');
    expect((await loadedBy('@warmpath/core')).map(named)).toContain('limiter/index.js');
  });
});
