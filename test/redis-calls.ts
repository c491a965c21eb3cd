import { type RedisStore, type RedisStoreOptions, redisStore } from '@warmpath/core/redis';
import { expect, onTestFinished } from 'vitest';
import { type OwnRedis, startOwnRedis, until } from './redis-servers.js';

export type Connection = Parameters<typeof redisStore>[0];
export const namespace = 'space';
export const patient = (): AbortSignal => AbortSignal.timeout(20_000);

export function open(connection: Connection, options: RedisStoreOptions = {}): RedisStore {
  const store = redisStore(connection, options);
  onTestFinished(() => store.close());
  return store;
}

export async function own(): Promise<OwnRedis> {
  const redis = await startOwnRedis();
  onTestFinished(redis.kill);
  return redis;
}

export async function set(store: RedisStore, key: string, tags: readonly string[] = []): Promise<void> {
  const until = Date.now() + 60_000;
  const entry = { bytes: Buffer.from(key), storedAt: 1, freshUntil: until, keptUntil: until, computeMs: 1, tags };
  await store.setMany({ namespace, entries: [{ key, entry, fence: undefined }], signal: patient() });
}

export async function has(store: RedisStore, ...keys: readonly string[]): Promise<readonly boolean[]> {
  const { entries } = await store.getMany({ namespace, keys, tags: [], signal: patient() });
  return entries.map((entry) => entry !== undefined);
}

export const remove = (store: RedisStore, ...keys: string[]): Promise<void> =>
  store.invalidate({ namespace, invalidation: { type: 'delete', keys }, signal: patient() });
export const clear = (store: RedisStore): Promise<void> =>
  store.invalidate({ namespace, invalidation: { type: 'clear' }, signal: patient() });

/** How long a call took, and that it failed. */
export async function refusalMs(call: Promise<unknown>): Promise<number> {
  const start = performance.now();
  await expect(call).rejects.toThrow('There is no connection to Redis');
  return performance.now() - start;
}

export const works = (store: RedisStore): Promise<void> =>
  until('the store works', async () => (await has(store, 'any')).length === 1);
