import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startModelServer } from '@warmpath/core/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { root } from './house/project.js';
import { freePort } from './services.js';

// The built demo as `npm run demo` starts it: a process of its own, talked to through its terminal and its port alone.

let docs = '';
const running: ChildProcess[] = [];

beforeAll(() => {
  docs = mkdtempSync(join(tmpdir(), 'warmpath-demo-'));
  writeFileSync(join(docs, 'ovens.md'), '# Ovens\n\nOvens bake bread with dry heat.\n');
  writeFileSync(join(docs, 'kettles.md'), '# Kettles\n\nKettles boil water.\n');
});
afterAll(() => rmSync(docs, { recursive: true, force: true }));
afterEach(() => {
  for (const child of running.splice(0)) child.kill('SIGKILL');
});

interface Demo {
  readonly child: ChildProcess;
  /** What it has printed so far, errors included. */
  printed(): string;
  /** Resolves with the first match in what it prints. */
  prints(pattern: RegExp): Promise<RegExpExecArray>;
  /** Its exit status, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
}

function startDemo(args: readonly string[], env: NodeJS.ProcessEnv = {}, before: readonly string[] = []): Demo {
  const { PORT: _port, DOCS_DIR: _docs, HOST: _host, OLLAMA_URL: _ollama, ...rest } = process.env;
  const { OPENAI_BASE_URL: _base, OPENAI_API_KEY: _key, CACHE_FILE: _cache, REDIS_URL: _redis, ...clean } = rest;
  const [command = '', ...words] = [...before, process.execPath, 'examples/rag-chat/dist/demo.js', ...args];
  const child = spawn(command, words, { cwd: root, env: { ...clean, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  running.push(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (part) => (text += part));
  const ended = new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? signal));
  });
  const prints = async (pattern: RegExp): Promise<RegExpExecArray> =>
    expect
      .poll(() => pattern.exec(text), { timeout: 30_000, interval: 20, message: `${pattern} in what it prints` })
      .not.toBeNull()
      .then(() => pattern.exec(text) as RegExpExecArray);
  return { child, printed: () => text, prints, ended };
}

describe('the demo', () => {
  it('with --exit asks its tour, prints the table and leaves with 0', async () => {
    const demo = startDemo(['--exit'], { PORT: '0' });
    expect(await demo.ended).toBe(0);
    const lines = demo.printed().split('\n');
    expect(lines.find((line) => line.startsWith('Warmpath RAG chat: '))).toMatch(/http:\/\/127\.0\.0\.1:\d+$/);
    const header = lines.findIndex((line) => /^Question +Answered by +First chunk +Total +Sources$/.test(line));
    const rows = lines.slice(header + 2, lines.indexOf('', header));
    expect(rows).toHaveLength(12);
    for (const row of rows) expect(row).toMatch(/ (model \(extractive\)|cache \(memory\)|shared \(one computation\)) /);
    expect(rows.filter((row) => row.includes('cache (memory)')).length).toBeGreaterThanOrEqual(3);
    expect(demo.printed()).toMatch(/The cache spared \d of 12 model calls; a new answer took [\d.]+ ms, a kept one/);
    expect(demo.printed()).not.toContain('Failed:');
  });

  it('answers from another folder, stays up after its tour, and Ctrl-C ends it with 0 and frees its port', async () => {
    const port = await freePort();
    const demo = startDemo(['--docs', docs, '--port', String(port)]);
    await demo.prints(/Ask your own at (http:\S+)/);
    expect(demo.printed()).toContain(`2 documents, 2 passages, answered by extractive`);
    const url = `http://127.0.0.1:${port}`;
    const answer = await fetch(`${url}/api/chat`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ question: 'What do ovens bake?' }),
    });
    expect(await answer.json()).toMatchObject({ answer: expect.stringContaining('bread'), model: 'extractive' });
    demo.child.kill('SIGINT');
    expect(await demo.ended).toBe(0);
    await expect(fetch(url)).rejects.toThrow('fetch failed');
    const next = createServer();
    await new Promise<void>((resolve, reject) => next.once('error', reject).listen(port, '127.0.0.1', resolve));
    await new Promise((resolve) => next.close(resolve));
  });

  it('with a language model that refuses names what stood in, once, and leaves with 1', async () => {
    const models = await startModelServer();
    models.fail({ status: 401, times: 100 });
    const demo = startDemo(['--exit', '--docs', docs], { PORT: '0', OLLAMA_URL: models.ollamaUrl });
    expect(await demo.ended).toBe(1);
    await models.close();
    expect(demo.printed()).toContain('2 documents, 2 passages, answered by ollama:llama3.2');
    expect(demo.printed()).toMatch(/ollama:llama3\.2 failed, extractive answers instead: .*401/);
    expect(demo.printed().match(/^Failed: .*/gm)).toEqual([
      expect.stringMatching(/^Failed: ollama:llama3\.2 did not answer: extractive stood in for it/),
    ]);
  });

  it('ends with Ctrl-C in the middle of its tour, and does not call that a tour that went well', async () => {
    const models = await startModelServer({ stallAfterChunks: 1 });
    const demo = startDemo(['--exit', '--docs', docs], { PORT: '0', OLLAMA_URL: models.ollamaUrl });
    await expect.poll(() => models.requests.length, { timeout: 30_000 }).toBeGreaterThan(0);
    demo.child.kill('SIGINT');
    expect(await demo.ended).toBe(130);
    expect(models.requests).toHaveLength(1);
    await models.close();
  }, 20_000);

  it('that cannot have the port that it was given says so and leaves with 1', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const demo = startDemo(['--docs', docs], { PORT: String(port) });
    expect(await demo.ended).toBe(1);
    await new Promise((resolve) => other.close(resolve));
    expect(demo.printed()).toBe(
      `Port ${port} of 127.0.0.1 cannot be had.\n` +
        '  Why:  Another program listens there.\n' +
        '  Mend: Choose another one with PORT or --port; 0 takes any free port.\n',
    );
  });

  it('refuses a flag that it does not know and names those that it does', async () => {
    const demo = startDemo(['--quick']);
    expect(await demo.ended).toBe(1);
    expect(demo.printed()).toContain("Unknown option '--quick'");
    expect(demo.printed()).toContain('It takes --docs DIR, --cache FILE, --port NUMBER, --host ADDRESS, --exit.');
    expect(demo.printed()).not.toContain('    at ');
  });
});

describe('a folder of documents that this user may not read', () => {
  /** Root may read everything: as root the demo runs without root's rights, and owns its files as before. */
  const dropRights = ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--'];
  const isRoot = process.getuid?.() === 0;
  const before = isRoot ? dropRights : [];
  const [command = process.execPath, ...words] = [...before, process.execPath, '--eval', ''];
  const possible = process.getuid !== undefined && spawnSync(command, words).status === 0;

  it('is a clear error, and what is unreadable inside another one is left out and named', async (context) => {
    if (!possible) context.skip('nothing here takes rights away from root');
    const folder = join(docs, 'secret');
    mkdirSync(folder);
    writeFileSync(join(folder, 'note.md'), '# Note\n');
    chmodSync(folder, 0o000);
    try {
      const refused = startDemo(['--exit', '--port', '0', '--docs', folder], {}, before);
      expect(await refused.ended).toBe(1);
      expect(refused.printed()).toMatch(
        /^The documents in .*secret cannot be read\.\n {2}Why: {2}EACCES: permission denied.*\n {2}Mend: Make the folder readable for this user, or name another one with --docs DIR or DOCS_DIR\.\n$/,
      );
      const around = startDemo(['--exit', '--port', '0', '--docs', docs], {}, before);
      expect(await around.ended).toBe(0);
      expect(around.printed()).toMatch(/^Left out \S+secret: EACCES: permission denied/);
    } finally {
      chmodSync(folder, 0o755);
      rmSync(folder, { recursive: true });
    }
  });
});
