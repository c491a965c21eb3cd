import { spawn } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, relative } from 'node:path';
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

function environment(): NodeJS.ProcessEnv {
  const { CI: _ci, npm_lifecycle_event: _event, ...env } = process.env;
  return { ...env, PATH: [bin, dirname(process.execPath), '/usr/bin', '/bin'].join(delimiter) };
}

function launch(args: readonly string[], { ci = false } = {}): Promise<Finished> {
  return runProgram(process.execPath, [join(home, 'scripts/warmpath.mjs'), ...args], {
    cwd: home,
    env: { ...environment(), ...(ci ? { CI: 'true' } : {}) },
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

describe('a command that npm has started', () => {
  it('ends with npm, however npm ends', async () => {
    standIn('node', `trap 'echo stopped >> "${home}/asked"; kill $!; exit 0' TERM\nsleep 30 &\nwait`);
    const words = ['-c', '"$@"; true', 'npm', process.execPath, join(home, 'scripts/warmpath.mjs'), 'demo'];
    const npm = spawn('sh', words, { cwd: home, env: { ...environment(), npm_lifecycle_event: 'demo' } });
    const seen: string[] = [];
    const lines = (): string[] => {
      seen.push(...asked());
      return seen;
    };
    await expect.poll(lines, { timeout: 10_000 }).toContain('node examples/rag-chat/dist/demo.js');
    npm.kill('SIGKILL');
    await expect.poll(lines, { timeout: 10_000 }).toContain('stopped');
  });
});

describe('the build', () => {
  it('removes what was made of a source that is gone, and nothing else', async () => {
    const write = (path: string): void => {
      mkdirSync(join(home, path, '..'), { recursive: true });
      writeFileSync(join(home, path), '');
    };
    const kept = ['kept.js', 'kept.d.ts', 'deep/kept.js', 'tsconfig.tsbuildinfo', 'note.txt'];
    const gone = ['gone.js', 'gone.d.ts', 'kept.test.js', 'deep/gone.js', 'dead/deeper/gone.js'];
    for (const path of [...kept, ...gone]) write(`packages/core/dist/${path}`);
    for (const path of ['kept.ts', 'deep/kept.ts', 'kept.test.ts']) write(`packages/core/src/${path}`);
    write('packages/core/notes/gone.js');
    expect((await launch(['build'])).status).toBe(0);
    const left = readdirSync(join(home, 'packages/core'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => relative(join(home, 'packages/core'), join(parentPath, name)));
    expect(left.filter((path) => path.startsWith('dist')).sort()).toEqual(kept.map((path) => `dist/${path}`).sort());
    expect(left).toContain('notes/gone.js');
    expect(existsSync(join(home, 'packages/core/dist/dead'))).toBe(false);
  });
});

describe('the installation', () => {
  it('takes what the lockfile says, and happens once', async () => {
    const first = await launch(['build']);
    expect(first).toMatchObject({
      status: 0,
      stdout: 'Installing what the workspace needs (about a minute the first time) ...\n',
    });
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

  it('keeps to the whole once the whole was installed, also when a manifest has changed and the first try fails', async () => {
    await launch(['build']);
    appendFileSync(join(home, 'package.json'), '\n');
    asked();
    standIn('npx', 'exit 3');
    expect((await launch(['demo'])).status).toBe(1);
    standIn('npx');
    expect(await launch(['demo'])).toMatchObject({ status: 0, stdout: 'Installing what the workspace needs ...\n' });
    expect(asked().slice(0, 2)).toEqual([`${pnpm} --frozen-lockfile`, `${pnpm} --frozen-lockfile`]);
  });

  it('happens again when a folder has lost what its manifest names', async () => {
    const manifest = join(home, 'examples/rag-chat/package.json');
    const installed = join(home, 'examples/rag-chat/node_modules');
    writeFileSync(manifest, '{ "type": "module", "dependencies": { "express": "5" } }');
    standIn('npx', `/bin/mkdir -p ${installed}`);
    for (const command of ['demo', 'build']) {
      await launch([command]);
      asked();
      await launch([command]);
      expect(asked()).not.toContainEqual(expect.stringContaining('npx'));
      rmSync(installed, { recursive: true });
      await launch([command]);
      expect(asked()[0]).toMatch(/^npx/);
    }
  });

  it('that Ctrl-C ends does not call itself failed', async () => {
    standIn('npx', 'echo half of it; kill -INT $PPID; sleep 0.3; exit 1');
    const { status, stdout, stderr } = await launch(['build']);
    expect([status, stderr]).toEqual([130, '']);
    expect(stdout).toBe('Installing what the workspace needs (about a minute the first time) ...\n');
    standIn('npx');
    expect((await launch(['build'])).status).toBe(0);
  });

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
