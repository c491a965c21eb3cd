import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { mustRun, root } from './process.mjs';

const projects = ['packages/core', 'packages/express', 'packages/nestjs', 'examples/rag-chat', 'examples/image-worker'];

/**
 * Compiles the named projects and what they reference; tsc skips whatever has not changed.
 * @param {string[]} names
 */
export async function build(...names) {
  await mustRun('The build', 'tsc', ['--build', ...(names.length > 0 ? names : projects)]);
  for (const project of projects) prune(join(root, project, 'dist'), join(root, project, 'src'));
}

/**
 * Removes what tsc once made of a source that is gone, or of a test: it would be found, tested and packed like the rest.
 * @param {string} output
 * @param {string} source
 */
function prune(output, source) {
  if (!existsSync(output)) return;
  for (const entry of readdirSync(output, { withFileTypes: true })) {
    const path = join(output, entry.name);
    if (entry.isDirectory()) {
      prune(path, join(source, entry.name));
      if (readdirSync(path).length === 0) rmdirSync(path);
    } else if (/\.(d\.ts|js)$/.test(entry.name)) {
      const name = entry.name.replace(/\.(d\.ts|js)$/, '.ts');
      if (name.endsWith('.test.ts') || !existsSync(join(source, name))) rmSync(path);
    }
  }
}
