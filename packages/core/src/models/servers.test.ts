import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { createHttpPool, type HttpPool } from '../http/index.js';
import { type ModelServer, type ModelServerOptions, startModelServer } from '../testing/index.js';
import { type ChatChunk, type ChatModel, type ChatRequest, collectAnswer, type FetchLike } from './chat-model.js';
import { ollama } from './ollama.js';
import { openai } from './openai.js';

const request: ChatRequest = { messages: [{ role: 'user', content: 'Hello?' }] };
const apiKey = 'sk-very-secret';

const adapters = {
  ollama: (server: ModelServer, fetch: FetchLike) => ollama({ model: 'm', baseUrl: server.ollamaUrl, fetch }),
  openai: (server: ModelServer, fetch: FetchLike) => openai({ model: 'm', baseUrl: server.openaiUrl, fetch, apiKey }),
} as const;
const names = Object.keys(adapters) as (keyof typeof adapters)[];

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(
  name: keyof typeof adapters,
  options: ModelServerOptions = {},
): Promise<{ model: ChatModel; server: ModelServer; pool: HttpPool }> {
  const server = await startModelServer(options);
  const pool = createHttpPool();
  cleanups.push(
    () => server.close(),
    () => pool.close(),
  );
  return { model: adapters[name](server, pool.fetch), server, pool };
}

/** Waits, turn by turn of the event loop, for what another process of this one does. */
async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 100_000 && !holds(); turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(holds()).toBe(true);
}

async function allOf(chunks: AsyncIterable<ChatChunk>): Promise<ChatChunk[]> {
  const all: ChatChunk[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}

/** undici frees a socket a moment after the reader has seen the end of the body. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.unreachable('it should have failed'),
    (error: unknown) => error,
  );

describe.each(names)('%s over a real server', (name) => {
  it('streams an answer with its usage, and gives the same one whole', async () => {
    const { model, server } = await start(name, { reply: 'Warm paths are short.' });
    const chunks = await allOf(model.stream(request));
    expect(chunks).toEqual([
      { type: 'text', text: 'Warm' },
      { type: 'text', text: ' paths' },
      { type: 'text', text: ' are' },
      { type: 'text', text: ' short.' },
      { type: 'finish', reason: 'stop', usage: { inputTokens: 7, outputTokens: 4 } },
    ]);
    expect(await model.generate(request)).toEqual(await collectAnswer(model.stream(request)));
    expect(server.aborted).toBe(0);
    expect(model.name).toBe(`${name}:m`);
  });

  it('sends nothing before the first chunk is asked for', async () => {
    const { model, server } = await start(name);
    model.stream(request)[Symbol.asyncIterator]();
    await model.generate(request);
    expect(server.requests).toHaveLength(1);
  });

  it('asks over a socket already open, also after a streamed answer', async () => {
    const { model, pool, server } = await start(name);
    for (let call = 0; call < 5; call++) {
      await collectAnswer(model.stream(request));
      await turn();
      await model.generate(request);
      await turn();
    }
    expect(pool.stats()).toMatchObject({ sent: 10, dialled: 1, reuseRate: 0.9 });
    expect(server.aborted).toBe(0);
  });

  it('cites the passages that the answer names', async () => {
    const { model, server } = await start(name, { reply: 'It is warm [2]. And `list[1]` is code [2, 1] [9].' });
    const passages = [
      { id: 'a', title: 'A', text: 'alpha' },
      { id: 'b', title: 'B', heading: 'Heat', text: 'beta' },
    ];
    const answer = await collectAnswer(model.stream({ ...request, passages }));
    expect(answer.citations).toEqual([
      { passage: 'b', marker: 2 },
      { passage: 'a', marker: 1 },
    ]);
    expect((await model.generate({ ...request, passages })).citations).toEqual(answer.citations);
    const sent = server.requests[0]?.body as { messages: { role: string; content: string }[] } | undefined;
    expect(sent?.messages[0]?.role).toBe('system');
    expect(sent?.messages[0]?.content).toContain('[2] B: Heat\nbeta');
    expect(sent?.messages[1]).toEqual({ role: 'user', content: 'Hello?' });
  });

  it('says why it was refused, how long to wait, and that trying again can help', async () => {
    const { model, server } = await start(name);
    server.fail({ status: 429, headers: { 'retry-after': '2' } });
    expect(await failureOf(collectAnswer(model.stream(request)))).toMatchObject({
      code: 'WP_MODEL_REQUEST',
      message: `${name}:m answered with 429: made to fail.`,
      details: { model: `${name}:m`, status: 429, retryable: true, retryAfterMs: 2_000 },
    });
    server.fail({ status: 503, headers: { 'retry-after-ms': '150', 'retry-after': '9' } });
    expect(await failureOf(model.generate(request))).toMatchObject({ details: { status: 503, retryAfterMs: 150 } });
    server.fail({
      status: 503,
      headers: { date: 'Sun, 06 Nov 1994 08:49:30 GMT', 'retry-after': 'Sun, 06 Nov 1994 08:49:37 GMT' },
    });
    expect(await failureOf(model.generate(request))).toMatchObject({ details: { retryAfterMs: 7_000 } });
    await model.generate(request);
  });

  it.each([
    [400, false],
    [401, false],
    [404, false],
    [408, true],
    [409, true],
    [500, true],
    [529, true],
  ])('knows of status %i whether another try can help: %s', async (status, retryable) => {
    const { model, server } = await start(name);
    server.fail({ status });
    expect(await failureOf(model.generate(request))).toMatchObject({ details: { status, retryable } });
  });

  it('knows a quota that is spent for the day, which no other try can help, from one of the minute', async () => {
    const { model, server } = await start(name);
    const body = (period: string) => JSON.stringify({ error: { message: `Limit reached on tokens per ${period}.` } });
    server.fail({ status: 429, body: body('day (TPD)') });
    expect(await failureOf(model.generate(request))).toMatchObject({ details: { status: 429, retryable: false } });
    server.fail({ status: 429, body: body('minute (TPM)') });
    expect(await failureOf(model.generate(request))).toMatchObject({ details: { status: 429, retryable: true } });
    server.fail({ status: 429, body: JSON.stringify({ error: { code: 'insufficient_quota' } }) });
    expect(await failureOf(model.generate(request))).toMatchObject({ details: { status: 429, retryable: false } });
  });

  it('never repeats its key, and shortens what the server says', async () => {
    const { model, server } = await start(name);
    server.fail({ status: 401, body: JSON.stringify({ error: { message: `bad key ${apiKey} ${'x'.repeat(900)}` } }) });
    const error = (await failureOf(model.generate(request))) as Error;
    if (name === 'openai') expect(JSON.stringify([error.message, error.stack, error])).not.toContain(apiKey);
    expect(error.message.length).toBeLessThan(400);
  });

  it('calls a server that cannot be reached just that, with the cause', async () => {
    const { model, server } = await start(name);
    await server.close();
    for (const attempt of [() => model.generate(request), () => collectAnswer(model.stream(request))]) {
      const error = await failureOf(attempt());
      expect(error).toMatchObject({ code: 'WP_MODEL_REQUEST', details: { retryable: true } });
      expect((error as Error).cause).toBeInstanceOf(TypeError);
    }
  });

  it.each([
    ['is cut off', { cutAfterChunks: 2 }],
    ['ends without saying so', { stopAfterChunks: 2 }],
    ['is cut off before its first chunk', { cutAfterChunks: 0 }],
  ])('does not take a stream for complete that %s', async (_, options) => {
    const { model } = await start(name, options);
    const chunks: ChatChunk[] = [];
    const read = async (): Promise<void> => {
      for await (const chunk of model.stream(request)) chunks.push(chunk);
    };
    expect(await failureOf(read())).toMatchObject({ code: 'WP_STREAM_INCOMPLETE' });
    expect(chunks.every(({ type }) => type === 'text')).toBe(true);
  });

  it('names a line that is not of the protocol, shortened', async () => {
    const { model } = await start(name, { malformedLine: `{"oops ${'x'.repeat(500)}` });
    const error = await failureOf(collectAnswer(model.stream(request)));
    expect(error).toMatchObject({ code: 'WP_MODEL_RESPONSE' });
    expect((error as Error).message).toMatch(/sent something that is not JSON: \{"oops x+\.\.\.\.$/);
    expect((error as Error).message.length).toBeLessThan(200);
  });

  it('throws an error that is reported inside the stream', async () => {
    const { model } = await start(name, { inBandError: 'out of memory' });
    expect(await failureOf(collectAnswer(model.stream(request)))).toMatchObject({
      code: 'WP_MODEL_REQUEST',
      message: `${name}:m reported an error in its answer: out of memory.`,
      details: { retryable: true },
    });
  });

  it.each(['<html>gateway</html>', '[]', '"text"', '{}', ''])('refuses the junk %j as an answer', async (body) => {
    const { model, server } = await start(name);
    server.fail({ status: 200, body, times: 2 });
    expect(await failureOf(model.generate(request))).toMatchObject({ code: 'WP_MODEL_RESPONSE' });
    expect(await failureOf(collectAnswer(model.stream(request)))).toMatchObject({ code: 'WP_MODEL_RESPONSE' });
  });

  it('gives up with the reason of the signal and lets the server know', async () => {
    const { model, server } = await start(name, { stallAfterChunks: 1 });
    const controller = new AbortController();
    const gone = new Error('gone');
    const read = async (): Promise<void> => {
      for await (const _ of model.stream(request, { signal: controller.signal })) controller.abort(gone);
    };
    expect(await failureOf(read())).toBe(gone);
    await until(() => server.aborted === 1);
    expect(await failureOf(model.generate(request, { signal: AbortSignal.abort(gone) }))).toBe(gone);
    expect(await failureOf(collectAnswer(model.stream(request, { signal: AbortSignal.abort(gone) })))).toBe(gone);
    expect(server.requests).toHaveLength(1);
  });

  it('ends the request when the reader leaves after a chunk', async () => {
    const { model, server } = await start(name, { stallAfterChunks: 1 });
    for await (const _ of model.stream(request)) break;
    await until(() => server.aborted === 1);
  });

  it('ends the request when the reader leaves while a chunk is awaited', async () => {
    const { model, server } = await start(name, { stallAfterChunks: 1 });
    const iterator = model.stream(request)[Symbol.asyncIterator]();
    await iterator.next();
    const pending = iterator.next();
    expect(await iterator.return?.()).toEqual({ done: true, value: undefined });
    expect(await pending).toEqual({ done: true, value: undefined });
    await until(() => server.aborted === 1);
  });

  it('sends the sampling of the request under the names of the protocol', async () => {
    const { model, server } = await start(name);
    await model.generate({ ...request, temperature: 0, maxOutputTokens: 9, seed: 5, stop: ['END'] });
    const sampling = { temperature: 0, seed: 5, stop: ['END'] };
    expect(server.requests[0]?.body).toMatchObject(
      name === 'ollama'
        ? { model: 'm', stream: false, options: { ...sampling, num_predict: 9 } }
        : { model: 'm', ...sampling, max_tokens: 9 },
    );
    expect(server.requests[0]?.headers.authorization).toBe(name === 'openai' ? `Bearer ${apiKey}` : undefined);
  });

  it('maps the reason of the end', async () => {
    const { model, server } = await start(name, { finishReason: 'length' });
    expect((await model.generate(request)).reason).toBe('length');
    expect((await collectAnswer(model.stream(request))).reason).toBe('length');
    server.set({ finishReason: 'weather' });
    expect((await collectAnswer(model.stream(request))).reason).toBe('other');
    server.set({ finishReason: 'content_filter' });
    expect((await model.generate(request)).reason).toBe(name === 'openai' ? 'content-filter' : 'other');
  });

  it('refuses images without a user message to belong to', async () => {
    const { model } = await start(name);
    const alone: ChatRequest = { messages: [{ role: 'system', content: 'x' }], images: [png] };
    expect(await failureOf(model.generate(alone))).toMatchObject({ code: 'WP_BAD_OPTION' });
    expect(await failureOf(collectAnswer(model.stream(alone)))).toMatchObject({ code: 'WP_BAD_OPTION' });
  });
});

const png = Uint8Array.from(Buffer.from('\x89PNG\r\n\x1a\n....', 'latin1'));
const jpeg = Uint8Array.from([0xff, 0xd8, 0xff, 0xe0]);
const webp = Uint8Array.from(Buffer.from('RIFF....WEBPVP8 ', 'latin1'));

describe('images', () => {
  const messages = [
    { role: 'user', content: 'first' },
    { role: 'user', content: 'what is this?' },
  ] as const;

  it('go to Ollama in base64 with the last user message', async () => {
    const { model, server } = await start('ollama');
    await model.generate({ messages, images: [png] });
    expect(server.requests[0]?.body).toMatchObject({
      messages: [messages[0], { ...messages[1], images: [Buffer.from(png).toString('base64')] }],
    });
  });

  it('go to OpenAI as data URLs of the type that their bytes say', async () => {
    const { model, server } = await start('openai');
    await model.generate({ messages, images: [png, jpeg, webp] });
    const sent = server.requests[0]?.body as { messages: { content: { image_url?: { url: string } }[] }[] } | undefined;
    const urls = sent?.messages[1]?.content.slice(1).map((part) => part.image_url?.url.split(';')[0]);
    expect(urls).toEqual(['data:image/png', 'data:image/jpeg', 'data:image/webp']);
    expect(await failureOf(model.generate({ messages, images: [new Uint8Array(20)] }))).toMatchObject({
      code: 'WP_BAD_OPTION',
    });
  });
});

describe('streams in any packets', () => {
  const bytes = {
    ollama: Buffer.from(
      '{"message":{"content":"Grüße 🌍"},"done":false}\n{"message":{"content":" [1]"}}\r\n\n{"done":true,"done_reason":"stop","eval_count":2}',
    ),
    openai: Buffer.from(
      ': keep-alive\n\ndata: {"choices":[{"delta":{"content":"Grüße 🌍"}}]}\n\ndata: {"choices":[{"delta":{"content":" [1]"}}]}\r\n\r\n' +
        'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: {"choices":[],"usage":{"completion_tokens":2}}\n\ndata: [DONE]\n\n',
    ),
  };
  const expected: ChatChunk[] = [
    { type: 'text', text: 'Grüße 🌍' },
    { type: 'text', text: ' [1]' },
    { type: 'citation', citation: { passage: 'p', marker: 1 } },
    { type: 'finish', reason: 'stop', usage: { outputTokens: 2 } },
  ];
  const passages = [{ id: 'p', title: 'P', text: 'p' }];
  const modelOf = (name: keyof typeof adapters, packets: readonly Uint8Array[]): ChatModel => {
    const fetch: FetchLike = async () => new Response(ReadableStream.from(packets) as ReadableStream<Uint8Array>);
    return name === 'ollama' ? ollama({ model: 'm', fetch }) : openai({ model: 'm', fetch });
  };

  it.each(names)('%s reads the same chunks wherever the bytes are split in two', async (name) => {
    const all = bytes[name];
    for (let at = 1; at < all.length; at++) {
      const packets = [all.subarray(0, at), all.subarray(at)];
      expect(await allOf(modelOf(name, packets).stream({ ...request, passages }))).toEqual(expected);
    }
  });

  it.each(names)('%s reads the same chunks from packets of any sizes', async (name) => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 80 }), async (sizes) => {
        const packets: Uint8Array[] = [];
        let at = 0;
        for (const size of [...sizes, bytes[name].length]) {
          packets.push(bytes[name].subarray(at, at + size));
          at += size;
        }
        expect(await allOf(modelOf(name, packets).stream({ ...request, passages }))).toEqual(expected);
      }),
      { numRuns: 100 },
    );
  });

  it.each(names)('%s leaves the request of a complete answer alone, so that its socket can be reused', async (name) => {
    let signal: AbortSignal | null | undefined;
    let end = (): void => {};
    const fetch: FetchLike = async (_, init) => {
      signal = init?.signal;
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(Uint8Array.from(bytes[name]));
          if (name === 'ollama') controller.enqueue(Buffer.from('\n'));
          end = () => controller.close();
        },
      });
      return new Response(body);
    };
    const model = name === 'ollama' ? ollama({ model: 'm', fetch }) : openai({ model: 'm', fetch });
    for await (const chunk of model.stream({ ...request, passages })) if (chunk.type === 'finish') break;
    await turn();
    expect(signal?.aborted).toBe(false);
    end();
  });

  it('accepts a finish_reason without [DONE], and [DONE] without a finish_reason as some other end', async () => {
    const of = (text: string): ChatModel => modelOf('openai', [Buffer.from(text)]);
    const ended = 'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n';
    expect((await collectAnswer(of(ended).stream(request))).reason).toBe('stop');
    expect((await collectAnswer(of('data: [DONE]\n\n').stream(request))).reason).toBe('other');
  });
});

describe('options', () => {
  it('are refused with what is wrong, and never with a secret', () => {
    expect(() => ollama({} as never)).toThrowError(/ollama\(\): option 'model' must be/);
    expect(() => openai({ model: 'm', apiKey: 'se cret' })).toThrowError(
      /option 'apiKey' must be .* got a hidden value/,
    );
    expect(() => openai({ model: 'm', baseUrl: 'http://me:pass@host/v1' })).toThrowError(/'baseUrl'.*a hidden value/);
    expect(() => ollama({ model: 'm', baseURL: 'http://host' } as never)).toThrowError(/did you mean 'baseUrl'/);
  });

  it('keep the path and query of a base address', async () => {
    const urls: string[] = [];
    const fetch: FetchLike = async (url) => {
      urls.push(String(url));
      return Response.json({ choices: [{ message: { content: 'x' }, finish_reason: 'stop' }] });
    };
    await openai({ model: 'm', baseUrl: 'https://host/deep/v1/?api-version=7', fetch }).generate(request);
    await openai({ model: 'm', fetch }).generate({ ...request, maxOutputTokens: 1 });
    expect(urls).toEqual([
      'https://host/deep/v1/chat/completions?api-version=7',
      'https://api.openai.com/v1/chat/completions',
    ]);
  });
});
