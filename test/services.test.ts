import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Finished, root, runProgram } from './house/project.js';
import { freePort } from './services.js';

// What `services.ts` does on machines that lack the real parts: it runs in processes whose path holds nothing, or nothing
// but a stand-in for apt-get.

let bin = '';
let listener: Server | undefined;
beforeEach(() => {
  bin = mkdtempSync(join(tmpdir(), 'warmpath-path-'));
  chmodSync(bin, 0o777); // also for a process that is not root any more
});
afterEach(async () => {
  rmSync(bin, { recursive: true });
  await new Promise((resolve) => (listener ? listener.close(resolve) : resolve(undefined)));
  listener = undefined;
});

const services = pathToFileURL(join(root, 'test/services.ts')).href;
const asRoot = process.getuid?.() === 0;
const nobody = 65_534;

/** The environment of a machine with none of the real parts, and what a test adds to it. */
function bare(added: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { REDIS_URL: _redis, CHROMIUM_PATH: _chromium, CI: _ci, ...env } = process.env;
  return { ...env, PATH: bin, ...added };
}

/** Prepares the services in a process, and prints what the tests of that run would be given. */
function prepare(env: NodeJS.ProcessEnv, { unprivileged = false } = {}): Promise<Finished> {
  const program = `
    const { default: prepare } = await import(${JSON.stringify(services)});
    ${unprivileged && asRoot ? `process.setuid(${nobody});` : ''}
    const given = {};
    try {
      const undo = await prepare({ provide: (name, value) => { given[name] = value; } });
      await undo();
      console.log(JSON.stringify(given));
    } catch (error) {
      console.error(error.message);
      process.exitCode = 1;
    }`;
  return runProgram(process.execPath, ['--input-type=module', '--eval', program], { env: bare(env) });
}

async function listen(answer: string): Promise<string> {
  listener = createServer((socket) => void socket.on('data', () => socket.end(answer)));
  await new Promise<void>((resolve) => listener?.listen(0, '127.0.0.1', resolve));
  return `redis://127.0.0.1:${(listener.address() as AddressInfo).port}`;
}

const mend =
  'Install redis-server and chromium (Debian and Ubuntu: apt-get install redis-server chromium), or set REDIS_URL and CHROMIUM_PATH.';

describe('a real part that is named', () => {
  it('and is a Redis that answers is used', async () => {
    const url = await listen('+PONG\r\n');
    const { status, stdout } = await prepare({ REDIS_URL: url, CHROMIUM_PATH: process.execPath });
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ redisUrl: url, chromium: process.execPath });
  });

  it('and is no Redis, or none that lets us in, is a clear error', async () => {
    const gone = `redis://127.0.0.1:${await freePort()}`;
    const strange = await listen('-NOAUTH Authentication required.\r\n');
    for (const [url, why] of [
      [gone, 'ECONNREFUSED'],
      [strange, "it says '-NOAUTH Authentication required.'"],
      ['nowhere', 'Invalid URL'],
    ] as const) {
      const { status, stderr } = await prepare({ REDIS_URL: url, CHROMIUM_PATH: process.execPath });
      expect(status).toBe(1);
      expect(stderr).toMatch(/^REDIS_URL is set, but no Redis answers there: .+ Correct it, or unset it\.\n$/);
      expect(stderr).toContain(why);
    }
  });

  it('and is no Chromium is a clear error', async () => {
    const { status, stderr } = await prepare({ REDIS_URL: await listen('+PONG\r\n'), CHROMIUM_PATH: '/no/chromium' });
    expect(status).toBe(1);
    expect(stderr).toBe("CHROMIUM_PATH names '/no/chromium', which does not exist. Correct it, or unset it.\n");
  });
});

describe('real parts that cannot be had', () => {
  it('are said in one line with what to install, and nobody but root has anything installed', async () => {
    aptGet('exit 1');
    const { status, stdout, stderr } = await prepare({}, { unprivileged: true });
    expect(status).toBe(0);
    expect(stderr).toBe(`The tests that need Redis and Chromium are skipped. ${mend}\n`);
    expect(stdout).toBe('{}\n');
    expect(aptCalls()).toEqual([]);
  });

  it('are named alone when the others are there', async () => {
    const { stderr } = await prepare({ CHROMIUM_PATH: process.execPath });
    expect(stderr).toBe(
      'The tests that need Redis are skipped. Install redis-server (Debian and Ubuntu: apt-get install redis-server), or set REDIS_URL.\n',
    );
  });

  it('are an error with CI=true', async () => {
    const { status, stderr } = await prepare({ CI: 'true' });
    expect(status).toBe(1);
    expect(stderr).toBe(`With CI=true every test must run, and Redis and Chromium cannot be had. ${mend}\n`);
  });

  it('skip their tests by name in the summary, and with CI=true fail the run', async () => {
    const folder = join(root, 'node_modules', '.warmpath-services');
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    writeFileSync(
      join(folder, 'sample.check.ts'),
      `import { describe, inject, it } from 'vitest';
       it('runs anywhere', () => {});
       describe.skipIf(!inject('redisUrl'))('a real Redis', () => { it('answers', () => {}); });
       describe.skipIf(!inject('chromium'))('a real Chromium', () => { it('paints', () => {}); });`,
    );
    const globalSetup = join(root, 'test/services.ts');
    const test = { include: ['*.check.ts'], exclude: [], globalSetup };
    writeFileSync(join(folder, 'vitest.config.mjs'), `export default { test: ${JSON.stringify(test)} };`);
    const vitest = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--root', folder];
    const reporter = ['--reporter', join(root, 'test/summary-reporter.ts')];
    const run = (env: NodeJS.ProcessEnv) => runProgram(process.execPath, [...vitest, ...reporter], { env: bare(env) });
    const [skipping, strict] = await Promise.all([run({}), run({ CI: 'true' })]);
    expect(skipping.stdout).toContain('Skipped, since Redis is missing:\n  a real Redis > answers\n');
    expect(skipping.stdout).toContain('Skipped, since Chromium is missing:\n  a real Chromium > paints\n');
    expect(skipping.stdout.trimEnd().split('\n').at(-1)).toBe('1 passed, 0 failed, 2 skipped');
    expect(skipping.status).toBe(0);
    expect(strict.status).toBe(1);
    expect(strict.stderr).toBe(`With CI=true every test must run, and Redis and Chromium cannot be had. ${mend}\n`);
    expect(strict.stdout.trim()).toBe('0 passed, 1 failed');
  });
});

describe("root's installation from Debian", () => {
  it('asks apt-get for what is missing alone, starts no service, and takes what is there then', async () => {
    aptGet(`case "$*" in *install*) echo '#!/bin/sh' > ${bin}/chromium; /bin/chmod +x ${bin}/chromium;; esac`);
    const before = existsSync('/usr/sbin/policy-rc.d');
    const { status, stdout } = await prepare({ REDIS_URL: await listen('+PONG\r\n') });
    expect(status).toBe(0);
    const options = '--quiet -o DPkg::Lock::Timeout=300';
    const calls = [`${options} update`, `${options} install --yes --no-install-recommends chromium`];
    expect(aptCalls()).toEqual(asRoot ? calls : []);
    expect(stdout.includes(`"chromium":"${bin}/chromium"`)).toBe(asRoot);
    expect(existsSync('/usr/sbin/policy-rc.d')).toBe(before);
  });

  it('that fails is said with the last line of apt-get, and the tests are skipped', async () => {
    aptGet('echo "E: there is no network" >&2; exit 100');
    const { status, stderr } = await prepare({});
    expect(status).toBe(0);
    expect(stderr.startsWith('The installation failed: E: there is no network\n')).toBe(asRoot);
    expect(stderr).toContain('The tests that need Redis and Chromium are skipped.');
  });
});

/** Puts a program called apt-get on the path, which writes down what it is asked for. */
function aptGet(code: string): void {
  writeFileSync(join(bin, 'apt-get'), `#!/bin/sh\necho "$*" >> ${bin}/asked\n${code}\n`, { mode: 0o755 });
}

function aptCalls(): string[] {
  const file = join(bin, 'asked');
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
}
