import { createBatcher } from '@warmpath/core/batcher';
import { createCache } from '@warmpath/core/cache';
import { createLimiter } from '@warmpath/core/limiter';
import DataLoader from 'dataloader';
import { LRUCache } from 'lru-cache';
import { measure, type Outcome, printTable, ratiosOf, rounded } from '#harness';

const keyCount = 1_000;
const batchSize = 32;

/** What do the first cache, batcher and limiter cost, next to the libraries that people would take otherwise? */
export async function firstSlice(): Promise<Outcome> {
  const hit = await measure(cacheHit());
  const text = await measure(cacheHitOfText());
  const batch = await measure(batchedLoads());
  const take = await measure(tryTake());
  console.log(
    `A hit on one of ${keyCount} entries; ${batchSize} loads in one batch, for each load; one take for one of ${keyCount} keys`,
  );
  printTable([hit, text, batch, take]);
  return {
    ratios: ratiosOf([hit, text, batch]),
    values: {
      'getOrSet.hit.ns': rounded(hit.oursNs),
      'batcher.load.ns': rounded(batch.oursNs),
      'limiter.tryTake.ns': rounded(take.oursNs),
    },
  };
}

/** Walks over all keys again and again, the same for both sides. */
function walk(): () => string {
  let turn = 0;
  return () => `question-${turn++ % keyCount}`;
}

function answerTo(question: string): object {
  return { text: `The answer to ${question}.`, citations: [{ passage: 'a#1', marker: 1 }], reason: 'stop' };
}

/**
 * A small answer that is in memory. The two do not promise the same: our key may be any data and is digested, and the value
 * that a caller gets is nobody else's; lru-cache takes the text as its key and hands out the stored object itself.
 */
function cacheHit() {
  return contest('getOrSet/lru-cache.fetch', answerTo);
}

/** The same for a plain text, which needs no protection from its callers. */
function cacheHitOfText() {
  return contest('getOrSet/lru-cache.fetch.text', (question) => `The answer to ${question}.`);
}

function contest<V extends object | string>(name: string, answer: (question: string) => V) {
  const cache = createCache({ name: 'bench', ttl: '1h', maxEntries: keyCount });
  const peer = new LRUCache<string, V>({ max: keyCount, ttl: 3_600_000, fetchMethod: async (key) => answer(key) });
  const [ourKey, peerKey] = [walk(), walk()];
  return {
    name,
    ours: () => {
      const key = ourKey();
      return cache.getOrSet(key, () => answer(key));
    },
    peer: () => peer.fetch(peerKey()),
  };
}

/** 32 loads that fill a batch. DataLoader's own cache is off, since ours keeps none either. */
function batchedLoads() {
  const items = Array.from({ length: batchSize }, (_, item) => item);
  const batcher = createBatcher<number, number>(async (batch) => batch.map((item) => item * 2), {
    maxItems: batchSize,
  });
  const loader = new DataLoader<number, number>(async (batch) => batch.map((item) => item * 2), {
    cache: false,
    maxBatchSize: batchSize,
  });
  return {
    name: 'batcher.load/dataloader.load',
    ours: () => Promise.all(items.map((item) => batcher.load(item))),
    peer: () => Promise.all(items.map((item) => loader.load(item))),
    units: batchSize,
  };
}

function tryTake() {
  const limiter = createLimiter({ name: 'bench', limit: 1_000_000, window: '1s' });
  const key = walk();
  return { name: 'limiter.tryTake.ns', ours: () => limiter.tryTake(key()) };
}
