import { execFile, spawn } from 'node:child_process';
import { accessSync, constants, existsSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { connect as connectPlain, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { promisify } from 'node:util';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Where a real Redis answers; undefined where there is none. Tests may write to it, under keys of their own. */
    redisUrl: string | undefined;
    /** The path of a real Chromium; undefined where there is none. */
    chromium: string | undefined;
  }
}

/** A real part that the system tests use, and the three ways to come by it. */
interface RealPart {
  readonly name: string;
  /** The environment variable that names one that is there already. */
  readonly variable: string;
  readonly binaries: readonly string[];
  /** Debian's package of it. */
  readonly debian: string;
}

const redis: RealPart = { name: 'Redis', variable: 'REDIS_URL', binaries: ['redis-server'], debian: 'redis-server' };
const chromium: RealPart = {
  name: 'Chromium',
  variable: 'CHROMIUM_PATH',
  binaries: ['chromium', 'chromium-browser', 'google-chrome'],
  debian: 'chromium',
};

/** What the person who starts the tests can mend; its message is one line for them. */
class CannotTest extends Error {}

/** What somebody can mend ends the run in one line: thrown, Vitest would say that there are no tests, and add its stack. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  try {
    return await prepare(project);
  } catch (error) {
    if (!(error instanceof CannotTest)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}

/** Finds, starts or installs what the system tests need. What cannot be had is provided as undefined, and said once. */
async function prepare(project: TestProject): Promise<() => Promise<void>> {
  const { REDIS_URL, CHROMIUM_PATH } = process.env;
  if (REDIS_URL) await mustAnswer(REDIS_URL);
  if (CHROMIUM_PATH && !existsSync(CHROMIUM_PATH)) {
    throw new CannotTest(`CHROMIUM_PATH names '${CHROMIUM_PATH}', which does not exist. Correct it, or unset it.`);
  }
  const wanted = [...(REDIS_URL ? [] : [redis]), ...(CHROMIUM_PATH ? [] : [chromium])];
  await installFromDebian(wanted.filter((part) => !findBinary(part)));
  reportMissing(wanted.filter((part) => !findBinary(part)));

  const binary = REDIS_URL ? undefined : redisBinary();
  const server = binary ? await startRedis(binary) : undefined;
  project.provide('redisUrl', REDIS_URL || server?.url);
  project.provide('chromium', CHROMIUM_PATH || findBinary(chromium));
  return async function teardown() {
    await server?.stop();
  };
}

/** Where tests find the server that they start and kill themselves; undefined when there is only one elsewhere. */
export function redisBinary(): string | undefined {
  return findBinary(redis);
}

function findBinary(part: RealPart): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  return part.binaries.flatMap((binary) => folders.map((folder) => join(folder, binary))).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function reportMissing(missing: readonly RealPart[]): void {
  if (missing.length === 0) return;
  const names = missing.map((part) => part.name).join(' and ');
  const packages = missing.map((part) => part.debian).join(' and ');
  const variables = missing.map((part) => part.variable).join(' and ');
  const mend = `Install ${packages} (Debian and Ubuntu: apt-get install ${missing.map((part) => part.debian).join(' ')}), or set ${variables}.`;
  if (process.env.CI === 'true')
    throw new CannotTest(`With CI=true every test must run, and ${names} cannot be had. ${mend}`);
  console.warn(`The tests that need ${names} are skipped. ${mend}`);
}

const policyFile = '/usr/sbin/policy-rc.d';

/** As root on Debian or Ubuntu: one `apt-get install` for all that is missing. It leaves no service running. */
async function installFromDebian(missing: readonly RealPart[]): Promise<void> {
  const asRoot = process.platform === 'linux' && process.getuid?.() === 0;
  const aptGet = findBinary({ ...redis, binaries: ['apt-get'] });
  if (missing.length === 0 || !asRoot || !aptGet) return;
  const packages = missing.map((part) => part.debian);
  console.log(`Installing Debian's ${packages.join(' and ')} for the tests ...`);
  // Debian starts a service as soon as it is installed, unless this file forbids it. Where it exists its owner decides.
  const forbid = !existsSync(policyFile);
  if (forbid) writeFileSync(policyFile, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    await apt(aptGet, 'update');
    await apt(aptGet, 'install', '--yes', '--no-install-recommends', ...packages);
  } catch (error) {
    const said = (error as { stderr?: string }).stderr?.trim().split('\n').at(-1);
    console.warn(`The installation failed: ${said || error}`);
  } finally {
    if (forbid) rmSync(policyFile, { force: true });
  }
}

async function apt(aptGet: string, ...args: string[]): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  // Another apt may be at work: wait for it rather than fail.
  await promisify(execFile)(aptGet, ['--quiet', '-o', 'DPkg::Lock::Timeout=300', ...args], {
    env,
    maxBuffer: 64 * 1024 * 1024,
  });
}

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Its own, and gone with it. */
  readonly folder: string;
  /** Kills it with -9. */
  stop(): Promise<void>;
}

/** What one server is given besides what all of them are. */
export interface RedisLaunch {
  /** They lie in its folder when it starts. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** Words before all settings. */
  readonly words?: readonly string[];
  readonly settings?: Readonly<Record<string, string | number>>;
}

const startAttempts = 3;
const startTimeoutMs = 10_000;

/** Starts a Redis that keeps nothing on disk, listens on this machine alone and never outlives this process. */
export async function startRedis(binary: string, port?: number, launch: RedisLaunch = {}): Promise<RedisServer> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startRedisOn(binary, port ?? (await freePort()), launch);
    } catch (error) {
      // The port was free a moment ago; somebody else may have taken it in between.
      if (port !== undefined || attempt === startAttempts) throw error;
    }
  }
}

async function startRedisOn(binary: string, port: number, launch: RedisLaunch): Promise<RedisServer> {
  const { files = {}, words = [], settings = {} } = launch;
  const folder = await mkdtemp(join(tmpdir(), 'warmpath-redis-'));
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  const log = join(folder, 'log');
  const options = { bind: '127.0.0.1', port, dir: folder, logfile: log, save: '', appendonly: 'no', ...settings };
  const args = [...words, ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])];
  // The shell's input is a pipe that only this process holds: it ends with it, however that comes, and then Redis
  // is killed and its folder removed.
  const shell = spawn(
    'sh',
    [
      '-c',
      '"$@" >/dev/null & server=$!; echo $server; cat; kill -9 $server; wait; rm -rf "$FOLDER"',
      'redis',
      binary,
      ...args,
    ],
    {
      cwd: folder,
      env: { ...process.env, FOLDER: folder },
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: true, // Ctrl-C in a terminal goes to whole groups; the teardown decides when Redis ends
    },
  );
  const ended = new Promise<void>((resolve) => {
    shell.once('error', () => resolve());
    shell.once('close', () => resolve());
  });
  let pid = Number.NaN;
  shell.stdout.on('data', (line: Buffer) => {
    pid = Number(line);
  });
  const stop = async (): Promise<void> => {
    shell.stdin.end();
    await ended;
  };
  const url = `redis://127.0.0.1:${port}`;
  try {
    await untilItAnswers(url, startTimeoutMs);
  } catch (cause) {
    const said = await readFile(log, 'utf8').catch(() => 'It wrote no log.');
    await stop();
    throw new Error(`'${binary}' does not answer on port ${port}. ${said.trim().split('\n').at(-1)}`, { cause });
  }
  return { url, port, pid, folder, stop };
}

async function untilItAnswers(url: string, timeoutMs: number): Promise<void> {
  const giveUpAt = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await ping(url);
    } catch (error) {
      if (performance.now() > giveUpAt) throw error;
      await pause(20);
    }
  }
}

async function mustAnswer(url: string): Promise<void> {
  try {
    await ping(url);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : cause;
    throw new CannotTest(`REDIS_URL is set, but no Redis answers there: ${why}. Correct it, or unset it.`, { cause });
  }
}

const pingTimeoutMs = 3_000;

/** Asks for a PONG on a plain socket, so that no client library is part of the proof. */
function ping(address: string): Promise<void> {
  const url = new URL(address);
  const host = url.hostname.replace(/^\[|\]$/g, '') || '127.0.0.1';
  const port = Number(url.port || 6379);
  const credentials = [url.username, url.password].map(decodeURIComponent).filter(Boolean);
  return new Promise((resolve, reject) => {
    const socket: Socket =
      url.protocol === 'rediss:' ? connectTls({ host, port, servername: host }) : connectPlain({ host, port });
    const fail = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    let answer = '';
    socket.setTimeout(pingTimeoutMs, () => fail(new Error(`nothing came within ${pingTimeoutMs} ms`)));
    socket.once('error', (error) => fail(error.message ? error : new Error('the connection is refused')));
    socket.once('close', () => reject(new Error('the connection was closed')));
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
      if (answer.includes('+PONG\r\n')) {
        resolve();
        socket.end();
      } else if (answer.includes('-') && answer.endsWith('\r\n')) fail(new Error(`it says '${answer.trim()}'`));
    });
    if (credentials.length > 0) socket.write(command('AUTH', ...credentials));
    socket.write(command('PING'));
  });
}

/** A command of the Redis protocol (RESP): an array of bulk strings. */
export function command(...words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('No free port was given.'));
        else resolve(address.port);
      });
    });
  });
}
