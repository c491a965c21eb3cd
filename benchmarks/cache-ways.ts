import { createWarmpath } from '@warmpath/core';
import { type Cache, type CacheCall, type CacheOptions, type CacheStore, createCache } from '@warmpath/core/cache';
import { runInContext } from '@warmpath/core/kernel';
import { memoryStore } from '@warmpath/core/testing';
import { answerTo, awaitedWalk, keyCount, notAHit, questions, room, walk, walkAmongStrangers } from '#cache-walks';
import type { Task } from '#harness';

const batchSize = 100;

/** The cache that is measured unless said otherwise: as it comes, with room for what is asked. */
async function filled(options: Partial<CacheOptions> = {}, call: CacheCall = {}): Promise<Cache> {
  return fill(createCache({ name: 'bench', ttl: '1h', maxEntries: room, ...options }), call);
}

export async function peeks(cache?: Cache): Promise<Task> {
  const asked = cache ?? (await filled());
  return walk(questions, (question) => asked.peek(question));
}

export async function hits(options: Partial<CacheOptions> = {}, call?: CacheCall): Promise<Task> {
  return hitsOf(await filled(options, call), call);
}

export function misses(options: Partial<CacheOptions> = {}): Task {
  const answer = answerTo('a stranger');
  const cache = createCache({ name: 'bench', ttl: '1h', maxEntries: room, ...options });
  return walkAmongStrangers((stranger) => cache.getOrSet(stranger, () => answer));
}

/** The same hit in other ways, by the name of what it is: each walks over all keys. */
export async function otherWays(): Promise<Readonly<Record<string, Task>>> {
  const plain = await filled();
  const warmpath = await fill(createWarmpath().cache('bench', { ttl: '1h', maxEntries: room }));
  const inContext = await hits({}, { tenant: 'acme' });
  const batches = Array.from({ length: keyCount / batchSize }, (_, batch) =>
    questions.slice(batch * batchSize, (batch + 1) * batchSize),
  );
  const noCompute = async (): Promise<never> => notAHit();
  return {
    'peek.warmpath': await peeks(warmpath),
    'getOrSet.warmpath': hitsOf(warmpath),
    'getOrSet.tenant': await hits({}, { tenant: 'acme' }),
    'getOrSet.context': () => runInContext({ tenant: 'acme' }, inContext),
    'getOrSet.objectKey': await hitsByObject(),
    'getOrSet.copy': await hits({ isolation: 'copy' }),
    'getOrSet.invalidating': await hitsBetweenInvalidations(),
    getOrSetMany: awaitedWalk(batches, (batch) => plain.getOrSetMany(batch, noCompute)),
    resolve: awaitedWalk(questions, (question) => plain.resolve(question, notAHit)),
    wrap: await wrapped(),
    'getOrSet.miss.shared': misses({ isolation: 'shared' }),
  };
}

/** Hits of a cache with a store, and how many calls the store has had since. */
export async function hitsBesideStore(): Promise<{ readonly hits: Task; storeCalls(): number }> {
  let calls = 0;
  const { name, getMany, setMany, invalidate, openFeed } = memoryStore();
  const store: CacheStore = {
    name,
    getMany: (read) => counted(() => getMany(read)),
    setMany: (write) => counted(() => setMany(write)),
    invalidate: (invalidation) => counted(() => invalidate(invalidation)),
    ...(openFeed && { openFeed }),
  };
  function counted<T>(call: () => T): T {
    calls++;
    return call();
  }
  const task = await hits({ store });
  await new Promise(setImmediate); // what was set has been written
  calls = 0;
  return { hits: task, storeCalls: () => calls };
}

async function fill(cache: Cache, call: CacheCall = {}): Promise<Cache> {
  await cache.setMany(
    questions.map((question) => [question, answerTo(question)] as const),
    call,
  );
  return cache;
}

function hitsOf(cache: Cache, call?: CacheCall): Task {
  return awaitedWalk(questions, (question) => cache.getOrSet(question, notAHit, call));
}

async function hitsByObject(): Promise<Task> {
  const cache = await filled();
  const keys = questions.map((question) => ({ model: 'llama3.2', question }));
  await cache.setMany(keys.map((key) => [key, answerTo(key.question)] as const));
  return awaitedWalk(keys, (key) => cache.getOrSet(key, notAHit));
}

/** Once in a walk a tag is invalidated that no entry has: each is looked at again, and found right. */
async function hitsBetweenInvalidations(): Promise<Task> {
  const tags = ['documents'];
  const cache = await filled({}, { tags });
  const [first] = questions;
  return awaitedWalk(questions, (question) => {
    if (question === first) void cache.invalidateTags(['images']);
    return cache.getOrSet(question, notAHit, { tags });
  });
}

async function wrapped(): Promise<Task> {
  const cache = createCache({ name: 'bench', ttl: '1h', maxEntries: room });
  const ask = cache.wrap(async function ask(question: string) {
    return answerTo(question);
  });
  for (const question of questions) await ask(question);
  return awaitedWalk(questions, (question) => ask(question));
}
