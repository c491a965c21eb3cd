import { describe, expect, it } from 'vitest';
import { cacheOf, callsOf, failureOf, openai, someTexts, start, textAt, vectors } from '../test/embedder-set-up.js';
import { type BatchedEmbedder, batchedEmbedder } from './batched-embedder.js';
import { runInContext, seededRandom } from './kernel/index.js';
import type { Embedder } from './models/index.js';
import { memoryStore } from './testing/index.js';

async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1_000_000 && !holds(); turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(holds()).toBe(true);
}

describe('many callers at a time', () => {
  const callers = (random: () => number, count: number): string[][] =>
    Array.from({ length: count }, () =>
      Array.from({ length: Math.ceil(random() * 60) }, () => textAt(Math.floor(random() * 2_000))),
    );

  it('each get their vectors in order, and no text that is kept or under way travels twice', async () => {
    const { server, embedder } = await start({ cache: cacheOf(), maxConcurrent: 4 }, { ttfcMs: 3 });
    const random = seededRandom(7);
    const asked: string[] = [];
    for (let round = 0; round < 3; round++) {
      const lists = callers(random, 100);
      asked.push(...lists.flat());
      const answers = await Promise.all(lists.map((texts) => embedder.embed(texts)));
      expect(answers).toEqual(lists.map(vectors));
    }
    const calls = callsOf(server);
    const distinct = new Set(asked);
    expect(asked.length).toBeGreaterThan(8_000);
    expect(new Set(calls.flat())).toEqual(distinct);
    expect(calls.flat()).toHaveLength(distinct.size);
    expect(Math.max(...calls.map(({ length }) => length))).toBe(32);
    expect(calls.length).toBeLessThan(distinct.size / 32 / 0.8);
    expect(embedder.stats()).toMatchObject({ batches: calls.length, items: distinct.size, waiting: 0, underWay: 0 });
    expect(embedder.stats().efficiency).toBeGreaterThan(0.8);
  });

  it('share calls without a cache as well, each with vectors of their own', async () => {
    const { server, embedder } = await start();
    const lists = callers(seededRandom(8), 40);
    expect(await Promise.all(lists.map((texts) => embedder.embed(texts)))).toEqual(lists.map(vectors));
    expect(callsOf(server).every(({ length }) => length <= 32)).toBe(true);
    const [first, second] = await Promise.all([embedder.embedOne('same'), embedder.embedOne('same')]);
    first.fill(0);
    expect([second]).toEqual(vectors(['same']));
    expect(callsOf(server).at(-1)).toEqual(['same']);
  });

  it('share one vector of a text that one of them asks for alone', async () => {
    const { server, embedder } = await start({ cache: cacheOf() });
    const [one, many] = await Promise.all([embedder.embedOne('b'), embedder.embed(['a', 'b', 'c'])]);
    expect([one, ...many]).toEqual(vectors(['b', 'a', 'b', 'c']));
    one.fill(0);
    expect([await embedder.embedOne('b')]).toEqual(vectors(['b']));
    expect(callsOf(server).flat().toSorted()).toEqual(['a', 'b', 'c']);
  });
});

describe('vectors that are kept', () => {
  it('are found by another process, and only those of the same name, version and dimensions', async () => {
    const store = memoryStore();
    const { server, embedder } = await start({ cache: cacheOf({ store }) });
    const texts = someTexts(5);
    await embedder.embed(texts);
    const other = (changes: Partial<Embedder>): BatchedEmbedder =>
      batchedEmbedder({ ...openai(server), ...changes }, { cache: cacheOf({ store: store.peer() }) });
    expect(await other({}).embed(texts)).toEqual(vectors(texts));
    expect(callsOf(server)).toEqual([texts]);
    for (const changes of [{ name: 'mine' }, { version: '2' }, { dimensions: 7 }]) {
      const before = server.requests.length;
      await other(changes).embed(texts);
      await other(changes).embed(texts);
      expect(callsOf(server).slice(before)).toEqual([texts]);
    }
  });

  it('belong to a tenant where the cache says so, though their texts travel together', async () => {
    const { server, embedder } = await start({ cache: cacheOf({ scope: 'tenant' }) });
    const asTenant = (tenant: string): Promise<Float32Array[]> =>
      runInContext({ tenant }, () => embedder.embed(['a', tenant]));
    expect(await Promise.all(['x', 'y'].map(asTenant))).toEqual(['x', 'y'].map((tenant) => vectors(['a', tenant])));
    expect(callsOf(server)).toEqual([['a', 'x', 'y']]);
    await expect(embedder.embed(['a'])).rejects.toMatchObject({ code: 'WP_TENANT_REQUIRED' });
  });

  it('are not those of texts that travel with their tenant only', async () => {
    const { server, embedder } = await start({ scope: 'caller' });
    const asTenant = (tenant: string): Promise<Float32Array[]> => runInContext({ tenant }, () => embedder.embed(['a']));
    await Promise.all(['x', 'y'].map(asTenant));
    expect(callsOf(server)).toEqual([['a'], ['a']]);
  });
});

describe.each([
  ['with a cache', true],
  ['without one', false],
])('leaving, %s', (_, isCached) => {
  it('ends the call for whoever leaves, and upstream with the last', async () => {
    const { server, embedder } = await start(isCached ? { cache: cacheOf() } : {}, { ttfcMs: 60_000 });
    const [first, second] = [new AbortController(), new AbortController()];
    const one = failureOf(embedder.embed(['a', 'b'], { signal: first.signal }));
    const two = failureOf(embedder.embed(['b', 'c'], { signal: second.signal }));
    await until(() => server.requests.length === 1);
    first.abort(new Error('first'));
    expect(await one).toEqual(new Error('first'));
    expect(server.aborted).toBe(0);
    second.abort(new Error('second'));
    expect(await two).toEqual(new Error('second'));
    await until(() => server.aborted === 1);
    expect(callsOf(server)).toEqual([['a', 'b', 'c']]);
    server.set({ ttfcMs: 0 });
    expect(await embedder.embed(['a', 'c'])).toEqual(vectors(['a', 'c']));
  });

  it('leaves the vectors to those who stay', async () => {
    const { server, embedder } = await start(isCached ? { cache: cacheOf() } : {}, { ttfcMs: 20 });
    const leaving = new AbortController();
    const one = failureOf(embedder.embedOne('b', { signal: leaving.signal }));
    const two = embedder.embed(['b', 'c']);
    await until(() => server.requests.length === 1);
    leaving.abort(new Error('left'));
    expect(await one).toEqual(new Error('left'));
    expect(await two).toEqual(vectors(['b', 'c']));
    expect([server.aborted, server.requests.length]).toEqual([0, 1]);
  });
});

it('asks nobody for no texts, and nothing more once it is closed', async () => {
  const { server, embedder } = await start({ cache: cacheOf() });
  expect(await embedder.embed([])).toEqual([]);
  await embedder.embed(['a']);
  await embedder.close();
  expect(await failureOf(embedder.embed(['b']))).toMatchObject({ code: 'WP_CLOSED' });
  expect(await embedder.embed(['a'])).toEqual(vectors(['a']));
  expect(server.requests).toHaveLength(1);
});

it('refuses what is no embedder, no option and no text', async () => {
  const inner: Embedder = { name: 'inner', embed: async (texts) => vectors(texts) };
  expect(() => batchedEmbedder({} as Embedder)).toThrowError(
    /'embedder' must be an embedder \(an object with embed\(\)/,
  );
  expect(() => batchedEmbedder({ embed: inner.embed } as Embedder)).toThrowError(/'embedder.name' must be a string/);
  expect(() => batchedEmbedder(inner, { maxItems: 0 })).toThrowError(/batchedEmbedder\(\): option 'maxItems'/);
  expect(() => batchedEmbedder(inner, { maxToken: 3 } as object)).toThrowError(/did you mean 'maxTokens'/);
  expect(() => batchedEmbedder(inner, { cache: new Map() as never })).toThrowError(/'cache' must be a cache/);
  const embedder = batchedEmbedder(inner);
  for (const bad of [embedder.embed('a' as never), embedder.embed([1] as never), embedder.embedOne(null as never)]) {
    expect(await failureOf(bad)).toMatchObject({ code: 'WP_BAD_OPTION' });
  }
});
