import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RuntimeSnapshot } from '@warmpath/core';
import { type ModelServer, startModelServer } from '@warmpath/core/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from './config.js';
import type { Environment } from './environment.js';
import { readEvents, type StreamEvent } from './sse.js';
import { type RunningApp, startApp } from './start.js';
import { planOf, runTour } from './tour.js';

// A simulated model server over real HTTP: it speaks Ollama's and OpenAI's protocols, and says what the test tells it.

const question = 'What is the default temperature of an oven?';
const reply = 'It is **180 degrees**, the passage says [1].';
let docs = '';
let server: ModelServer | undefined;
let app: RunningApp | undefined;
let logged: string[] = [];

beforeAll(() => {
  docs = mkdtempSync(join(tmpdir(), 'warmpath-models-'));
  writeFileSync(join(docs, 'ovens.md'), '# Ovens\n\nThe default temperature of an oven is 180 degrees.\n');
  writeFileSync(join(docs, 'kettles.md'), '# Kettles\n\nKettles boil water.\n');
});
afterAll(() => rmSync(docs, { recursive: true }));
afterEach(async () => {
  await server?.close(); // first, so that nothing waits for an answer that hangs
  await app?.close();
  app = undefined;
  server = undefined;
});

async function start(env: Environment = {}): Promise<string> {
  logged = [];
  app = await startApp(readConfig(['--docs', docs, '--port', '0'], env, 'main'), (line) => void logged.push(line));
  return app.url;
}

async function startServer(): Promise<ModelServer> {
  server = await startModelServer({ reply });
  return server;
}

const protocols = [
  {
    name: 'Ollama',
    model: 'ollama:tiny',
    path: '/api/chat',
    env: ({ ollamaUrl }: ModelServer): Environment => ({ OLLAMA_URL: ollamaUrl, OLLAMA_MODEL: 'tiny' }),
  },
  {
    name: 'OpenAI',
    model: 'openai:small',
    path: '/v1/chat/completions',
    env: ({ openaiUrl }: ModelServer): Environment => ({
      OPENAI_BASE_URL: openaiUrl,
      OPENAI_API_KEY: 'sk-of-the-test',
      OPENAI_MODEL: 'small',
    }),
  },
];

async function infoOf(url: string): Promise<{ readonly model: string; readonly notice: string | null }> {
  return (await (await fetch(`${url}/api/info`)).json()) as { model: string; notice: string | null };
}

interface Told {
  readonly meta: { readonly layer: string; readonly model: string };
  readonly text: string;
  readonly done: { readonly layer: string; readonly model: string; readonly citations: readonly object[] };
}

async function ask(url: string, asked = question): Promise<Told> {
  const response = await fetch(`${url}/api/chat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
    body: JSON.stringify({ question: asked }),
  });
  expect(response.status).toBe(200);
  const events: StreamEvent[] = [];
  for await (const event of readEvents(response.body ?? new Blob([]).stream())) events.push(event);
  const named = (name: string): unknown[] => events.flatMap(({ event, data }) => (event === name ? [data] : []));
  return {
    meta: named('meta')[0] as Told['meta'],
    text: (named('text') as { text: string }[]).map(({ text }) => text).join(''),
    done: named('done')[0] as Told['done'],
  };
}

it('without a model server the extractive model answers, and the application says so', async () => {
  const url = await start();
  const { model, notice } = await infoOf(url);
  expect(model).toBe('extractive');
  expect(notice).toMatch(/^No language model is configured: the extractive one answers/);
  expect((await ask(url)).meta).toMatchObject({ layer: 'model', model: 'extractive' });
});

describe.each(protocols)('with a model server that speaks as $name', ({ model, path, env }) => {
  it('its model answers from the passages, is named as the one who did, and is asked once', async () => {
    const models = await startServer();
    const url = await start(env(models));
    expect(await infoOf(url)).toMatchObject({ model, notice: null });
    const answer = await ask(url);
    expect(answer.meta).toMatchObject({ layer: 'model', model });
    expect(answer.text).toBe(reply);
    expect(answer.done.citations).toMatchObject([{ marker: 1, title: 'Ovens', heading: '' }]);
    expect((await ask(url)).done).toMatchObject({ layer: 'memory', model, citations: answer.done.citations });
    expect(models.requests.map((request) => request.path)).toEqual([path]);
    expect(JSON.stringify(models.requests[0]?.body)).toContain('The default temperature of an oven is 180 degrees.');
  });

  it('the tour counts its answers as taken from the documents', async () => {
    const url = await start(env(await startServer()));
    const { rows, failures } = await runTour(url, planOf(['Tell me about Ovens.', 'Tell me about Kettles.']));
    expect(failures).toEqual([]);
    expect(rows.filter(({ layer }) => layer === 'model').map((row) => row.model)).toEqual([model, model]);
  });

  it.each([
    ['answers 500', 500, {}],
    ['answers 429 and asks for an hour', 429, { 'retry-after': '3600' }],
    ['answers 401', 401, {}],
  ])('that %s: the extractive model stands in, says so, and its answer is not kept', async (_name, status, headers) => {
    const models = await startServer();
    const url = await start(env(models));
    models.fail({ status, headers, times: status === 500 ? 2 : 1 });
    const away = await ask(url);
    expect(away.meta).toMatchObject({ layer: 'model', model: 'extractive' });
    expect(away.done.model).toBe('extractive');
    expect(away.text).toContain('180 degrees');
    expect(logged).toHaveLength(1);
    expect(logged[0]).toMatch(new RegExp(`^${model} failed, extractive answers instead: .*${status}`));
    expect(logged[0]).not.toContain('sk-of-the-test');
    const back = await ask(url);
    expect(back.meta).toMatchObject({ layer: 'model', model });
    expect(back.text).toBe(reply);
  });

  it('that says nothing: the extractive model stands in when the time for the first word is over', async () => {
    const models = await startServer();
    models.set({ stallAfterChunks: 0 });
    const url = await start({ ...env(models), MODEL_TIMEOUT: '100ms' });
    expect((await ask(url)).meta).toMatchObject({ layer: 'model', model: 'extractive' });
    expect(logged).toEqual([expect.stringMatching(`^${model} failed, extractive answers instead: `)]);
    await expect.poll(() => models.aborted).toBe(2); // nobody waits for it any more
  });

  it('that is not there: the extractive model stands in', async () => {
    const models = await startServer();
    const settings = env(models);
    await models.close();
    const url = await start(settings);
    expect((await ask(url)).meta).toMatchObject({ layer: 'model', model: 'extractive' });
    expect(await infoOf(url)).toMatchObject({ model }); // which is still the one that is meant to answer
  });
});

it('a model server that fails again and again is left alone, which the log and the snapshot say', async () => {
  const models = await startServer();
  const url = await start({ OLLAMA_URL: models.ollamaUrl, OLLAMA_MODEL: 'tiny' });
  models.fail({ status: 500, times: 9 });
  for (let count = 0; count < 6; count++) {
    expect((await ask(url, `${question} ${count}`)).meta.model).toBe('extractive');
  }
  expect(models.requests).toHaveLength(5); // attempts, until the fifth failure in a row
  const alone = /^ollama:tiny is left alone for \d+ s: 5 of 5 calls have failed\.$/;
  expect(logged.filter((line) => alone.test(line))).toHaveLength(1);
  expect(logged.at(-1)).toMatch(
    /^ollama:tiny failed, extractive answers instead: 'ollama:tiny' is left alone: 5 calls/,
  );
  const shown = (await (await fetch(`${url}/performance`)).json()) as RuntimeSnapshot;
  expect(shown).toMatchObject({
    attempts: { 'ollama:tiny': { sent: 5, failures: 5 }, extractive: { sent: 6, fallbacks: 6, failures: 0 } },
    breakers: { 'ollama:tiny': { state: 'open', opened: 1 } },
    services: { models: { sent: 5, errors: { status5xx: 5 } } },
    budget: { firsts: expect.any(Number), balance: expect.any(Number) },
  });
});

describe('with a quota for its model server', () => {
  it('asks no more than that, and the extractive model answers the rest, which the log and the snapshot say', async () => {
    const models = await startServer();
    const url = await start({
      OLLAMA_URL: models.ollamaUrl,
      OLLAMA_MODEL: 'tiny',
      MODEL_RPM: '2',
      MODEL_TPM: '100000',
    });
    const told = [];
    for (let count = 0; count < 4; count++) told.push((await ask(url, `${question} ${count}`)).meta.model);
    expect(told).toEqual(['ollama:tiny', 'ollama:tiny', 'extractive', 'extractive']);
    expect(models.requests).toHaveLength(2);
    expect((await ask(url, `${question} 0`)).meta.layer).toBe('memory'); // what is kept costs no quota
    expect(logged).toHaveLength(2);
    expect(logged[0]).toMatch(/^ollama:tiny failed, extractive answers instead: .*no room.*requests\/1m: 2/);
    const { limiters } = (await (await fetch(`${url}/performance`)).json()) as { limiters: Record<string, unknown> };
    expect(limiters['ollama:tiny']).toMatchObject({
      ...{ allowed: 2, refused: 2, waiting: 0, reserved: 0, rate: 1 },
      dimensions: [
        { dimension: 'requests/1m', limit: 2, used: 2, remaining: 0 },
        { dimension: 'tokens/1m', limit: 100_000, used: expect.any(Number) },
      ],
    });
  });

  it('keeps to what it may be asked in a day', async () => {
    const models = await startServer();
    const url = await start({ OLLAMA_URL: models.ollamaUrl, MODEL_RPD: '1', MODEL_QUOTA_ZONE: 'America/Los_Angeles' });
    expect((await ask(url, `${question} 0`)).meta.model).toBe('ollama:llama3.2');
    expect((await ask(url, `${question} 1`)).meta.model).toBe('extractive');
    expect(logged).toEqual([expect.stringContaining('requests/day: 1')]);
  });
});

it('with both, the one that speaks as OpenAI is asked first and the other stands in for it', async () => {
  const models = await startServer();
  const url = await start(Object.assign({}, ...protocols.map(({ env }) => env(models))));
  models.fail({ status: 401 });
  expect((await ask(url)).meta.model).toBe('ollama:tiny');
  expect((await ask(url)).meta.model).toBe('openai:small');
});
