import { type ChildProcess, spawn } from 'node:child_process';
import { expect, onTestFinished } from 'vitest';
import { root } from './house/project.js';

/** A built example in a process of its own. */
export interface ExampleProgram {
  readonly child: ChildProcess;
  readonly url: string;
  /** What it has printed so far, warnings included, a line each. */
  printed(): readonly string[];
  /** Its exit status, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
}

/** What the examples read, and what may be set where the tests run. */
const theirs = /^(PORT|HOST|DOCS_DIR|CACHE_FILE|REDIS_URL|INIT_CWD|(OLLAMA|OPENAI|MODEL|MAX)_\w+)$/;

/** Until the test is over. */
export function runExample(
  name: 'rag-chat' | 'image-worker',
  env: Readonly<Record<string, string>>,
): Omit<ExampleProgram, 'url'> {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([key]) => !theirs.test(key)));
  const child = spawn(process.execPath, [`examples/${name}/dist/main.js`], {
    cwd: root,
    env: { ...clean, PORT: '0', NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (part) => (text += part));
  const ended = new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? signal));
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return { child, ended, printed: () => text.split('\n').filter(Boolean) };
}

/** Resolves when it listens. */
export async function startExample(...call: Parameters<typeof runExample>): Promise<ExampleProgram> {
  const program = runExample(...call);
  const address = (): string | undefined => /http:\/\/127\.0\.0\.1:\d+(?= )/.exec(program.printed().join('\n'))?.[0];
  await expect.poll(address, { timeout: 30_000, interval: 20 }).toBeDefined();
  return { ...program, url: address() ?? '' };
}
