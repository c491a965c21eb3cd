import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, failed, mustRun, root } from './process.mjs';

const pnpm = 'pnpm@12.21.0';
const stamps = join(root, 'node_modules', '.warmpath');

/** What the demo's scope comes to. */
const demoFolders = ['packages/core', 'packages/express', 'examples/rag-chat'];

/** What each scope asks pnpm for. The demo needs no test tool, no linter and no NestJS. */
const scopes = {
  all: [],
  demo: ['--prod', '--filter', '.', '--filter', 'rag-chat...'],
};

/**
 * Installs a scope unless the lockfile and the manifests are those of its last installation, and it is all still there.
 * Where everything was installed once it stays so: pnpm would remove what a smaller scope does not name.
 * @param {keyof typeof scopes} asked
 */
export async function install(asked) {
  const scope = stampOf('all') === undefined ? asked : 'all';
  if (stampOf(scope) === manifestDigest() && missing(scope).length === 0) return;
  const first = existsSync(stamps) ? '' : ' (about a minute the first time)';
  console.log(`Installing what ${scope === 'demo' ? 'the demo' : 'the workspace'} needs${first} ...`);
  rmSync(stamps, { recursive: true, force: true });
  mkdirSync(stamps, { recursive: true });
  writeFileSync(join(stamps, scope), 'begun');
  await runPnpm(scopes[scope]);
  writeFileSync(join(stamps, scope), manifestDigest());
}

/**
 * The folders that lack the dependencies which their manifest names.
 * @param {keyof typeof scopes} scope
 */
function missing(scope) {
  return (scope === 'demo' ? demoFolders : workspaceFolders()).filter((folder) => {
    const manifest = join(root, folder, 'package.json');
    if (!existsSync(manifest) || existsSync(join(root, folder, 'node_modules'))) return false;
    const { dependencies = {}, devDependencies = {} } = JSON.parse(readFileSync(manifest, 'utf8'));
    return Object.keys({ ...dependencies, ...(scope === 'all' ? devDependencies : {}) }).length > 0;
  });
}

/**
 * Takes exactly what the lockfile says: a clone is left as it came. Only after somebody has changed a manifest is the
 * lockfile brought up to date, which is said, and with CI=true refused.
 * @param {string[]} scope
 */
async function runPnpm(scope) {
  const call = (/** @type {string} */ lockfile) => ['--yes', pnpm, 'install', lockfile, ...scope];
  const outcome = await attempt('npx', call('--frozen-lockfile'), { quiet: true });
  if (outcome.status === 0) return;
  const outdated = /ERR_PNPM_(OUTDATED_LOCKFILE|LOCKFILE_CONFIG_MISMATCH)/.test(outcome.output.toString());
  if (process.env.CI === 'true' || !outdated) throw failed('The installation', outcome);
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

function workspaceFolders() {
  const folders = ['packages', 'examples', 'test'].flatMap((parent) =>
    readdirSync(join(root, parent)).map((child) => `${parent}/${child}`),
  );
  return ['', 'test', 'benchmarks', ...folders];
}

function manifests() {
  return workspaceFolders()
    .map((folder) => join(folder, 'package.json'))
    .concat('pnpm-lock.yaml', 'pnpm-workspace.yaml')
    .filter((file) => existsSync(join(root, file)))
    .sort();
}
