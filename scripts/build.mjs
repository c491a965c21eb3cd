import { mustRun } from './process.mjs';

const projects = ['packages/core', 'packages/express', 'packages/nestjs', 'examples/rag-chat', 'examples/image-worker'];

/**
 * Compiles the named projects and what they reference; tsc skips whatever has not changed.
 * @param {string[]} names
 */
export async function build(...names) {
  await mustRun('The build', 'tsc', ['--build', ...(names.length > 0 ? names : projects)]);
}
