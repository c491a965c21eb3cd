import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Finished, root, runProgram } from './project.js';

/** Runs Vitest on one file, with the reporter of this workspace and no other, and gives what it prints. */
async function run(name: string, source: string, ci: boolean, ...args: string[]): Promise<Finished> {
  // Inside node_modules, so that the file finds Vitest and no other run finds the file.
  const folder = join(root, 'node_modules', '.warmpath-summary', name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, 'sample.check.ts'),
    `import { beforeAll, describe, expect, it } from 'vitest';\n${source}`,
  );
  writeFileSync(
    join(folder, 'vitest.config.mjs'),
    "export default { test: { include: ['*.check.ts'], exclude: [] } };",
  );
  const reporter = join(root, 'test', 'summary-reporter.ts');
  const { CI: _, ...env } = process.env;
  return runProgram('vitest', ['run', '--root', folder, '--reporter', reporter, ...args], {
    env: ci ? { ...env, CI: 'true' } : env,
  });
}

const lastLine = ({ stdout }: Finished): string | undefined => stdout.trimEnd().split('\n').at(-1);

describe('the summary of a test run', () => {
  it('counts, and is the last line', async () => {
    const finished = await run(
      'counts',
      "it('a', () => {}); it('b', () => {}); it('c', () => expect(1).toBe(2));",
      false,
    );
    expect(lastLine(finished)).toBe('2 passed, 1 failed');
    expect(finished.status).toBe(1);
  });

  it('names each skipped test with the reason', async () => {
    const source = `
      it('a', () => {});
      describe('the moon', () => { it('shines', (ctx) => ctx.skip('it is day')); });
      it.skip('off', () => {});
      it.todo('later');`;
    const finished = await run('skipped', source, false);
    expect(finished.stdout).toContain('Skipped, since it is day:\n  the moon > shines\n');
    expect(finished.stdout).toContain('Skipped, since the code switches them off:\n  off\n');
    expect(finished.stdout).toContain('Skipped, since they are still to be written:\n  later\n');
    expect(lastLine(finished)).toBe('1 passed, 0 failed, 3 skipped');
    expect(finished.status).toBe(0);
  });

  it('fails a run with a skipped test when CI is true', async () => {
    const finished = await run('ci', "it('a', () => {}); it.skip('off', () => {});", true);
    expect(finished.stdout).toContain('With CI=true every test must run');
    expect(lastLine(finished)).toBe('1 passed, 0 failed, 1 skipped');
    expect(finished.status).toBe(1);
  });

  it('does not count what the caller has left out by name', async () => {
    const finished = await run('by-name', "it('wanted', () => {}); it('other', () => {});", true, '-t', 'wanted');
    expect(lastLine(finished)).toBe('1 passed, 0 failed');
    expect(finished.status).toBe(0);
  });

  it.each([
    ['a file that cannot be loaded', "import './nowhere.js';"],
    ['a hook that throws', "beforeAll(() => { throw new Error('no'); }); it('never runs', () => {});"],
    ['an error that no test catches', "it('a', () => {}); process.nextTick(() => { throw new Error('late'); });"],
  ])('counts %s as failed', async (name, source) => {
    const finished = await run(name.replaceAll(' ', '-'), source, false);
    expect(lastLine(finished)).toMatch(/^\d passed, 1 failed/);
    expect(finished.status).toBe(1);
  });
});
