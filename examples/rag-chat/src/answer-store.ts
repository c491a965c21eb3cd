import type { CacheStore, LimiterStore, WarmpathEvent } from '@warmpath/core';
import { openCacheFile } from './cache-file.js';
import type { AppConfig } from './config.js';
import { openRedis } from './redis.js';
import { withoutSecrets } from './redis-address.js';
import { watchStore } from './store-watch.js';

/** Where answers are kept beside memory. */
export interface AnswerStore {
  readonly store: CacheStore;
  /** Where several processes count together. */
  readonly limits?: LimiterStore;
  readonly kind: 'Redis' | 'the cache file';
  /** Which one. */
  readonly place: string;
  /** Puts into the log what has become of it, from whatever the runtime reports. */
  onEvent(event: WarmpathEvent): void;
  /** To be called when nothing is written any more. */
  close(): Promise<void>;
}

/**
 * The one that is configured, if any.
 * @throws StartError when the cache file cannot be had
 */
export async function openAnswerStore(
  { cacheFile, redisUrl }: Pick<AppConfig, 'cacheFile' | 'redisUrl'>,
  log: (line: string) => void,
): Promise<AnswerStore | undefined> {
  if (redisUrl !== undefined) {
    const place = `Redis at ${withoutSecrets(redisUrl)}`;
    return { kind: 'Redis', place, ...(await openRedis(redisUrl, place, log)) };
  }
  if (cacheFile === undefined) return undefined;
  const store = await openCacheFile(cacheFile);
  return {
    kind: 'the cache file',
    place: cacheFile,
    store,
    onEvent: watchStore('The cache file', log),
    close: () => store.close(),
  };
}
