import { BentoCache, bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import { createCache as createCacheManager } from 'cache-manager';
import { Cacheable, Keyv } from 'cacheable';
import { LRUCache } from 'lru-cache';
import { answerTo, awaitedWalk, notAHit, questions, room, walk, walkAmongStrangers } from '#cache-walks';
import type { Task } from '#harness';

const ttlMs = 3_600_000;

export function lruCacheGet(): Task {
  const cache = new LRUCache<string, object>({ max: room, ttl: ttlMs });
  for (const question of questions) cache.set(question, answerTo(question));
  return walk(questions, (question) => cache.get(question));
}

export function lruCacheFetch(): Task {
  const cache = new LRUCache<string, object>({ max: room, ttl: ttlMs, fetchMethod: notAHit });
  for (const question of questions) cache.set(question, answerTo(question));
  return awaitedWalk(questions, (question) => cache.fetch(question));
}

export function lruCacheMisses(): Task {
  const answer = answerTo('a stranger');
  const cache = new LRUCache<string, object>({ max: room, ttl: ttlMs, fetchMethod: () => answer });
  return walkAmongStrangers((stranger) => cache.fetch(stranger));
}

/** @param serialize true is its default: values are kept as JSON, and parsed for each reader */
export async function bentoCache({ serialize, tags }: { serialize: boolean; tags?: string[] }): Promise<Task> {
  const memory = memoryDriver({ maxItems: room, serialize });
  const cache = new BentoCache({ default: 'memory', ttl: ttlMs, stores: { memory: bentostore().useL1Layer(memory) } });
  const tagged = tags ? { tags } : {};
  for (const key of questions) await cache.set({ key, value: answerTo(key), ...tagged });
  return tags
    ? awaitedWalk(questions, (key) => cache.getOrSet({ key, factory: notAHit, tags }))
    : awaitedWalk(questions, (key) => cache.getOrSet({ key, factory: notAHit }));
}

/** As it comes: an unbounded memory that copies each value for each reader. */
export function cacheable(): Promise<Task> {
  return overCacheable(new Cacheable({ ttl: ttlMs }));
}

/** On a bare Map that hands out the value itself. */
export function cacheableBare(): Promise<Task> {
  return overCacheable(new Cacheable({ ttl: ttlMs, primary: bareKeyv() }));
}

async function overCacheable(cache: Cacheable): Promise<Task> {
  for (const question of questions) await cache.set(question, answerTo(question));
  return awaitedWalk(questions, (question) => cache.getOrSet(question, async () => notAHit()));
}

/** On a Keyv as that comes: a Map of JSON. */
export function cacheManager(): Promise<Task> {
  return overCacheManager(new Keyv());
}

/** On a bare Map that hands out the value itself: what it makes for itself where it is given no store. */
export function cacheManagerBare(): Promise<Task> {
  return overCacheManager(bareKeyv());
}

async function overCacheManager(store: Keyv): Promise<Task> {
  const cache = createCacheManager({ ttl: ttlMs, stores: [store] });
  for (const question of questions) await cache.set(question, answerTo(question));
  return awaitedWalk(questions, (question) => cache.wrap(question, notAHit));
}

function bareKeyv(): Keyv {
  const keyv = new Keyv();
  keyv.serialize = undefined;
  keyv.deserialize = undefined;
  return keyv;
}
