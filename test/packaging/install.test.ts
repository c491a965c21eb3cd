import { globSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exportedParts, packageFolders, root, runProgram } from '../house/project.js';

// The pinned pnpm rewrites `workspace:` and `catalog:` to versions, as it does when it publishes.
const pnpm = ['--yes', 'pnpm@12.21.0'];

/** What a user has beside our packages. */
const beside = [
  '@nestjs/common@12',
  '@nestjs/core@12',
  'rxjs@7',
  'reflect-metadata@0.2',
  'express@5',
  '@types/express@5',
  '@types/node@24',
  '@redis/client@5',
];

const names = ['@warmpath/core', '@warmpath/express', '@warmpath/nestjs'];
const specifiers = [...names, ...exportedParts().map((part) => `@warmpath/core/${part}`)];

/** A project of a user, outside the workspace, with our packages as they would be published. */
let home: string;

async function must(command: string, args: readonly string[], cwd: string): Promise<string> {
  const { status, stdout, stderr } = await runProgram(command, args, { cwd });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with status ${status}.\n${stdout}\n${stderr}`);
  return stdout;
}

async function run(file: string, code: string): Promise<string> {
  writeFileSync(join(home, file), code);
  return (await must(process.execPath, [file], home)).trim();
}

beforeAll(async () => {
  home = realpathSync(mkdtempSync(join(tmpdir(), 'warmpath-user-')));
  writeFileSync(join(home, 'package.json'), JSON.stringify({ name: 'user', private: true, type: 'module' }));
  for (const folder of packageFolders) {
    await must('npx', [...pnpm, 'pack', '--pack-destination', home], join(root, folder));
  }
  const tarballs = globSync('*.tgz', { cwd: home }).map((name) => `./${name}`);
  expect(tarballs).toHaveLength(packageFolders.length);
  await must('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', ...tarballs, ...beside], home);
}, 180_000);
afterAll(() => rmSync(home, { recursive: true, force: true }));

describe('the packages as published', () => {
  it('name versions, never the workspace, and ship neither sources nor tests', async () => {
    for (const name of names) {
      const folder = join(home, 'node_modules', name);
      expect(await readFile(join(folder, 'package.json'), 'utf8')).not.toMatch(/workspace:|catalog:/);
      const files = globSync('**/*', { cwd: folder });
      expect(files.filter((file) => /\.test\.|tsbuildinfo|^src\b/.test(file))).toEqual([]);
      expect(files).toContain('LICENSE');
    }
  });

  it('share one core', () => {
    const cores = globSync('**/@warmpath/core/package.json', { cwd: join(home, 'node_modules') });
    expect(cores).toEqual(['@warmpath/core/package.json']);
  });

  it('give the same things to import and to require', async () => {
    const same = await run(
      'both.mjs',
      `import 'reflect-metadata';
      import { createRequire } from 'node:module';
      const require = createRequire(import.meta.url);
      for (const specifier of ${JSON.stringify(specifiers)}) {
        const [imported, required] = [await import(specifier), require(specifier)];
        for (const name of Object.keys(imported)) {
          if (imported[name] !== required[name]) console.log(specifier, name, 'differs');
        }
        if (Object.keys(imported).length === 0) console.log(specifier, 'is empty');
      }
      console.log('done');`,
    );
    expect(same).toBe('done');
  });

  it('work from CommonJS', async () => {
    const outcome = await run(
      'user.cjs',
      `const { createLimiter } = require('@warmpath/core/limiter');
      const { WarmpathError } = require('@warmpath/core/kernel');
      console.log(createLimiter({ name: 'x', limit: 1, window: '1s' }).tryTake('me').ok);
      try {
        createLimiter({ name: 'x', limit: 0, window: '1s' });
      } catch (error) {
        console.log(error instanceof WarmpathError, error.code);
      }`,
    );
    expect(outcome.split('\n')).toEqual(['true', 'true WP_BAD_OPTION']);
  });

  it.each([
    ['nodenext', 'nodenext', 'user.ts'],
    ['nodenext', 'nodenext', 'user.cts'],
    ['preserve', 'bundler', 'user.ts'],
  ])('have types for module %s, resolution %s, in %s', async (module, moduleResolution, file) => {
    const imports = specifiers.map((specifier, index) => `import * as part${index} from '${specifier}';`).join('\n');
    writeFileSync(
      join(home, file),
      `${imports}
      import { createLimiter, type Limiter } from '@warmpath/core/limiter';
      const limiter: Limiter = createLimiter({ name: 'x', limit: 1, window: '1s' });
      const decision = limiter.tryTake('me');
      export const wait: number = decision.ok ? 0 : decision.waitMs;
      // @ts-expect-error an option that does not exist must not type-check, or these types are 'any'
      createLimiter({ name: 'x', limit: 1, window: '1s', bursts: 5 });
      export const all = [${specifiers.map((_, index) => `part${index}`).join(', ')}];`,
    );
    expect(await typeErrors(file, module, moduleResolution)).toEqual([]);
  });

  it.each(['4', '5'])('fit an app typed for Express %s', async (version) => {
    await must('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', `@types/express@${version}`], home);
    writeFileSync(
      join(home, 'app.ts'),
      `import { problemHandler, rateLimit, streamAnswer, warmpath, warmpathOf } from '@warmpath/express';
      import express from 'express';
      const app = express();
      app.use(warmpath({ rateLimit: { limit: 60, window: '1m' }, tenant: (req) => req.get('x-tenant') }));
      app.get('/', rateLimit({ limit: 5, window: '1s' }), async (_req, res) => {
        warmpathOf(res).signal.throwIfAborted();
        await streamAnswer(res, (async function* () { yield { data: { text: 'hello' } }; })());
      });
      app.use(problemHandler());`,
    );
    expect(await typeErrors('app.ts', 'nodenext', 'nodenext')).toEqual([]);
  });
});

async function typeErrors(file: string, module: string, moduleResolution: string): Promise<string[]> {
  const compilerOptions = { module, moduleResolution, target: 'es2024', strict: true, noEmit: true, types: ['node'] };
  writeFileSync(join(home, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [file] }));
  const { stdout } = await runProgram('tsc', ['--pretty', 'false'], { cwd: home });
  return stdout.split('\n').filter(Boolean);
}
