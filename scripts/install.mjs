import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mustRun, root } from './process.mjs';

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
  await mustRun('The installation', 'npx', ['--yes', pnpm, 'install', ...scopes[scope]], { quiet: true });
  mkdirSync(stamps, { recursive: true });
  writeFileSync(join(stamps, scope), manifestDigest());
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
