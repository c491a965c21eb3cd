import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { type ModelServer, type ModelServerOptions, startModelServer } from '../testing/index.js';
import type { Embedder } from './embedder.js';
import { ollamaEmbedder } from './ollama-embedder.js';
import { openaiEmbedder } from './openai-embedder.js';

const apiKey = 'sk-very-secret';
const adapters = {
  ollama: ({ ollamaUrl }: ModelServer, dimensions?: number) =>
    ollamaEmbedder({ model: 'm', baseUrl: ollamaUrl, ...(dimensions && { dimensions }) }),
  openai: ({ openaiUrl }: ModelServer, dimensions?: number) =>
    openaiEmbedder({ model: 'm', baseUrl: openaiUrl, apiKey, ...(dimensions && { dimensions }) }),
} as const;
const names = Object.keys(adapters) as (keyof typeof adapters)[];

/** An answer with these vectors, as each protocol writes it. */
const answerWith = (name: keyof typeof adapters, vectors: readonly unknown[]): string =>
  JSON.stringify(
    name === 'ollama' ? { embeddings: vectors } : { data: vectors.map((embedding, index) => ({ index, embedding })) },
  );

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(options: ModelServerOptions = {}): Promise<ModelServer> {
  const server = await startModelServer(options);
  cleanups.push(() => server.close());
  return server;
}

const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.unreachable('it should have failed'),
    (error: unknown) => error,
  );

/** Numbers that a 32-bit float holds exactly. */
const vectorOf = (text: string): number[] => [text.length, text.charCodeAt(0) / 256, -0.5];

describe.each(names)('%s embeddings over a real server', (name) => {
  it('gives one vector for each text, in their order', async () => {
    const server = await start({ embeddings: { vectorOf } });
    const embedder = adapters[name](server);
    const texts = ['warm', 'paths', 'ä 𝕏', 'warm'];
    expect(await embedder.embed(texts)).toEqual(texts.map((text) => Float32Array.from(vectorOf(text))));
    expect(server.requests).toMatchObject([{ body: { model: 'm', input: texts } }]);
    expect([embedder.name, embedder.version, embedder.dimensions]).toEqual([`${name}:m`, undefined, undefined]);
  });

  it('asks nobody for no texts', async () => {
    const server = await start();
    expect(await adapters[name](server).embed([])).toEqual([]);
    expect(server.requests).toHaveLength(0);
  });

  it('refuses what are no texts, and does not print them', async () => {
    const server = await start();
    for (const none of ['secret', undefined, ['secret', 1], new Set(['secret'])]) {
      const error = await failureOf(adapters[name](server).embed(none as string[]));
      expect(error).toMatchObject({
        code: 'WP_BAD_OPTION',
        message: expect.stringMatching(/'texts' must be a list, each/),
      });
      expect(String(error)).not.toContain('secret');
    }
    expect(server.requests).toHaveLength(0);
  });

  it('asks for vectors of a length, and refuses others', async () => {
    const server = await start({ embeddings: { vectorOf } });
    const embedder = adapters[name](server, 3);
    expect((await embedder.embed(['a']))[0]).toHaveLength(3);
    expect(server.requests[0]?.body).toMatchObject({ dimensions: 3 });
    expect(embedder.dimensions).toBe(3);
    expect(await failureOf(adapters[name](server, 4).embed(['a']))).toMatchObject({
      code: 'WP_MODEL_RESPONSE',
      message: `${name}:m sent a vector of 3 numbers where 4 belong.`,
    });
  });

  it.each<[string, readonly unknown[], string]>([
    ['fewer vectors than texts', [[1]], '1 vectors for 2 texts'],
    ['more vectors than texts', [[1], [2], [3]], '3 vectors for 2 texts'],
    ['vectors of two lengths', [[1, 2], [3]], 'a vector of 1 numbers where 2 belong'],
    ['vectors of nothing', [[], []], 'a vector of 0 numbers where some belong'],
    ['a vector with a hole, as a server writes NaN', [[1], [null]], 'something else than numbers as vector 1: [null]'],
    ['texts in the place of numbers', [['1'], [2]], 'something else than numbers as vector 0'],
    ['numbers that are none as a float', [[1], [1e39]], 'something else than numbers as vector 1'],
    ['no vector', [[1], null], 'something else than numbers as vector 1: null'],
    ['half a float', [[1], 'AAA='], 'something else than numbers as vector 1'],
    ['something that is no base64', ['A!AAAAA=', [1]], 'something else than numbers as vector 0'],
  ])('refuses %s', async (_, vectors, said) => {
    const server = await start();
    server.fail({ status: 200, body: answerWith(name, vectors) });
    const error = await failureOf(adapters[name](server).embed(['a', 'b']));
    expect(error).toMatchObject({ code: 'WP_MODEL_RESPONSE', details: { model: `${name}:m`, retryable: true } });
    expect((error as Error).message).toContain(said);
  });

  it.each(['<html>gateway</html>', '[]', '{}', '{"data":{},"embeddings":{}}', ''])(
    'refuses the junk %j as an answer',
    async (body) => {
      const server = await start();
      server.fail({ status: 200, body });
      expect(await failureOf(adapters[name](server).embed(['a']))).toMatchObject({ code: 'WP_MODEL_RESPONSE' });
    },
  );

  it('throws an error that is reported in an answer', async () => {
    const server = await start();
    server.fail({ status: 200, body: JSON.stringify({ error: 'out of memory' }) });
    expect(await failureOf(adapters[name](server).embed(['a']))).toMatchObject({
      code: 'WP_MODEL_REQUEST',
      message: `${name}:m reported an error in its answer: out of memory.`,
    });
  });

  it('says why it was refused and how long to wait, never its key, and lets the caller hear of the headers', async () => {
    const server = await start();
    const embedder = adapters[name](server);
    server.fail({ status: 429, headers: { 'retry-after': '2' } });
    const heard: number[] = [];
    const onResponse = ({ status }: { status: number }): void => void heard.push(status);
    expect(await failureOf(embedder.embed(['a'], { onResponse }))).toMatchObject({
      code: 'WP_MODEL_REQUEST',
      details: { status: 429, retryable: true, retryAfterMs: 2_000 },
    });
    await embedder.embed(['a'], { onResponse });
    expect(heard).toEqual([429, 200]);
    server.fail({ status: 401, body: JSON.stringify({ error: { message: `bad key ${apiKey}` } }) });
    const error = (await failureOf(embedder.embed(['a']))) as Error;
    if (name === 'openai') expect(JSON.stringify([error.message, error.stack, error])).not.toContain(apiKey);
  });

  it('gives up with the reason of the signal and lets the server know', async () => {
    const server = await start({ ttfcMs: 60_000 });
    const controller = new AbortController();
    const asked = failureOf(adapters[name](server).embed(['a'], { signal: controller.signal }));
    while (server.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
    controller.abort(new Error('not needed'));
    expect(await asked).toEqual(new Error('not needed'));
    while (server.aborted === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(await failureOf(adapters[name](server).embed(['a'], { signal: controller.signal }))).toBe(
      controller.signal.reason,
    );
    expect(server.requests).toHaveLength(1);
  });

  it('calls a server that cannot be reached just that', async () => {
    const server = await start();
    await server.close();
    expect(await failureOf(adapters[name](server).embed(['a']))).toMatchObject({
      code: 'WP_MODEL_REQUEST',
      details: { retryable: true },
    });
  });

  it('reads an answer that is longer than any text that a model writes', async () => {
    const wide = Array.from({ length: 8_192 }, (_, index) => Math.sin(index + 1)); // about 20 characters each
    const server = await start({ embeddings: { vectorOf: () => wide } });
    const texts = Array.from({ length: 256 }, (_, index) => `text ${index}`);
    const vectors = await inJson(name, server).embed(texts);
    expect(vectors).toHaveLength(256);
    expect(vectors.at(-1)).toEqual(Float32Array.from(wide));
  });
});

/** Both write numbers as JSON. */
function inJson(name: keyof typeof adapters, server: ModelServer): Embedder {
  if (name === 'ollama') return adapters.ollama(server);
  return openaiEmbedder({ model: 'm', baseUrl: server.openaiUrl, encoding: 'float' });
}

describe('openaiEmbedder', () => {
  it('puts vectors in the order of their index, whatever order they come in', async () => {
    const server = await start();
    const data = [
      { index: 2, embedding: [2] },
      { index: 0, embedding: [0] },
      { index: 1, embedding: [1] },
    ];
    server.fail({ status: 200, body: JSON.stringify({ data }) });
    const embedder = adapters.openai(server);
    expect(await embedder.embed(['a', 'b', 'c'])).toEqual([0, 1, 2].map((each) => Float32Array.of(each)));
    server.fail({ status: 200, body: JSON.stringify({ data: [{ embedding: [0] }, { embedding: [1] }] }) });
    expect(await embedder.embed(['a', 'b'])).toEqual([Float32Array.of(0), Float32Array.of(1)]);
  });

  it.each([
    ['one twice', [0, 0]],
    ['one beyond the end', [0, 2]],
    ['one that is no number', [0, 'x']],
  ])('refuses an index that names %s', async (_, indices) => {
    const server = await start();
    const data = indices.map((index) => ({ index, embedding: [1] }));
    server.fail({ status: 200, body: JSON.stringify({ data }) });
    expect(await failureOf(adapters.openai(server).embed(['a', 'b']))).toMatchObject({
      code: 'WP_MODEL_RESPONSE',
      message: 'openai:m sent no vector for text 1 of 2.',
    });
  });

  it('asks for base64 unless told otherwise, sends its key, and reads what comes in either form', async () => {
    const server = await start({ embeddings: { vectorOf } });
    await adapters.openai(server).embed(['a']);
    const floats = openaiEmbedder({ model: 'm', baseUrl: server.openaiUrl, encoding: 'float', name: 'mine' });
    expect(await floats.embed(['ab'])).toEqual([Float32Array.from(vectorOf('ab'))]);
    expect(floats.name).toBe('mine');
    expect(server.requests.map(({ body }) => body)).toMatchObject([
      { encoding_format: 'base64' },
      { encoding_format: 'float' },
    ]);
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual([`Bearer ${apiKey}`, undefined]);
  });

  it('reads from base64 the very floats that were written', async () => {
    const server = await start();
    const embedder = adapters.openai(server);
    await fc.assert(
      fc.asyncProperty(
        fc.float32Array({ minLength: 1, maxLength: 40, noNaN: true, noDefaultInfinity: true }),
        async (vector) => {
          const text = Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64');
          server.fail({ status: 200, body: answerWith('openai', [text]) });
          expect(await embedder.embed(['a'])).toEqual([vector]);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('refuses bad options', () => {
    expect(() => openaiEmbedder({ model: '' })).toThrowError(/option 'model' must be a string that is not empty/);
    expect(() => openaiEmbedder({ model: 'm', dimensions: 0.5 })).toThrowError(/'dimensions' must be a whole number/);
    expect(() => openaiEmbedder({ model: 'm', encoding: 'int8' as 'float' })).toThrowError(/'base64', 'float'/);
    expect(() => openaiEmbedder({ model: 'm', apiKey: 'a b' })).toThrowError(/a hidden value/);
    expect(() => openaiEmbedder({ model: 'm', baseUrl: 'http://me:word@host' })).toThrowError(/a hidden value/);
  });
});

describe('ollamaEmbedder', () => {
  it('says whether long texts are to be cut only when told to', async () => {
    const server = await start({ embeddings: { maxTextTokens: 2 } });
    const embedder = ollamaEmbedder({ model: 'm', baseUrl: server.ollamaUrl, truncate: false });
    await embedder.embed(['a']);
    await adapters.ollama(server).embed(['a']);
    expect(server.requests.map(({ body }) => body)).toEqual([
      { model: 'm', input: ['a'], truncate: false },
      { model: 'm', input: ['a'] },
    ]);
    expect(await failureOf(embedder.embed(['longer than that']))).toMatchObject({
      message: 'ollama:m answered with 400: the input length exceeds the context length.',
      details: { status: 400, retryable: false },
    });
  });

  it('refuses bad options', () => {
    expect(() => ollamaEmbedder({ model: 'm', truncate: 'yes' as never })).toThrowError(/true or false/);
    expect(() => ollamaEmbedder({ model: 'm', dimension: 3 } as object as { model: string })).toThrowError(
      /did you mean 'dimensions'/,
    );
  });
});
