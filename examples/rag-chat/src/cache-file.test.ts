import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import type { WarmpathEvent } from '@warmpath/core';
import { type ModelServer, startModelServer } from '@warmpath/core/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { readConfig } from './config.js';
import { type RunningApp, startApp } from './start.js';
import { watchStore } from './store-watch.js';

const question = 'What is the default temperature of an oven?';
let folder = '';
let file = '';
let logged: string[] = [];
let models: ModelServer | undefined;
const apps: RunningApp[] = [];
const children: ChildProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'warmpath-cache-file-'));
  file = join(folder, 'answers.sqlite');
  logged = [];
  writeFileSync(join(folder, 'ovens.md'), '# Ovens\n\nThe default temperature of an oven is 180 degrees.\n');
});
afterEach(async () => {
  vi.restoreAllMocks();
  await models?.close();
  models = undefined;
  for (const app of apps.splice(0)) await app.close();
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

/** An application on the documents, with a language model if one was started. */
async function start(args: readonly string[] = ['--cache', file]): Promise<RunningApp> {
  const env = models ? { OLLAMA_URL: models.ollamaUrl, OLLAMA_MODEL: 'tiny' } : {};
  const config = readConfig(['--docs', folder, '--port', '0', ...args], env, 'main');
  const app = await startApp(config, (line) => void logged.push(line));
  apps.push(app);
  return app;
}

async function stop(app: RunningApp): Promise<void> {
  apps.splice(apps.indexOf(app), 1);
  await app.close();
}

interface Reply {
  readonly layer: string;
  readonly model: string;
  readonly answer: string;
  readonly citations: readonly object[];
}

async function ask(url: string): Promise<Reply> {
  const response = await fetch(`${url}/api/chat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ question }),
  });
  expect(response.status).toBe(200);
  return (await response.json()) as Reply;
}

describe('answers in a file', () => {
  it('survive a restart: the same words, without the model, which may be gone', async () => {
    models = await startModelServer({ reply: 'It is **180 degrees** [1].' });
    const first = await start();
    const said = await ask(first.url);
    expect(said).toMatchObject({ layer: 'model', model: 'ollama:tiny', answer: 'It is **180 degrees** [1].' });
    await stop(first);
    models.fail({ status: 500, times: 100 });
    const second = await start();
    const kept = await ask(second.url);
    expect(kept).toMatchObject({
      layer: 'store',
      model: 'ollama:tiny',
      answer: said.answer,
      citations: said.citations,
    });
    expect((await ask(second.url)).layer).toBe('memory');
    expect(models.requests).toHaveLength(1);
    expect(logged).toEqual([]);
  });

  it('are shared by all that have the file open', async () => {
    const [one, other] = [await start(), await start()];
    const said = await ask(one.url);
    expect((await ask(one.url)).layer).toBe('memory'); // by the end of this request the first answer is in the file
    expect(await ask(other.url)).toMatchObject({ layer: 'store', answer: said.answer });
    expect((await ask(other.url)).layer).toBe('memory');
  });

  it('are not those of a stand-in: once the model is back, it is asked', async () => {
    models = await startModelServer({ reply: 'It is 180 degrees [1].' });
    models.fail({ status: 401 });
    const first = await start();
    expect(await ask(first.url)).toMatchObject({ layer: 'model', model: 'extractive' });
    await stop(first);
    expect(await ask((await start()).url)).toMatchObject({ layer: 'model', model: 'ollama:tiny' });
  });

  it('belong to the passages: a changed document is asked about anew', async () => {
    const first = await start();
    expect((await ask(first.url)).answer).toContain('180 degrees');
    await stop(first);
    writeFileSync(join(folder, 'ovens.md'), '# Ovens\n\nThe default temperature of an oven is 200 degrees.\n');
    expect(await ask((await start()).url)).toMatchObject({
      layer: 'model',
      answer: expect.stringContaining('200 degrees'),
    });
  });

  it('are nowhere but in memory when no file was named', async () => {
    const first = await start([]);
    await ask(first.url);
    await stop(first);
    expect((await ask((await start([])).url)).layer).toBe('model');
    expect(readdirSync(folder)).toEqual(['ovens.md']);
  });
});

describe('a cache file', () => {
  it('that is damaged is set aside and said so, and the application starts', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const first = await start();
    await ask(first.url);
    await stop(first);
    const bytes = readFileSync(file);
    writeFileSync(file, bytes.fill(0x55, 0, 4_096));
    const second = await start();
    expect(warn).toHaveBeenCalledExactlyOnceWith(expect.stringContaining(`${file}.corrupt-1`), {
      code: 'WARMPATH_SQLITE',
    });
    expect(existsSync(`${file}.corrupt-1`)).toBe(true);
    const said = await ask(second.url);
    expect(said.layer).toBe('model');
    await stop(second);
    expect(await ask((await start()).url)).toMatchObject({ layer: 'store', answer: said.answer });
  });

  it('that cannot be had is one error, which says why and how to mend it', async () => {
    const mend = 'Mend: Name another one with --cache or CACHE_FILE, or leave it out to keep answers in memory alone.';
    const database = new DatabaseSync(join(folder, 'other.sqlite'));
    database.exec('create table theirs (id integer)');
    database.close();
    const cases = {
      'nowhere/answers.sqlite': `There is no folder '${join(folder, 'nowhere')}'; create it first.`,
      '.': `'${folder}' is not a file; name a file in it, or another path.`,
      'other.sqlite': `'${join(folder, 'other.sqlite')}' belongs to another program; name a file of its own for the cache.`,
    };
    for (const [name, why] of Object.entries(cases)) {
      await expect(start(['--cache', join(folder, name)])).rejects.toMatchObject({
        name: 'StartError',
        message: `The cache file cannot be used.\n  Why:  ${why}\n  ${mend}`,
      });
    }
  });

  it('that cannot be written or read for a while is said once, and so is its return', () => {
    const lines: string[] = [];
    const watch = watchStore('The cache file', (line) => void lines.push(line));
    const of = { cache: 'chat', store: 'cache file' };
    const failed = (operation: 'setMany' | 'getMany', why: string): WarmpathEvent => {
      return { type: 'cache.store-failed', ...of, operation, error: new Error(why) };
    };
    const became = (access: 'reading' | 'writing', state: 'open' | 'half-open' | 'closed'): WarmpathEvent => {
      return { type: 'cache.store-state', ...of, access, state };
    };
    for (const why of ['disk I/O error', 'database or disk is full']) watch(failed('setMany', why));
    for (const state of ['open', 'half-open', 'open', 'half-open', 'open'] as const) watch(became('writing', state));
    watch(failed('getMany', 'too slow'));
    watch(became('reading', 'open'));
    for (const state of ['half-open', 'closed'] as const) watch(became('writing', state));
    expect(lines).toEqual([
      'The cache file cannot be written for now, so answers are kept in memory alone: database or disk is full',
      'The cache file cannot be read for now, so answers are kept in memory alone: too slow',
      'The cache file can be written again.',
    ]);
  });
});

describe('the program, in processes of its own', () => {
  /** The built one. Resolves with its address when it listens. */
  async function run(): Promise<{ readonly child: ChildProcess; readonly url: string; printed(): string }> {
    const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));
    const {
      OLLAMA_URL: _ollama,
      OPENAI_BASE_URL: _openai,
      OPENAI_API_KEY: _key,
      REDIS_URL: _redis,
      ...env
    } = process.env;
    const child = spawn(process.execPath, [main, '--docs', folder, '--port', '0'], {
      env: { ...env, CACHE_FILE: file },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.push(child);
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (part) => (text += part));
    const address = /(http:\S+) answers from/;
    await expect.poll(() => address.test(text), { timeout: 20_000, interval: 20 }).toBe(true);
    return { child, url: address.exec(text)?.[1] ?? '', printed: () => text };
  }

  it('answers from the file after it was killed in the middle of its work, and beside another that still runs', async () => {
    const first = await run();
    expect(first.printed()).toContain(`Answers are kept in ${file} as well.`);
    const said = await ask(first.url);
    await expect.poll(async () => (await ask(first.url)).layer).toBe('memory');
    const beside = await run();
    expect(await ask(beside.url)).toMatchObject({ layer: 'store', answer: said.answer });
    for (const { child } of [first, beside]) child.kill('SIGKILL');
    const next = await run();
    expect(await ask(next.url)).toMatchObject({ layer: 'store', answer: said.answer, citations: said.citations });
    const ended = new Promise((resolve) => next.child.once('close', resolve));
    next.child.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(readdirSync(folder).filter((name) => /-wal|-shm|corrupt/.test(name))).toEqual([]);
  }, 60_000);
});
