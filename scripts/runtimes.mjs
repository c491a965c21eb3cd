import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { mustRun, root, run } from './process.mjs';

/** The oldest Node that we promise, the one that we develop on, and the newest. */
const versions = ['22.19.0', '24.21.0', '26.10.0'];

/** What the npm package `node` fetches in its install script; asked for by name, it needs no script. */
const runtime = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;

/** Runs the unit tests on each version. The command of a package would choose the workspace's own Node, so not that. */
export async function testRuntimes() {
  const failed = [];
  for (const version of versions) {
    const folder = join(root, 'node_modules', '.warmpath-runtimes', version);
    const path = join(folder, 'node_modules', '.bin');
    if (!existsSync(join(path, 'node'))) {
      console.log(`Installing Node ${version} ...`);
      mkdirSync(folder, { recursive: true });
      const args = ['install', '--prefix', folder, '--no-save', '--no-audit', '--no-fund', `${runtime}@${version}`];
      await mustRun(`Installing Node ${version}`, 'npm', args, { quiet: true });
    }
    const node = join(path, 'node');
    await run(node, ['--print', "'\\nThe unit tests on Node ' + process.version"]);
    const suite = ['node_modules/vitest/vitest.mjs', 'run', '--project', 'unit', '--project', 'nest-*'];
    if ((await run(node, suite, { path })) !== 0) failed.push(version);
  }
  if (failed.length > 0) console.error(`The unit tests fail on Node ${failed.join(', ')}.`);
  return failed.length > 0 ? 1 : 0;
}
