import { randomUUID } from 'node:crypto';
import KeyvRedis, { createClient } from '@keyv/redis';
import {
  type Cache,
  type CacheEvent,
  type CacheOptions,
  type CacheStore,
  createCache,
  type KeyvLike,
  keyvStore,
} from '@warmpath/core/cache';
import { createFakeClock } from '@warmpath/core/testing';
import { Keyv } from 'keyv';
import { Keyv as Keyv5 } from 'keyv-5';
import { afterEach, describe, expect, inject, it, onTestFinished } from 'vitest';
import { freePort, redisBinary, startRedis } from './services.js';

const redisUrl = inject('redisUrl');
/** A slow machine is no failure of these tests; where the deadline itself is the question, a test sets its own. */
const patient = '5s';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** Nobody listens to its errors, as in an application that has forgotten to: that must not matter. */
function redisKeyv(url: string, namespace: string, version: 5 | 6 = 6): KeyvLike {
  const adapter = new KeyvRedis(url, { connectionTimeout: 1_000 });
  closing.push(() => adapter.disconnect(true));
  return version === 6 ? new Keyv(adapter, { namespace }) : new Keyv5(adapter, { namespace });
}

/** What a cache asks of its store, counted, with the means to wait for the writes that go on in the background. */
function cacheOver(keyv: KeyvLike, options: Partial<CacheOptions> = {}) {
  const store = keyvStore(keyv);
  const events: CacheEvent[] = [];
  const calls = { getMany: 0, setMany: 0, invalidate: 0 };
  let writes = 0;
  const counted: CacheStore = {
    name: store.name,
    getMany(read) {
      calls.getMany++;
      return store.getMany(read);
    },
    async setMany(write) {
      calls.setMany++;
      const stored = await store.setMany(write);
      writes += stored.filter(Boolean).length;
      return stored;
    },
    invalidate(invalidation) {
      calls.invalidate++;
      return store.invalidate(invalidation);
    },
  };
  const onEvent = (event: CacheEvent): void => void events.push(event);
  const cache = createCache({ name: 'answers', storeTimeout: patient, onEvent, ...options, store: counted });
  closing.push(() => cache.close());
  return {
    cache,
    calls,
    written: (count: number) => expect.poll(() => writes, { timeout: 5_000 }).toBe(count),
    /** The events of the store, each in a few words. */
    said: (): string[] =>
      events.flatMap((event) => {
        if (event.type === 'cache.store-failed') return [`${event.operation} failed`];
        return event.type === 'cache.store-state' ? [`${event.access} ${event.state}`] : [];
      }),
    failures: () => events.filter((event) => event.type === 'cache.store-failed'),
  };
}

const level = async (cache: Cache, key: unknown): Promise<string> => (await cache.resolve(key, () => 'computed')).level;

interface Setup {
  /** Two connections to one store: before and after a restart, or of two processes. */
  readonly connect: () => { first: KeyvLike; second: KeyvLike };
}

function contract({ connect }: Setup): void {
  it('keeps what was computed over a restart', async () => {
    const { first, second } = connect();
    const before = cacheOver(first);
    expect(await before.cache.getOrSet({ ask: 'why' }, () => 'because')).toBe('because');
    await before.written(1);

    const after = cacheOver(second);
    const result = await after.cache.resolve({ ask: 'why' }, () => 'something else');
    expect(result).toMatchObject({ value: 'because', level: 'store' });
    expect(result.ageMs).toBeGreaterThanOrEqual(0);
    expect(await level(after.cache, { ask: 'why' })).toBe('memory');
  });

  it.each<[string, unknown]>([
    ['null', null],
    ['undefined', undefined],
    ['0', 0],
    ['-0', -0],
    ['NaN', Number.NaN],
    ['an empty text', ''],
    ['false', false],
    ['an empty list', []],
    ['text of all kinds', 'é 😀 \0 "'],
    [
      'what JSON cannot carry',
      { at: new Date(5), map: new Map([[1, new Set([2n])]]), bytes: Uint8Array.of(1, 2), no: undefined },
    ],
  ])('keeps %s as it is', async (_, value) => {
    const { first, second } = connect();
    const before = cacheOver(first);
    await before.cache.getOrSet('key', () => value);
    await before.written(1);
    const result = await cacheOver(second).cache.resolve<unknown>('key', () => 'something else');
    expect(result.level).toBe('store');
    expect(result.value).toStrictEqual(value);
  });

  it('serves nothing that is older than its time, and computes it anew', async () => {
    const { first, second } = connect();
    const clock = createFakeClock(Date.now());
    const before = cacheOver(first, { ttl: '1h', clock });
    await before.cache.getOrSet('key', () => 'old');
    await before.written(1);
    const after = createFakeClock(clock.wall() + 3_600_000 - 1);
    expect(await level(cacheOver(second, { clock: after }).cache, 'key')).toBe('store');
    await after.advance(1);
    expect(await level(cacheOver(second, { clock: after }).cache, 'key')).toBe('computed');
  });

  it('lets the store itself forget in time', async () => {
    const { first } = connect();
    const texts = new Map<string, string>();
    const spied: KeyvLike = {
      get: (key) => first.get(key),
      set: (key, value, ttlMs) => {
        texts.set(value, key);
        return first.set(key, value, ttlMs);
      },
      delete: (key) => first.delete(key),
    };
    const { cache, written } = cacheOver(spied, { ttl: '50ms' });
    await cache.getOrSet('key', () => 'short-lived'.repeat(20));
    await written(1);
    // The longest text is the entry; markers stay.
    const [longest = ''] = [...texts.keys()].toSorted((one, other) => other.length - one.length);
    await expect.poll(() => first.get(texts.get(longest) ?? ''), { timeout: 5_000 }).toBeUndefined();
  });

  it('deletes for everybody', async () => {
    const { first, second } = connect();
    const here = cacheOver(first);
    await here.cache.getOrSet('gone', () => 1);
    await here.cache.getOrSet('kept', () => 2);
    await here.written(2);
    await here.cache.delete('gone');
    const there = cacheOver(second);
    expect(await level(there.cache, 'gone')).toBe('computed');
    expect(await level(there.cache, 'kept')).toBe('store');
  });

  it('expires for everybody: what is there stands in only', async () => {
    const { first, second } = connect();
    const here = cacheOver(first, { grace: '1h' });
    await here.cache.getOrSet('key', () => 'old');
    await here.written(1);
    await here.cache.expire('key');
    const there = cacheOver(second, { grace: '1h' }).cache;
    expect(await there.get('key')).toBeUndefined();
    const failing = (): never => {
      throw new Error('upstream is down');
    };
    expect(await there.resolve('key', failing)).toMatchObject({ value: 'old', stale: 'failed' });
  });

  it('forgets by tag for everybody, also by one that only the computation has named', async () => {
    const { first, second } = connect();
    const here = cacheOver(first);
    await here.cache.getOrSet('declared', () => 1, { tags: ['user:1'] });
    await here.cache.getOrSet('inside', ({ addTags }) => {
      addTags('user:1', 'list');
      return 2;
    });
    await here.cache.getOrSet('other', () => 3, { tags: ['user:2'] });
    await here.written(3);
    expect(await cacheOver(second).cache.invalidateTags(['user:1'])).toEqual({ deferred: false });
    const there = cacheOver(second).cache;
    expect(await Promise.all(['declared', 'inside', 'other'].map((key) => level(there, key)))).toEqual([
      'computed',
      'computed',
      'store',
    ]);
  });

  it('clears for everybody, and another cache on the same store keeps what it has', async () => {
    const { first, second } = connect();
    const here = cacheOver(first);
    const neighbour = cacheOver(first, { name: 'other answers' });
    for (const { cache, written } of [here, neighbour]) {
      await cache.setMany([
        ['a', 1],
        ['b', 2],
      ]);
      await written(2);
    }
    expect(await cacheOver(second).cache.clear()).toEqual({ deferred: false });
    const there = cacheOver(second).cache;
    expect([await level(there, 'a'), await level(there, 'b')]).toEqual(['computed', 'computed']);
    expect(await level(cacheOver(second, { name: 'other answers' }).cache, 'a')).toBe('store');
  });

  it.each<[string, (cache: Cache) => Promise<unknown>]>([
    ['an invalidated tag', (cache) => cache.invalidateTags(['tag'])],
    ['a clear', (cache) => cache.clear()],
  ])('never has what was computed before %s by another', async (_, invalidate) => {
    const { first, second } = connect();
    const { promise, resolve } = Promise.withResolvers<string>();
    const began = Promise.withResolvers<void>();
    const here = cacheOver(first);
    const computing = here.cache.getOrSet(
      'key',
      () => {
        began.resolve();
        return promise;
      },
      { tags: ['tag'] },
    );
    await began.promise;
    await invalidate(cacheOver(second).cache);
    resolve('old');
    expect(await computing).toBe('old');
    await here.cache.close();
    expect(here.calls.setMany).toBe(1);
    expect(await cacheOver(second).cache.get('key')).toBeUndefined();
  });

  it('takes what it did not write for nothing, and says so', async () => {
    const { first, second } = connect();
    const texts = new Map<string, string>();
    const spied: KeyvLike = {
      get: (key) => first.get(key),
      set: (key, value, ttlMs) => {
        texts.set(value, key);
        return first.set(key, value, ttlMs);
      },
      delete: (key) => first.delete(key),
    };
    const { cache, written } = cacheOver(spied);
    await cache.getOrSet('key', () => 'mine'.repeat(50));
    await written(1);
    const [longest = ''] = [...texts.keys()].toSorted((one, other) => other.length - one.length);
    for (const foreign of ['', 'wp2:', 'wp2:AAAA', 'wp0:xyz', '{"value":1}', longest.slice(0, -8)]) {
      await first.set(texts.get(longest) ?? '', foreign);
      const events: CacheEvent[] = [];
      const after = cacheOver(second, { onEvent: (event) => void events.push(event) });
      expect(await level(after.cache, 'key')).toBe('computed');
      expect(events[0]).toMatchObject({ type: 'cache.rejected', reason: 'unreadable' });
      await after.written(1);
    }
  });
}

/** Both connections of an embedded store are the store itself. */
const embedded = (create: () => KeyvLike): Setup => ({
  connect: () => {
    const store = create();
    return { first: store, second: store };
  },
});

describe('a cache over Keyv 6 in memory', () => contract(embedded(() => new Keyv())));
describe('a cache over Keyv 5 in memory', () => contract(embedded(() => new Keyv5())));

describe.skipIf(!redisUrl).each([6, 5] as const)('a cache over Redis through Keyv %i', (version) => {
  contract({
    connect: () => {
      const namespace = `warmpath-test-${randomUUID()}`;
      const connection = (): KeyvLike => redisKeyv(redisUrl ?? '', namespace, version);
      return { first: connection(), second: connection() };
    },
  });
});

describe.skipIf(!redisUrl)('a cache whose Redis is in trouble', () => {
  /** A Redis of the test's own, since it comes to harm. */
  async function ownRedis(skip: (note: string) => never, port?: number) {
    const binary = redisBinary();
    if (!binary) return skip('no redis-server is on the path, and the one of REDIS_URL is not ours to harm');
    const server = await startRedis(binary, port);
    onTestFinished(server.stop);
    return server;
  }

  async function command(url: string, ...words: string[]): Promise<void> {
    const admin = await createClient({ url }).connect();
    closing.push(async () => admin.destroy());
    await admin.sendCommand(words);
  }

  /** Calls for new keys, one after the other. @returns the longest that one took, in milliseconds */
  async function ask(cache: Cache, count: number): Promise<number> {
    let longestMs = 0;
    for (let index = 0; index < count; index++) {
      const calledAt = performance.now();
      expect(await cache.getOrSet(randomUUID(), async () => index)).toBe(index);
      longestMs = Math.max(longestMs, performance.now() - calledAt);
    }
    return longestMs;
  }

  const askAtOnce = (cache: Cache, count: number): Promise<number[]> =>
    Promise.all(Array.from({ length: count }, (_, index) => cache.getOrSet(randomUUID(), async () => index)));
  const wholeNumbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

  /** Resolves when what the cache computes goes into the store again, and is found there. */
  async function usedAgain(cache: Cache, keyv: KeyvLike): Promise<void> {
    const keys: string[] = [];
    const other = cacheOver(keyv).cache;
    const isUsed = async (): Promise<boolean> => {
      const key = randomUUID();
      keys.push(key);
      await cache.getOrSet(key, () => 'kept');
      return (await other.getMany(keys)).some(Boolean);
    };
    await expect.poll(isUsed, { timeout: 40_000, interval: 200 }).toBe(true);
  }

  /** Long enough that a machine that is busy keeps it, short beside the minutes for which the store is away. */
  const deadlineMs = 250;
  const noticeablyMs = 4 * deadlineMs;

  it('answers every call while it is killed, asks it no more than a few times, and uses it again when it is back', async ({
    skip,
  }) => {
    const port = await freePort();
    const server = await ownRedis(skip, port);
    const keyv = redisKeyv(server.url, 'killed');
    const { cache, calls, written, said } = cacheOver(keyv, { storeTimeout: deadlineMs });
    await cache.getOrSet('warm', () => 'up');
    await written(1);

    const during = askAtOnce(cache, 200);
    const stopped = server.stop();
    expect(await during).toEqual(wholeNumbers(200));
    await stopped;
    expect(await ask(cache, 20)).toBeLessThan(noticeablyMs);
    expect(said()).toContain('reading open');
    const before = calls.getMany;
    expect(await askAtOnce(cache, 5_000)).toEqual(wholeNumbers(5_000));
    expect(calls.getMany - before).toBeLessThanOrEqual(2);
    expect(await cache.getOrSet('warm', () => 'computed')).toBe('up');

    await ownRedis(skip, port);
    await usedAgain(cache, keyv);
    expect(said().at(-1)).toMatch(/closed$/);
  });

  it('has nothing any more of what was deleted while it was away', async ({ skip }) => {
    const server = await ownRedis(skip);
    const { cache, written } = cacheOver(redisKeyv(server.url, 'away'), { storeTimeout: deadlineMs, maxEntries: 1 });
    await cache.set('deleted', 'old');
    await cache.set('tagged', 'old', { tags: ['tag'] });
    await written(2);
    await command(server.url, 'CLIENT', 'PAUSE', '1000', 'ALL');
    await cache.set('deleted', 'newer');
    await cache.set('tagged', 'newer', { tags: ['tag'] });
    const outcomes = await Promise.all([cache.delete('deleted'), cache.invalidateTags(['tag'])]);
    expect(outcomes).toEqual([{ deferred: true }, { deferred: true }]);
    const other = redisKeyv(server.url, 'away');
    const left = (): Promise<unknown[]> => cacheOver(other).cache.getMany(['deleted', 'tagged']);
    await expect.poll(left, { timeout: 40_000, interval: 200 }).toEqual([undefined, undefined]);
    await usedAgain(cache, other);
    expect(await left()).toEqual([undefined, undefined]);
  });

  it('deletes what it has written, when that lands after its deadline', async ({ skip }) => {
    const server = await ownRedis(skip);
    const { cache, calls, written, said } = cacheOver(redisKeyv(server.url, 'late'), { storeTimeout: deadlineMs });
    await cache.getOrSet('in time', () => 'kept');
    await written(1);
    await command(server.url, 'CLIENT', 'PAUSE', '1000', 'WRITE'); // reads are answered, as long as no write is before them
    expect(await cache.getOrSet('late', () => 'computed')).toBe('computed');
    await written(2);
    expect([said(), cache.peek('late')]).toEqual([['setMany failed'], 'computed']);
    await expect.poll(() => calls.invalidate).toBe(1);
    const other = cacheOver(redisKeyv(server.url, 'late')).cache;
    const there = async (): Promise<unknown[]> =>
      (await other.getMany(['late', 'in time'])).map((found) => found?.value);
    await expect.poll(there, { timeout: 10_000 }).toEqual([undefined, 'kept']);
  });

  it('answers every call while it is frozen: five wait for one deadline, and then none for anything', async ({
    skip,
  }) => {
    const server = await ownRedis(skip);
    const keyv = redisKeyv(server.url, 'frozen');
    const { cache, calls, written, said, failures } = cacheOver(keyv, { storeTimeout: deadlineMs });
    await cache.getOrSet('warm', () => 'up');
    await written(1);
    const before = calls.getMany;
    await command(server.url, 'CLIENT', 'PAUSE', '600000', 'ALL');

    for (let time = 0; time < 5; time++) expect(await askAtOnce(cache, 10)).toEqual(wholeNumbers(10));
    expect([calls.getMany - before, failures().length]).toEqual([5, 5]);
    expect(failures()[0]).toMatchObject({ store: 'keyv', operation: 'getMany', error: { code: 'WP_DEADLINE' } });
    expect(await ask(cache, 500)).toBeLessThan(noticeablyMs);
    expect(calls.getMany - before).toBeLessThanOrEqual(10); // with a few probes, as time goes by
    expect(said().filter((line) => line === 'reading open').length).toBeGreaterThanOrEqual(1);
    expect(await cache.delete('warm')).toEqual({ deferred: true });
    expect(cache.peek('warm')).toBeUndefined();
  });

  it('uses it again when it is not frozen any more, and tells it what was deleted meanwhile', async ({ skip }) => {
    const server = await ownRedis(skip);
    const keyv = redisKeyv(server.url, 'thawed');
    const { cache, written } = cacheOver(keyv, { storeTimeout: deadlineMs });
    await cache.getOrSet('key', () => 'old');
    await written(1);
    await command(server.url, 'CLIENT', 'PAUSE', '2500', 'ALL');
    await askAtOnce(cache, 10);
    expect(await cache.delete('key')).toEqual({ deferred: true });
    expect((await cache.resolve('key', () => 'new')).value).toBe('new');
    const other = redisKeyv(server.url, 'thawed');
    await expect.poll(() => cacheOver(other).cache.get('key'), { timeout: 40_000, interval: 200 }).toBeUndefined();
    await usedAgain(cache, other);
  });

  it('reads it as before while it is full, tries to write five times, and writes again when there is room', async ({
    skip,
  }) => {
    const server = await ownRedis(skip);
    const keyv = redisKeyv(server.url, 'full');
    const before = cacheOver(keyv);
    for (let index = 0; index < 30; index++) await before.cache.getOrSet(index, () => index, { tags: ['tag'] });
    await before.written(30);
    await command(server.url, 'CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    await command(server.url, 'CONFIG', 'SET', 'maxmemory', '1');

    const { cache, calls, said, failures } = cacheOver(keyv, { storeTimeout: deadlineMs });
    for (let index = 0; index < 20; index++) {
      expect(await level(cache, index)).toBe('store');
      expect(await ask(cache, 1)).toBeLessThan(noticeablyMs);
    }
    await expect.poll(() => said()).toContain('writing open');
    expect([calls.setMany, said().includes('reading open')]).toEqual([5, false]);
    expect(failures()[0]).toMatchObject({ operation: 'setMany', error: { message: expect.stringMatching(/OOM/) } });
    // What it is to forget is deferred, and not served meanwhile.
    const outcomes = [await cache.delete(0), await cache.invalidateTags(['tag'])];
    expect(outcomes).toEqual([{ deferred: true }, { deferred: true }]);
    expect([await cache.get(0), await cache.get(25)]).toEqual([undefined, undefined]);

    await command(server.url, 'CONFIG', 'SET', 'maxmemory', '0');
    const left = (): Promise<unknown[]> => cacheOver(keyv).cache.getMany([0, 25]);
    await expect.poll(left, { timeout: 40_000, interval: 200 }).toEqual([undefined, undefined]);
    await usedAgain(cache, keyv);
  });

  it('answers every call when there has never been one', async () => {
    const keyv = redisKeyv(`redis://127.0.0.1:${await freePort()}`, 'absent');
    const { cache, calls, failures } = cacheOver(keyv, { storeTimeout: '50ms' });
    for (let time = 0; time < 5; time++) expect(await askAtOnce(cache, 10)).toEqual(wholeNumbers(10));
    expect(failures().length).toBe(5);
    const before = calls.getMany;
    expect(await askAtOnce(cache, 1_000)).toEqual(wholeNumbers(1_000));
    expect(calls.getMany - before).toBeLessThanOrEqual(1);
    expect(await cache.delete('key')).toEqual({ deferred: true });
  });
});
