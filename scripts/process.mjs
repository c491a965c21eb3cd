import { spawn } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
const bin = join(root, 'node_modules', '.bin');

/**
 * Runs a command from the workspace's root, with the workspace's own binaries (and so its pinned Node) first on the path.
 * Ctrl-C reaches the command itself, which belongs to the same terminal; this process waits for its answer.
 * @param {string} command
 * @param {string[]} args
 * @param {{ env?: Record<string, string>, quiet?: boolean, path?: string }} [options] quiet: print only on failure;
 *   path: a folder of binaries that goes before the workspace's own
 * @returns {Promise<number>} the exit status
 */
export async function run(command, args, options) {
  const { status, output } = await attempt(command, args, options);
  if (status !== 0) process.stderr.write(output);
  return status;
}

/**
 * Like `run`, but what a quiet command has printed is left to the caller.
 * @param {Parameters<typeof run>} call
 * @returns {Promise<{ status: number, output: Buffer }>}
 */
export function attempt(...[command, args, { env = {}, quiet = false, path } = {}]) {
  const PATH = [path, bin, process.env.PATH].filter(Boolean).join(delimiter);
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, ...env, PATH },
    stdio: quiet ? ['inherit', 'pipe', 'pipe'] : 'inherit',
    shell: process.platform === 'win32',
  });
  /** @type {Buffer[]} */
  const output = [];
  child.stdout?.on('data', (chunk) => output.push(chunk));
  child.stderr?.on('data', (chunk) => output.push(chunk));
  const leaveToChild = () => {};
  process.on('SIGINT', leaveToChild);
  const forward = () => child.kill('SIGTERM');
  process.on('SIGTERM', forward);
  return new Promise((resolve, reject) => {
    child.on('error', (cause) => reject(new Error(`Could not start ${command}: ${cause.message}`, { cause })));
    child.on('close', (code, signal) => {
      process.off('SIGINT', leaveToChild);
      process.off('SIGTERM', forward);
      const status = code ?? (signal === 'SIGINT' ? 130 : 1);
      resolve({ status, output: Buffer.concat(output) });
    });
  });
}

/**
 * Like `run`, for steps that must succeed before anything else can.
 * @param {string} what names the step in the error
 * @param {Parameters<typeof run>} call
 */
export async function mustRun(what, ...call) {
  const status = await run(...call);
  if (status !== 0) throw failed(what, status);
}

/**
 * @param {string} what
 * @param {number} status
 */
export function failed(what, status) {
  return new Error(`${what} failed (exit status ${status}). What it printed is above.`);
}
