import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { mustRun, root, run } from './process.mjs';

/** The oldest Node that we promise, the one that we develop on, and the newest. */
const versions = ['22.19.0', '24.21.0', '26.10.0'];

/** Runs the unit tests on each version. @returns {Promise<number>} */
export async function testRuntimes() {
  const failed = [];
  for (const version of versions) {
    const folder = join(root, 'node_modules', '.warmpath-runtimes', version);
    const path = join(folder, 'node_modules', '.bin');
    if (!existsSync(join(path, 'node'))) {
      mkdirSync(folder, { recursive: true });
      const args = ['install', '--prefix', folder, '--no-save', '--no-audit', '--no-fund', `node@${version}`];
      await mustRun(`Installing Node ${version}`, 'npm', args, { quiet: true });
    }
    console.log(`\nNode ${version}`);
    const status = await run('vitest', ['run', '--project', 'unit', '--project', 'nest-*'], { path });
    if (status !== 0) failed.push(version);
  }
  if (failed.length > 0) console.error(`The unit tests fail on Node ${failed.join(', ')}.`);
  return failed.length > 0 ? 1 : 0;
}
