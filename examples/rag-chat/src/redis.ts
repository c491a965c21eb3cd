import type { LimiterStore, WarmpathEvent } from '@warmpath/core';
import { untilAborted } from '@warmpath/core/kernel';
import type { RedisStore } from '@warmpath/core/redis';
import { messageOf } from './start-error.js';
import { watchStore } from './store-watch.js';

/** Redis for the answers and the limits of several processes, and what is said of it. */
export interface WatchedRedis {
  readonly store: RedisStore;
  readonly limits: LimiterStore;
  /** Whatever the runtime reports. */
  onEvent(event: WarmpathEvent): void;
  close(): Promise<void>;
}

/** Other applications may use the same Redis. */
const prefix = 'rag-chat';
const lookEveryMs = 2_000;
/** Less than a store is left alone for at the least: whether Redis is there is known before it is said to be back. */
const lookForMs = 800;

/**
 * It need not be there: answers are then kept in memory alone until it is, and both are said once. Resolves when that has
 * been seen for the first time.
 * @param place how it is called in the log
 */
export async function openRedis(url: string, place: string, log: (line: string) => void): Promise<WatchedRedis> {
  // Not at the top: only who wants Redis should load it.
  const { redisLimits, redisStore } = await import('@warmpath/core/redis');
  const store = redisStore(url, { name: 'Redis', prefix });
  const limits = redisLimits(url, { name: 'Redis', prefix });
  const watch = watchStore(place, log);
  let isAway = false;
  let isClosed = false;

  async function look(): Promise<void> {
    const failure = await whyAway(store);
    if (isClosed || (failure !== undefined) === isAway) return;
    isAway = failure !== undefined;
    if (isAway) log(`${place} is away for now, so answers are kept in memory alone: ${failure}`);
    else log(`${place} is back.`);
  }

  await look();
  const looking = setInterval(() => void look(), lookEveryMs).unref();
  return {
    store,
    limits,
    onEvent(event) {
      if (event.type !== 'cache.store-state' || event.state !== 'open') return watch(event);
      // Where it is away altogether there is nothing to add.
      void look().then(() => isAway || watch(event));
    },
    async close() {
      isClosed = true;
      clearInterval(looking);
      await Promise.all([store.close(), limits.close()]);
    },
  };
}

/** Any read will do. */
async function whyAway(store: RedisStore): Promise<string | undefined> {
  const signal = AbortSignal.timeout(lookForMs);
  try {
    await untilAborted(store.getMany({ namespace: 'chat', keys: ['-'], tags: [], signal }), signal);
    return undefined;
  } catch (error) {
    return signal.aborted ? `it did not answer within ${lookForMs} ms` : messageOf(error);
  }
}
