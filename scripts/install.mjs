import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, failed, mustRun, root } from './process.mjs';

const pnpm = 'pnpm@12.21.0';
const stamps = join(root, 'node_modules', '.warmpath');

/** What each scope asks pnpm for. The demo needs no test tool, no linter and no NestJS. */
const scopes = {
  all: [],
  demo: ['--prod', '--filter', '.', '--filter', 'rag-chat...'],
};

/**
 * Installs a scope unless the lockfile and the manifests are those of its last installation.
 * @param {keyof typeof scopes} scope
 */
export async function install(scope) {
  const wanted = manifestDigest();
  if (stampOf('all') === wanted || stampOf(scope) === wanted) return;
  console.log(`Installing what ${scope === 'demo' ? 'the demo' : 'the workspace'} needs ...`);
  rmSync(stamps, { recursive: true, force: true });
  await runPnpm(scopes[scope]);
  mkdirSync(stamps, { recursive: true });
  writeFileSync(join(stamps, scope), manifestDigest());
}

/**
 * Takes exactly what the lockfile says: a clone is left as it came. Only after somebody has changed a manifest is the
 * lockfile brought up to date, which is said, and with CI=true refused.
 * @param {string[]} scope
 */
async function runPnpm(scope) {
  const call = (/** @type {string} */ lockfile) => ['--yes', pnpm, 'install', lockfile, ...scope];
  const { status, output } = await attempt('npx', call('--frozen-lockfile'), { quiet: true });
  if (status === 0) return;
  if (process.env.CI === 'true' || !/ERR_PNPM_(OUTDATED_LOCKFILE|LOCKFILE_CONFIG_MISMATCH)/.test(output.toString())) {
    process.stderr.write(output);
    throw failed('The installation', status);
  }
  console.log('pnpm-lock.yaml is behind the package.json files; bringing it up to date ...');
  await mustRun('The installation', 'npx', call('--no-frozen-lockfile'), { quiet: true });
}

/** @param {string} scope */
function stampOf(scope) {
  const file = join(stamps, scope);
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}

function manifestDigest() {
  const hash = createHash('sha256');
  for (const file of manifests())
    hash
      .update(file)
      .update('\0')
      .update(readFileSync(join(root, file)))
      .update('\0');
  return hash.digest('hex');
}

function manifests() {
  const folders = ['packages', 'examples', 'test'].flatMap((parent) =>
    readdirSync(join(root, parent)).map((child) => `${parent}/${child}`),
  );
  return ['', 'test', 'benchmarks', ...folders]
    .map((folder) => join(folder, 'package.json'))
    .concat('pnpm-lock.yaml', 'pnpm-workspace.yaml')
    .filter((file) => existsSync(join(root, file)))
    .sort();
}
