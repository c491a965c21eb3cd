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
