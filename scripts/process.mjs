import { spawn } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
const bin = join(root, 'node_modules', '.bin');
const parent = process.ppid;

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

/** How often to see whether npm is still there. */
const parentCheckMs = 500;

/** Somebody has stopped the command: nothing failed, and there is nothing to say. */
export class Stopped extends Error {
  /** @param {number} status */
  constructor(status) {
    super('The command was stopped.');
    this.status = status;
  }
}

/**
 * Like `run`, but what a quiet command has printed is left to the caller. A command ends with the process that has
 * started us: npm dies of SIGTERM without a word to what it has started.
 * @param {Parameters<typeof run>} call
 * @returns {Promise<{ status: number, output: Buffer, stoppedBy: 'SIGINT' | 'SIGTERM' | undefined }>}
 */
export function attempt(...[command, args, { env = {}, quiet = false, path } = {}]) {
  const PATH = [path, bin, process.env.PATH].filter(Boolean).join(delimiter);
  /** @type {'SIGINT' | 'SIGTERM' | undefined} */
  let stoppedBy;
  const leaveToChild = () => {
    stoppedBy = 'SIGINT';
  };
  process.on('SIGINT', leaveToChild);
  const forward = () => {
    stoppedBy = 'SIGTERM';
    child.kill('SIGTERM');
  };
  process.on('SIGTERM', forward);
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, ...env, PATH },
    stdio: quiet ? ['inherit', 'pipe', 'pipe'] : 'inherit',
    shell: process.platform === 'win32',
  });
  const watch = watchParent(forward);
  /** @type {Buffer[]} */
  const output = [];
  child.stdout?.on('data', (chunk) => output.push(chunk));
  child.stderr?.on('data', (chunk) => output.push(chunk));
  return new Promise((resolve, reject) => {
    child.on('error', (cause) => reject(new Error(`Could not start ${command}: ${cause.message}`, { cause })));
    child.on('close', (code, signal) => {
      process.off('SIGINT', leaveToChild);
      process.off('SIGTERM', forward);
      clearInterval(watch);
      const status = code ?? (signal === 'SIGINT' ? 130 : 1);
      resolve({ status, output: Buffer.concat(output), stoppedBy });
    });
  });
}

/**
 * Only below npm: who starts this file without it may well leave it behind on purpose.
 * @param {() => void} gone is called once the parent is
 */
function watchParent(gone) {
  if (process.env.npm_lifecycle_event === undefined) return undefined;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    gone();
  }, parentCheckMs);
  return watch.unref();
}

/**
 * Like `run`, for steps that must succeed before anything else can.
 * @param {string} what names the step in the error
 * @param {Parameters<typeof run>} call
 */
export async function mustRun(what, ...call) {
  const outcome = await attempt(...call);
  if (outcome.status !== 0) throw failed(what, outcome);
}

/**
 * Prints what a step that failed has printed, unless it was stopped.
 * @param {string} what
 * @param {Awaited<ReturnType<typeof attempt>>} outcome
 */
export function failed(what, { status, output, stoppedBy }) {
  if (stoppedBy) return new Stopped(stoppedBy === 'SIGINT' ? 130 : 143);
  process.stderr.write(output);
  return new Error(`${what} failed (exit status ${status}). What it printed is above.`);
}
