import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { readConfig } from './config.js';
import { holdingsOf, type RunningApp, startApp } from './start.js';
import { installedPlan, planOf, printTour, runTour, type TourOutcome } from './tour.js';

let app: RunningApp | undefined;
let other: Server | undefined;
afterEach(async () => {
  await app?.close();
  other?.closeAllConnections();
  await new Promise((resolve) => (other ? other.close(resolve) : resolve(undefined)));
  app = undefined;
  other = undefined;
});

const eventOf = (event: string, data: unknown): string => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;

const start = async (args: string[]): Promise<RunningApp> => {
  app = await startApp(readConfig(args, {}, 'demo'), () => {});
  return app;
};

describe('the tour', () => {
  it('has every question answered from the documents and every repeated one from the cache', async () => {
    const { url } = await start(['--port', '0']);
    const { rows, failures } = await runTour(url, installedPlan);
    expect(failures).toEqual([]);
    expect(rows).toHaveLength(12);
    expect(rows.filter(({ repeated }) => repeated).map(({ layer }) => layer)).toEqual(['memory', 'memory', 'memory']);
    expect(rows.filter(({ how, layer }) => how === 'at once' && layer === 'model')).toHaveLength(1);
    for (const row of rows) expect(row.sources).toBeGreaterThan(0);
  });

  it('counts a citation without a quote when its passage is there, as model servers cite, and no other', async () => {
    let known = 'p1';
    other = createServer((req, res) => {
      const citations = [{ passage: 'p1', marker: 1 }];
      const answers = req.url === '/api/chat' ? { layer: 'memory', model: 'm', citations } : { id: 'p1', text: 'Yes.' };
      res.writeHead(req.url === '/api/chat' || req.url === `/api/passages/${known}` ? 200 : 404);
      res.end(req.headers.accept === 'text/event-stream' ? eventOf('done', answers) : JSON.stringify(answers));
    });
    await new Promise<void>((resolve) => other?.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
    const plan = { questions: ['A?'], together: 'B?' };
    expect((await runTour(url, plan)).failures).toEqual([]);
    known = 'p2';
    expect((await runTour(url, plan)).failures).toContain('"A?" was not answered from the documents.');
  });

  it('asks about other documents what their titles suggest', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'warmpath-tour-'));
    await writeFile(join(folder, 'ovens.md'), '# Ovens\n\nOvens bake bread with dry heat.\n');
    await writeFile(join(folder, 'kettles.txt'), 'Kettles boil water.\n');
    const { url, suggestions } = await start(['--port', '0', '--docs', folder]);
    await rm(folder, { recursive: true });
    expect(suggestions).toEqual(['Tell me about kettles.', 'Tell me about Ovens.']);
    expect((await runTour(url, planOf(suggestions))).failures).toEqual([]);
  });

  it('suggests only what is answered, and tries only the first of many titles', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'warmpath-tour-'));
    await writeFile(join(folder, 'a.md'), '# Zanzibar\n');
    for (let page = 0; page < 30; page++) await writeFile(join(folder, `b${page}.md`), `# Xylophone ${page}\n`);
    await writeFile(join(folder, 'c.md'), '# Ovens\n\nOvens bake bread with dry heat.\n');
    expect((await start(['--port', '0', '--docs', folder])).suggestions).toEqual([]);
    await app?.close();
    for (let page = 5; page < 30; page++) await rm(join(folder, `b${page}.md`));
    expect((await start(['--port', '0', '--docs', folder])).suggestions).toEqual(['Tell me about Ovens.']);
    await rm(folder, { recursive: true });
  });

  it('says once that the model that is meant to answer did not, instead of that nothing was kept', async () => {
    const { url } = await start(['--port', '0']);
    const plan = { questions: ['What does RetryAgent do?'], together: 'How do I abort a request?', model: 'big' };
    other = createServer((_req, res) => {
      const outcome = { layer: 'model', model: 'extractive', citations: [] };
      res.end(_req.headers.accept === 'text/event-stream' ? eventOf('done', outcome) : JSON.stringify(outcome));
    });
    await new Promise<void>((resolve) => other?.listen(0, '127.0.0.1', resolve));
    const { failures } = await runTour(`http://127.0.0.1:${(other.address() as AddressInfo).port}`, plan);
    expect(failures.filter((failure) => !failure.endsWith('was not answered from the documents.'))).toEqual([
      'big did not answer: extractive stood in for it, and such answers are not kept. The lines above the table say why.',
    ]);
    expect((await runTour(url, { ...plan, model: 'extractive' })).failures).toEqual([]);
  });

  it('says which question was not answered from the documents', async () => {
    const { url } = await start(['--port', '0']);
    const { failures } = await runTour(url, {
      questions: ['zanzibar xylophone'],
      together: 'What does RetryAgent do?',
    });
    expect(failures).toContain('"zanzibar xylophone" was not answered from the documents.');
  });

  it('says which question failed when the server is no good', async () => {
    other = createServer((_req, res) => res.writeHead(503).end('out of order'));
    await new Promise<void>((resolve) => other?.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const { rows, failures } = await runTour(`http://127.0.0.1:${port}`, { questions: ['A?'], together: 'B?' });
    expect(rows).toEqual([]);
    expect(failures).toContain('"A?" failed: status 503: out of order');
  });

  it('prints an aligned table, what the cache saved, and what failed', () => {
    const row = { repeated: false, model: 'extractive', firstChunkMs: 3.14, totalMs: 12, sources: 2 };
    const outcome: TourOutcome = {
      rows: [
        { ...row, question: 'A long question?', how: 'stream', layer: 'model' },
        { ...row, question: 'Short?', how: 'stream', layer: 'memory', repeated: true, totalMs: 1.5 },
        { ...row, question: 'Kept?', how: 'json', layer: 'store', repeated: true, totalMs: 2.5 },
      ],
      failures: ['It broke.'],
    };
    const lines: string[] = [];
    printTour(outcome, (line) => lines.push(line));
    expect(lines).toEqual([
      'Question           Answered by          First chunk    Total   Sources',
      '────────────────   ──────────────────   ───────────   ──────   ───────',
      'A long question?   model (extractive)        3.1 ms    12 ms         2',
      'Short?             cache (memory)            3.1 ms   1.5 ms         2',
      'Kept? (JSON)       cache (store)                  -   2.5 ms         2',
      '',
      'The cache spared 2 of 3 model calls; a new answer took 12 ms, a kept one 1.5 ms (medians, through HTTP).',
      'Failed: It broke.',
    ]);
  });
});

describe('startApp', () => {
  it('says so in one error when the port is taken and was asked for', async () => {
    const { url } = await start(['--port', '0']);
    const port = new URL(url).port;
    await expect(startApp(readConfig(['--port', port], {}, 'main'), () => {})).rejects.toThrow(
      `Port ${port} of 127.0.0.1 cannot be had.\n  Why:  Another program listens there.`,
    );
  });

  it.each([
    ['an empty document', ['']],
    ['headings alone', ['# One\n', 'Two\n===\n\n## Three ##\n']],
    ['front matter alone', ['---\ntitle: One\n---\n']],
  ])('refuses %s as nothing to answer from', async (_name, texts) => {
    const folder = await mkdtemp(join(tmpdir(), 'warmpath-tour-'));
    for (const [at, text] of texts.entries()) await writeFile(join(folder, `${at}.md`), text);
    await expect(start(['--port', '0', '--docs', folder])).rejects.toThrow(
      /^There is nothing to answer from\.\n {2}Why: {2}.* no text, or headings alone\./,
    );
    await rm(folder, { recursive: true });
  });

  it('says in one line what was set and is not used, and that indexing takes its time', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'warmpath-tour-'));
    await writeFile(join(folder, 'a.md'), `# Bread\n\n${'Bread is baked. '.repeat(100_000)}`);
    await writeFile(join(folder, 'b.md'), `# Water\n\n${'Water is boiled. '.repeat(100_000)}`);
    const lines: string[] = [];
    const config = readConfig(['--port', '0', '--docs', folder], { OPENAI_API_KEY: 'k' }, 'demo');
    app = await startApp(config, (line) => lines.push(line));
    await rm(folder, { recursive: true });
    expect(lines).toEqual([expect.stringMatching(/^OPENAI_API_KEY is not used/), 'Indexing 2 documents ...']);
    expect(app.model).toBe('extractive');
  });

  it('says in words how much it answers from', () => {
    expect(holdingsOf({ documents: 1, passages: 1 })).toBe('1 document, 1 passage');
    expect(holdingsOf({ documents: 2, passages: 3 })).toBe('2 documents, 3 passages');
  });

  it('says so in one error when the machine has no such address', async () => {
    await expect(start(['--port', '0', '--host', '203.0.113.9'])).rejects.toThrow(
      'Nothing can listen on 203.0.113.9.\n  Why:  This machine has no such address.',
    );
  });

  it('takes a free port when the usual one is taken and none was asked for', async () => {
    const { url } = await start(['--port', '0']);
    const taken = Number(new URL(url).port);
    const second = await startApp({ ...readConfig([], {}, 'demo'), port: taken }, () => {});
    expect(Number(new URL(second.url).port)).not.toBe(taken);
    await second.close();
  });

  it('answers on its own machine to its own names alone', async () => {
    const { url } = await start(['--port', '0']);
    const statusFor = (host: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const sent = request(`${url}/api/info`, { headers: { host } }, (response) => {
          response.resume();
          resolve(response.statusCode);
        });
        sent.once('error', reject).end();
      });
    expect([await statusFor(new URL(url).host), await statusFor('evil.example')]).toEqual([200, 421]);
  });

  it('listens no more once it is closed', async () => {
    const running = await start(['--port', '0']);
    const response = await fetch(`${running.url}/api/info`);
    await running.close();
    expect(response.status).toBe(200);
    await expect(fetch(`${running.url}/api/info`)).rejects.toThrow();
    app = undefined;
  });
});
