import { randomUUID } from 'node:crypto';
import KeyvRedis, { createClient } from '@keyv/redis';
import {
  type Cache,
  type CacheEvent,
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
function redisKeyv(url: string, namespace: string): Keyv {
  const adapter = new KeyvRedis(url, { connectionTimeout: 1_000 });
  closing.push(() => adapter.disconnect(true));
  const keyv = new Keyv(adapter, { namespace });
  return keyv;
}

/** A cache whose writes to the store, which go on in the background, can be waited for. */
function cacheOver(keyv: KeyvLike, options: Partial<Parameters<typeof createCache>[0]> = {}) {
  const store = keyvStore(keyv);
  let writes = 0;
  const observed: CacheStore = {
    ...store,
    async set(key, entry, ttlMs) {
      await store.set(key, entry, ttlMs);
      writes++;
    },
  };
  const cache = createCache({ name: 'answers', storeTimeout: patient, ...options, store: observed });
  return { cache, written: (count: number) => expect.poll(() => writes, { timeout: 5_000 }).toBe(count) };
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
    const keys: string[] = [];
    const spied: KeyvLike = {
      get: (key) => first.get(key),
      set: (key, value, ttlMs) => first.set(keys[keys.push(key) - 1] ?? '', value, ttlMs),
      delete: (key) => first.delete(key),
    };
    const { cache, written } = cacheOver(spied, { ttl: '50ms' });
    await cache.getOrSet('key', () => 'short-lived');
    await written(1);
    await expect.poll(() => first.get(keys[0] ?? ''), { timeout: 5_000 }).toBeUndefined();
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

  it('takes what it did not write for nothing', async () => {
    const { first, second } = connect();
    const keys: string[] = [];
    const spied: KeyvLike = {
      get: (key) => first.get(keys[keys.push(key) - 1] ?? ''),
      set: (key, value, ttlMs) => first.set(key, value, ttlMs),
      delete: (key) => first.delete(key),
    };
    const { cache, written } = cacheOver(spied);
    await cache.getOrSet('key', () => 'mine');
    await written(1);
    for (const foreign of ['', 'wp1:', 'wp1:AAAA', 'wp0:xyz', '{"value":1}']) {
      await first.set(keys[0] ?? '', foreign);
      expect(await level(cacheOver(second).cache, 'key')).toBe('computed');
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

describe.skipIf(!redisUrl)('a cache over Redis', () => {
  contract({
    connect: () => {
      const namespace = `warmpath-test-${randomUUID()}`;
      return { first: redisKeyv(redisUrl ?? '', namespace), second: redisKeyv(redisUrl ?? '', namespace) };
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

  const ask = (cache: Cache, count: number): Promise<number[]> =>
    Promise.all(Array.from({ length: count }, (_, index) => cache.getOrSet(randomUUID(), async () => index)));
  const wholeNumbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

  it('answers every call while it is killed, says so, and uses it again when it is back', async ({ skip }) => {
    const port = await freePort();
    const server = await ownRedis(skip, port);
    const events: CacheEvent[] = [];
    const keyv = redisKeyv(server.url, 'killed');
    const { cache, written } = cacheOver(keyv, { storeTimeout: '100ms', onEvent: (event) => void events.push(event) });
    await cache.getOrSet('warm', () => 'up');
    await written(1);

    const during = ask(cache, 200);
    const stopped = server.stop();
    expect(await during).toEqual(wholeNumbers(200));
    await stopped;
    expect(await ask(cache, 20)).toEqual(wholeNumbers(20));
    await expect.poll(() => events.map((event) => event.type)).toContain('cache.store-failed');

    await ownRedis(skip, port);
    const again = cacheOver(keyv, { storeTimeout: '1s' });
    await expect
      .poll(
        async () => {
          await again.cache.getOrSet(randomUUID(), () => 'fresh');
          const key = randomUUID();
          await again.cache.getOrSet(key, () => 'kept');
          return level(cacheOver(keyv, { storeTimeout: '1s' }).cache, key);
        },
        { timeout: 20_000 },
      )
      .toBe('store');
  });

  it('answers every call while it is frozen, each after the store deadline', async ({ skip }) => {
    const server = await ownRedis(skip);
    const keyv = redisKeyv(server.url, 'frozen');
    const events: CacheEvent[] = [];
    const { cache, written } = cacheOver(keyv, { storeTimeout: '50ms', onEvent: (event) => void events.push(event) });
    await cache.getOrSet('warm', () => 'up');
    await written(1);
    const admin = await createClient({ url: server.url }).connect();
    closing.push(async () => admin.destroy());
    await admin.sendCommand(['CLIENT', 'PAUSE', '600000', 'ALL']);

    expect(await ask(cache, 50)).toEqual(wholeNumbers(50));
    const failures = events.filter((event) => event.type === 'cache.store-failed');
    expect(failures.length).toBeGreaterThanOrEqual(50);
    expect(failures[0]).toMatchObject({ store: 'keyv', operation: 'get', error: { code: 'WP_DEADLINE' } });
    await cache.delete('warm');
  });

  it('answers every call when there has never been one', async () => {
    const events: CacheEvent[] = [];
    const keyv = redisKeyv(`redis://127.0.0.1:${await freePort()}`, 'absent');
    const { cache } = cacheOver(keyv, { storeTimeout: '50ms', onEvent: (event) => void events.push(event) });
    expect(await ask(cache, 20)).toEqual(wholeNumbers(20));
    expect(events.map((event) => event.type)).toContain('cache.store-failed');
  });
});
