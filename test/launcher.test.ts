import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Finished, root, runProgram } from './house/project.js';

// `npm run ...` in a workspace of its own: the real scripts, and stand-ins for the programs that they start. Nothing is
// fetched, and what each program was asked for stands in a file.

let home = '';
let bin = '';
const outdated =
  ' ERR_PNPM_OUTDATED_LOCKFILE  Cannot install with "frozen-lockfile" because pnpm-lock.yaml is not up to date';

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'warmpath-launcher-'));
  bin = join(home, 'bin');
  cpSync(join(root, 'scripts'), join(home, 'scripts'), { recursive: true });
  for (const folder of ['packages/core', 'examples/rag-chat', 'test', 'benchmarks', 'bin']) {
    mkdirSync(join(home, folder), { recursive: true });
  }
  for (const folder of ['.', 'packages/core', 'examples/rag-chat', 'test', 'benchmarks']) {
    writeFileSync(join(home, folder, 'package.json'), '{ "type": "module" }');
  }
  writeFileSync(join(home, 'pnpm-lock.yaml'), '');
  for (const program of ['npx', 'tsc', 'vitest', 'biome', 'node']) standIn(program);
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

/** Writes down what it is asked for, then does what the shell code says. */
function standIn(program: string, code = ''): void {
  writeFileSync(join(bin, program), `#!/bin/sh\necho "${program} $*" >> "${home}/asked"\n${code}\n`, { mode: 0o755 });
}

/** What the programs have been asked for since the last time. */
function asked(): string[] {
  const file = join(home, 'asked');
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  rmSync(file);
  return lines;
}

function launch(args: readonly string[], { ci = false } = {}): Promise<Finished> {
  const { CI: _ci, ...env } = process.env;
  const PATH = [bin, dirname(process.execPath), '/usr/bin', '/bin'].join(delimiter);
  return runProgram(process.execPath, [join(home, 'scripts/warmpath.mjs'), ...args], {
    cwd: home,
    env: { ...env, PATH, ...(ci ? { CI: 'true' } : {}) },
  });
}

const pnpm = 'npx --yes pnpm@12.21.0 install';
const projects = 'packages/core packages/express packages/nestjs examples/rag-chat examples/image-worker';

describe('the door of the workspace', () => {
  it.each(['biuld', '', 'constructor', '__proto__'])(
    "refuses '%s' with status 2 and names what it takes",
    async (name) => {
      const { status, stderr } = await launch(name === '' ? [] : [name]);
      expect(status).toBe(2);
      expect(stderr).toBe(
        `Unknown command '${name}'. It takes one of: demo, test, check, build, bench, test:runtimes, format.\n`,
      );
      expect(asked()).toEqual([]);
    },
  );

  it('hands on what follows the name, and the status of what it ran', async () => {
    standIn('vitest', 'exit 7');
    expect((await launch(['test', 'one.test.ts', '-t', 'a name'])).status).toBe(7);
    expect(asked().at(-1)).toBe('vitest run one.test.ts -t a name');
  });
});

describe('the installation', () => {
  it('takes what the lockfile says, and happens once', async () => {
    const first = await launch(['build']);
    expect(first).toMatchObject({ status: 0, stdout: 'Installing what the workspace needs ...\n' });
    expect(asked()).toEqual([`${pnpm} --frozen-lockfile`, `tsc --build ${projects}`]);
    const second = await launch(['build']);
    expect(second).toEqual({ status: 0, stdout: '', stderr: '' });
    expect(asked()).toEqual([`tsc --build ${projects}`]);
  });

  it('of the demo takes no more than the demo needs, and is part of that of the whole', async () => {
    await launch(['demo', '--exit']);
    expect(asked()).toEqual([
      `${pnpm} --frozen-lockfile --prod --filter . --filter rag-chat...`,
      'tsc --build examples/rag-chat',
      'node examples/rag-chat/dist/demo.js --exit',
    ]);
    await launch(['demo']);
    expect(asked()).not.toContainEqual(expect.stringContaining('npx'));
    await launch(['build']);
    expect(asked()[0]).toBe(`${pnpm} --frozen-lockfile`);
    await launch(['demo']);
    expect(asked()).not.toContainEqual(expect.stringContaining('npx'));
  });

  it.each(['package.json', 'packages/core/package.json', 'benchmarks/package.json', 'pnpm-lock.yaml'])(
    'happens again when %s has changed',
    async (file) => {
      await launch(['build']);
      asked();
      appendFileSync(join(home, file), '\n');
      await launch(['build']);
      expect(asked()[0]).toBe(`${pnpm} --frozen-lockfile`);
    },
  );

  it('says so when a lockfile is behind the manifests, and brings it up to date', async () => {
    standIn('npx', `case "$*" in *--frozen*) echo '${outdated}'; exit 1;; *) echo new >> pnpm-lock.yaml;; esac`);
    const { status, stdout, stderr } = await launch(['build']);
    expect(status).toBe(0);
    expect(stdout).toContain('pnpm-lock.yaml is behind the package.json files; bringing it up to date ...\n');
    expect(stderr).toBe('');
    expect(asked().slice(0, 2)).toEqual([`${pnpm} --frozen-lockfile`, `${pnpm} --no-frozen-lockfile`]);
    await launch(['build']);
    expect(asked()).toEqual([`tsc --build ${projects}`]);
  });

  it('with CI=true never changes a lockfile', async () => {
    standIn('npx', `echo '${outdated}'; exit 1`);
    const { status, stderr } = await launch(['build'], { ci: true });
    expect(status).toBe(1);
    expect(stderr).toContain('ERR_PNPM_OUTDATED_LOCKFILE');
    expect(asked()).toEqual([`${pnpm} --frozen-lockfile`]);
  });

  it('that fails shows why, ends the command, and is tried again the next time', async () => {
    await launch(['build']);
    appendFileSync(join(home, 'package.json'), '\n');
    asked();
    standIn('npx', 'echo no network >&2; exit 3');
    const { status, stderr } = await launch(['build']);
    expect(status).toBe(1);
    expect(stderr).toBe('no network\nThe installation failed (exit status 3). What it printed is above.\n');
    expect(asked()).toEqual([`${pnpm} --frozen-lockfile`]);
    standIn('npx');
    expect((await launch(['build'])).status).toBe(0);
    expect(asked()[0]).toBe(`${pnpm} --frozen-lockfile`);
  });
});
