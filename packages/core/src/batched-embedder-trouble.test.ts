import { describe, expect, it } from 'vitest';
import {
  cacheOf,
  callsOf,
  failureOf,
  ollama,
  openai,
  someTexts,
  start,
  vectorOf,
  vectors,
} from '../test/embedder-set-up.js';
import { batchedEmbedder } from './batched-embedder.js';
import { type Embedder, ollamaEmbedder } from './models/index.js';

describe('a text that cannot be embedded', () => {
  const refuses = (text: string): boolean => text.startsWith('poison');
  const texts = someTexts(31).toSpliced(12, 0, 'poison');

  it.each([
    ['openai', openai, 'openai:m answered with 400'],
    ['ollama', ollama, 'ollama:m answered with 400'],
  ])('fails alone among 32 at %s, in at most 11 calls, with the word of the server', async (_, adapter, said) => {
    const { server, embedder } = await start({}, { embeddings: { refuses } }, adapter);
    const outcomes = await Promise.allSettled(texts.map((text) => embedder.embedOne(text)));
    const good = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    expect(good).toEqual(vectors(texts.filter((text) => !refuses(text))));
    const [bad] = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
    expect(bad).toMatchObject({ code: 'WP_MODEL_REQUEST', message: expect.stringContaining(said) });
    expect(server.requests.length).toBeLessThanOrEqual(11);
  });

  it('fails the calls that hold it and no others, and what was found beside it is kept', async () => {
    const { server, embedder } = await start({ cache: cacheOf() }, { embeddings: { refuses } });
    const [one, two, three] = [embedder.embed(texts), embedder.embed(someTexts(40)), embedder.embedOne('poison')];
    const failures = [failureOf(one), failureOf(three)];
    expect(await two).toEqual(vectors(someTexts(40)));
    for (const failure of failures) expect(await failure).toMatchObject({ details: { status: 400 } });
    const before = server.requests.length;
    expect(await embedder.embed(someTexts(31))).toEqual(vectors(someTexts(31)));
    expect(server.requests).toHaveLength(before);
    await failureOf(embedder.embed(texts));
    expect(callsOf(server).slice(before)).toEqual([['poison']]);
  });

  it.each([
    ['openai', openai],
    ['ollama', ollama],
  ])('fails alone when %s gives a vector of NaN for it', async (_, adapter) => {
    const bad = (text: string): number[] => (refuses(text) ? vectorOf(text).fill(Number.NaN) : vectorOf(text));
    const { server, embedder } = await start({}, { embeddings: { vectorOf: bad } }, adapter);
    const outcomes = await Promise.allSettled(texts.map((text) => embedder.embedOne(text)));
    expect(outcomes.filter(({ status }) => status === 'rejected')).toMatchObject([
      { reason: { code: 'WP_MODEL_RESPONSE' } },
    ]);
    expect(server.requests.length).toBeLessThanOrEqual(13);
  });

  it.each([
    ['500 of Ollama, whose own answer cannot hold NaN', 500, 'failed to encode response: json: unsupported value: NaN'],
    ['424 of Text Embeddings Inference, whose backend fails', 424, 'backend error'],
  ])('fails alone by a %s', async (_, status, error) => {
    const inner: Embedder = ollamaEmbedder({
      model: 'm',
      fetch: async (_url, init) => {
        const { input } = JSON.parse(String(init?.body)) as { input: string[] };
        if (input.some(refuses)) return Response.json({ error }, { status });
        return Response.json({ embeddings: input.map(vectorOf) });
      },
    });
    const embedder = batchedEmbedder(inner);
    const outcomes = await Promise.allSettled(texts.map((text) => embedder.embedOne(text)));
    expect(outcomes.filter(({ status }) => status === 'rejected')).toMatchObject([{ reason: { details: { status } } }]);
  });

  it('is told at once where a limit is known', async () => {
    const { server, embedder } = await start({ maxTokens: 10, tokens: (text) => text.length });
    const [good, bad] = await Promise.allSettled([embedder.embed(['a', 'b']), embedder.embedOne('far too long')]);
    expect(good).toMatchObject({ value: vectors(['a', 'b']) });
    expect(bad).toMatchObject({ reason: { code: 'WP_BATCH_ITEM_TOO_LARGE' } });
    expect(callsOf(server)).toEqual([['a', 'b']]);
  });
});

describe('a server that takes less', () => {
  it.each([
    ['texts, in the words of OpenAI', openai, { maxInputs: 10 }],
    ['texts, in the words of Text Embeddings Inference', openai, { maxInputs: 10, words: 'tei' }],
    ['tokens, in the words of OpenAI', openai, { maxTokens: 30 }],
    ['bytes, as Text Embeddings Inference says it', openai, { maxTokens: 30, words: 'tei' }],
    ['tokens, in the words of Ollama', ollama, { maxTokens: 30 }],
  ] as const)('of %s, is found out, and given as much as it takes', async (_, adapter, embeddings) => {
    const { server, embedder } = await start({ maxConcurrent: 1 }, { embeddings }, adapter);
    const texts = someTexts(320); // of 3 tokens each
    for (let from = 0; from < 320; from += 64) {
      const some = texts.slice(from, from + 64);
      expect(await embedder.embed(some)).toEqual(vectors(some));
    }
    const taken = callsOf(server).filter(({ length }) => length <= 10);
    expect(taken.flat().toSorted()).toEqual(texts);
    expect(server.requests.length - taken.length).toBeLessThanOrEqual(6); // refused
    expect(taken.length).toBeLessThanOrEqual(48); // 32 is the least that there can be, of a cap that is known
  });
});

describe('trouble', () => {
  it('of a moment, with the server or with its limits, is passed over', async () => {
    const { server, embedder } = await start({ cache: cacheOf() });
    server.fail({ status: 429, headers: { 'retry-after-ms': '5' } });
    expect(await embedder.embed(someTexts(20))).toEqual(vectors(someTexts(20)));
    server.fail({ status: 503 });
    expect(await embedder.embed(['one more'])).toEqual(vectors(['one more']));
    expect(callsOf(server).map(({ length }) => length)).toEqual([20, 20, 1, 1]);
    expect(embedder.stats()).toMatchObject({ batches: 4, repeats: 2 });
  });

  it.each([401, 403, 404])('that every text would have is everybody’s at once: %i', async (status) => {
    const { server, embedder } = await start();
    server.fail({ status, times: 9 });
    expect(await failureOf(embedder.embed(someTexts(32)))).toMatchObject({ details: { status } });
    expect(server.requests).toHaveLength(1);
  });

  it('with a server that is dead reaches all who wait, is not kept, and is over when the server is back', async () => {
    const store = cacheOf();
    const { server, embedder } = await start({ cache: store });
    await server.close();
    const outcomes = await Promise.allSettled([embedder.embed(someTexts(40)), embedder.embedOne('a')]);
    expect(outcomes).toMatchObject(
      Array(2).fill({ reason: { code: 'WP_MODEL_REQUEST', details: { retryable: true } } }),
    );
    const { embedder: back } = await start({ cache: store });
    expect(await back.embed(someTexts(40))).toEqual(vectors(someTexts(40)));
  });

  it('with what is no vector fails that text alone, and is not kept', async () => {
    const store = cacheOf();
    const odd = [undefined, null, [1, 2]];
    const embed = async (texts: readonly string[]): Promise<Float32Array[]> =>
      vectors(texts).map((vector, index) => (index < odd.length ? odd[index] : vector) as Float32Array);
    for (const cache of [{ cache: store }, {}]) {
      const embedder = batchedEmbedder({ name: 'odd', embed }, cache);
      const outcomes = await Promise.allSettled(someTexts(4).map((text) => embedder.embedOne(text)));
      expect(outcomes).toMatchObject([
        ...odd.map(() => ({ reason: { code: 'WP_MODEL_RESPONSE', message: expect.stringContaining("'odd'") } })),
        { value: vectors(someTexts(4))[3] },
      ]);
    }
    expect(await store.get(['odd', undefined, undefined, someTexts(1)[0]])).toBeUndefined();
  });

  it('with answers that are none ends after few calls', async () => {
    const { server, embedder } = await start();
    server.fail({ status: 200, body: '<html>', times: 99 });
    expect(await failureOf(embedder.embed(someTexts(32)))).toMatchObject({ code: 'WP_MODEL_RESPONSE' });
    expect(server.requests.length).toBeLessThanOrEqual(5);
  });
});
