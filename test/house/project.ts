import { execFile } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The workspace as files: what the tests of its own rules read. */
export const root: string = fileURLToPath(new URL('../..', import.meta.url));

const generated = new Set(['node_modules', 'dist', '.git', 'coverage']);

/** The project's own files that match, as paths from the root with forward slashes; nothing installed or generated. */
export function projectFiles(pattern: string): string[] {
  return globSync(pattern, { cwd: root, exclude: (path) => generated.has(path.split(sep).at(-1) ?? '') })
    .map((path) => path.split(sep).join('/'))
    .sort();
}

export function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

export function readJson<T>(path: string): T {
  return JSON.parse(read(path)) as T;
}

export interface Finished {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, whatever its status; the workspace's own goes before one of the same name on the path. */
export function runProgram(
  command: string,
  args: readonly string[],
  { cwd = root, env = process.env }: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<Finished> {
  const own = join(root, 'node_modules', '.bin', command);
  const file = existsSync(own) ? own : command;
  return new Promise((resolve, reject) => {
    execFile(file, args, { cwd, env, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error && typeof error.code !== 'number') reject(error);
      else resolve({ status: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
    });
  });
}

export interface Manifest {
  readonly name: string;
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
}

export const packageFolders: readonly string[] = ['packages/core', 'packages/express', 'packages/nestjs'];

/** The parts of core that its exports map names, such as `limiter`. */
export function exportedParts(): string[] {
  const { exports } = readJson<Manifest>('packages/core/package.json');
  return Object.keys(exports)
    .map((subpath) => subpath.slice(2))
    .filter((part) => part !== '' && part !== 'package.json');
}

/** A Markdown file's lines with those inside fenced blocks emptied, so that only prose is left. */
export function proseLines(markdown: string): string[] {
  let fence: string | undefined;
  return markdown.split('\n').map((line) => {
    const mark = /^\s*(`{3,}|~{3,})/.exec(line)?.[1];
    if (fence === undefined && mark) fence = mark;
    else if (fence !== undefined && mark?.startsWith(fence)) fence = undefined;
    else if (fence === undefined) return line;
    return '';
  });
}
