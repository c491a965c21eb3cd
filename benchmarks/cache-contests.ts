import {
  bentoCache,
  cacheable,
  cacheableBare,
  cacheManager,
  cacheManagerBare,
  lruCacheFetch,
  lruCacheGet,
  lruCacheMisses,
} from '#cache-peers';
import { keyCount } from '#cache-walks';
import { hits, misses, peeks } from '#cache-ways';
import type { Contest } from '#harness';

/** A contest, and where its sides do not promise the same. */
interface CacheContest extends Contest {
  readonly apart: string;
}

const theirs = 'its caller gets the stored object, and its changes reach all others';
const copies = 'each caller gets a copy, made anew';

/** Next to the caches that people would take otherwise. One call of a side walks over all keys. */
export async function cacheContests(): Promise<readonly CacheContest[]> {
  const tags = ['documents'];
  const getOrSet = await hits();
  const tagged = await hits({}, { tags });
  const contests: readonly CacheContest[] = [
    { name: 'peek/lru-cache.get', ours: await peeks(), peer: lruCacheGet(), apart: theirs },
    { name: 'getOrSet/lru-cache.fetch', ours: getOrSet, peer: lruCacheFetch(), apart: theirs },
    {
      name: 'getOrSet/bentocache',
      ours: getOrSet,
      peer: await bentoCache({ serialize: false }),
      apart: `serialize: false, ${theirs}`,
    },
    {
      name: 'getOrSet/bentocache.default',
      ours: getOrSet,
      peer: await bentoCache({ serialize: true }),
      apart: `serialize: true, ${copies}`,
    },
    { name: 'getOrSet/cacheable', ours: getOrSet, peer: await cacheable(), apart: `as it comes, ${copies}` },
    {
      name: 'getOrSet/cacheable.bare',
      ours: getOrSet,
      peer: await cacheableBare(),
      apart: `on a Map without limits, ${theirs}`,
    },
    { name: 'getOrSet/cache-manager', ours: getOrSet, peer: await cacheManager(), apart: `on a new Keyv(), ${copies}` },
    {
      name: 'getOrSet/cache-manager.bare',
      ours: getOrSet,
      peer: await cacheManagerBare(),
      apart: `on a Map without limits, ${theirs}`,
    },
    { name: 'getOrSet.tagged/getOrSet', ours: tagged, peer: getOrSet, apart: 'the peer is ours without a tag' },
    {
      name: 'getOrSet.tagged/bentocache.tagged',
      ours: tagged,
      peer: await bentoCache({ serialize: false, tags }),
      apart: 'its tags are times on the wall clock',
    },
    {
      name: 'getOrSet.miss/lru-cache.fetch.miss',
      ours: misses(),
      peer: lruCacheMisses(),
      apart: 'it keeps the object itself, ours a frozen copy',
    },
  ];
  return contests.map((contest) => ({ ...contest, units: keyCount }));
}
