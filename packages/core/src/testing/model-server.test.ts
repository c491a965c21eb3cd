import { afterEach, expect, it } from 'vitest';
import { type ModelServer, type ModelServerOptions, startModelServer } from './model-server.js';

const servers: ModelServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function start(options?: ModelServerOptions): Promise<ModelServer> {
  const server = await startModelServer(options);
  servers.push(server);
  return server;
}

const post = (url: string, body: unknown): Promise<Response> =>
  fetch(url, { method: 'POST', body: JSON.stringify(body) });

it('lists its models in both protocols', async () => {
  const server = await start({ models: ['a', 'b'] });
  expect(await (await fetch(`${server.openaiUrl}/models`)).json()).toMatchObject({ data: [{ id: 'a' }, { id: 'b' }] });
  expect(await (await fetch(`${server.ollamaUrl}/api/tags`)).json()).toMatchObject({
    models: [{ name: 'a' }, { name: 'b' }],
  });
  expect((await fetch(`${server.url}/elsewhere`)).status).toBe(404);
});

it('streams by default as Ollama and on demand as OpenAI', async () => {
  const server = await start({ reply: (body) => `You sent ${Object.keys(body as object).length}.` });
  const lines = (await (await post(`${server.ollamaUrl}/api/chat`, { model: 'a' })).text()).trim().split('\n');
  expect(lines.map((line) => JSON.parse(line).done)).toEqual([false, false, false, true]);
  const events = await (await post(`${server.openaiUrl}/chat/completions`, { model: 'a', stream: true })).text();
  expect(events).toMatch(/^data: \{.*\n\ndata: \[DONE\]\n\n$/s);
  expect(events).not.toContain('usage');
  const whole = await (await post(`${server.openaiUrl}/chat/completions`, { model: 'a' })).json();
  expect(whole).toMatchObject({ choices: [{ message: { content: 'You sent 1.' }, finish_reason: 'stop' }] });
});

it('fails as often as told, then works again', async () => {
  const server = await start();
  server.fail({ status: 503, times: 2, headers: { 'retry-after': '1' } });
  const statuses: number[] = [];
  for (let call = 0; call < 3; call++)
    statuses.push((await post(`${server.ollamaUrl}/api/chat`, { stream: false })).status);
  expect(statuses).toEqual([503, 503, 200]);
  expect(server.requests.map(({ path }) => path)).toEqual(['/api/chat', '/api/chat', '/api/chat']);
});

it('cuts a stream without counting that as the client leaving', async () => {
  const server = await start({ cutAfterChunks: 1 });
  const response = await post(`${server.ollamaUrl}/api/chat`, {});
  await expect(response.text()).rejects.toBeInstanceOf(TypeError);
  expect(server.aborted).toBe(0);
});

it('gives vectors that follow from the texts alone, in both protocols', async () => {
  const server = await start();
  const ask = async (path: string, input: readonly string[], more: object = {}) => {
    const answer = await post(`${server.url}${path}`, { model: 'm', input, ...more });
    return (await answer.json()) as { embeddings: number[][]; data: { embedding: string }[] };
  };
  const { embeddings } = await ask('/api/embed', ['a', 'b', 'a']);
  expect(embeddings[2]).toEqual(embeddings[0]);
  expect(embeddings[1]).not.toEqual(embeddings[0]);
  expect(await ask('/v1/embeddings', ['b'])).toMatchObject({ data: [{ index: 0, embedding: embeddings[1] }] });
  const { data } = await ask('/v1/embeddings', ['b'], { encoding_format: 'base64' });
  const bytes = Buffer.from(data[0]?.embedding ?? '', 'base64');
  expect(Array.from({ length: 8 }, (_, index) => bytes.readFloatLE(4 * index))).toEqual(embeddings[1]);
});

it.each([
  [{ maxInputs: 2 }, 400, /array too long.* maximum length 2,.* length 3/],
  [{ maxTokens: 5 }, 400, /Requested 6 tokens, max 5 tokens per request/],
  [{ maxTextTokens: 3 }, 400, /maximum context length is 3 tokens.* requested 4/],
  [{ refuses: (text: string) => text === 'b' }, 400, /'\$\.input' is invalid/],
  [{ words: 'tei', maxInputs: 2 }, 413, /batch size 3 > maximum allowed batch size 2/],
  [{ words: 'tei', maxTokens: 5 }, 413, /^Failed to buffer the request body: length limit exceeded$/],
  [{ words: 'tei', maxTextTokens: 3 }, 413, /must have less than 3 tokens. Given: 4/],
] as const)('refuses texts beyond %j with %i, in the words of its kind', async (embeddings, status, words) => {
  const server = await start({ embeddings });
  const input = ['a', 'b', 'fifteen letters'];
  const response = await post(`${server.openaiUrl}/embeddings`, { model: 'm', input });
  expect([response.status, await response.text()]).toEqual([status, expect.stringMatching(words)]);
  expect((await post(`${server.ollamaUrl}/api/embed`, { model: 'm', input })).status).toBe(400);
  expect((await post(`${server.openaiUrl}/embeddings`, { model: 'm', input: 'a' })).status).toBe(200);
});
