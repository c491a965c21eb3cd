import { describe, expect, it, vi } from 'vitest';
import { setUp, setUpWithStore, withoutFeed } from '../../test/cache-set-up.js';
import { drain, follow, letters, tap } from '../../test/stream-set-up.js';
import { createFakeClock, memoryStore } from '../testing/index.js';
import { type Cache, type CacheStore, createCache, type StandardSchema } from './index.js';
import { placeOf, textOf } from './place.js';

describe('a stream that is invalidated meanwhile', () => {
  const ways: Record<string, (cache: Cache) => Promise<unknown>> = {
    'delete()': (cache) => cache.delete('key'),
    'expire()': (cache) => cache.expire('key'),
    'invalidateTags()': (cache) => cache.invalidateTags(['red']),
    'clear()': (cache) => cache.clear(),
  };

  it.each(Object.entries(ways))(
    'by %s gives its readers the whole of it, newcomers begin anew, and it is not kept',
    async (_, run) => {
      for (const make of [setUp, setUpWithStore]) {
        const { cache, clock, log } = make({ grace: '1m' });
        const call = { tags: ['red'] };
        const old = tap();
        const before = follow(await cache.stream('key', old.produce, call));
        old.give('old');
        await clock.settle();
        await run(cache);
        const after = await cache.stream('key', letters, call);
        expect(after.level).toBe('computed');
        old.give('older');
        old.end();
        await before.end;
        expect(before.chunks).toEqual(['old', 'older']);
        expect(log).toContain('cache.unstored invalidated');
        expect(await drain(after)).toEqual(['a', 'b', 'c']);
        expect(await drain(cache.stream('key', tap().produce, call))).toEqual(['a', 'b', 'c']);
      }
    },
  );

  it.each(Object.entries(ways))('by %s is not kept, too, when nobody comes meanwhile', async (_, run) => {
    for (const make of [setUp, setUpWithStore]) {
      const { cache, log } = make({ grace: '1m' });
      const source = tap();
      const before = follow(await cache.stream('key', source.produce, { tags: ['red'] }));
      await run(cache);
      source.end();
      await before.end;
      expect(log.at(-1)).toBe('cache.unstored invalidated');
      expect((await cache.stream('key', letters)).level).toBe('computed');
    }
  });

  it.each(Object.entries(ways))('by %s while the store is asked is not served from it', async (_, run) => {
    const { cache, clock, store, another } = setUpWithStore({ grace: '1m' });
    const call = { tags: ['red'] };
    const old = async function* (): AsyncGenerator<string> {
      yield 'old';
    };
    await drain(another().cache.stream('key', old, call));
    await clock.settle();
    store.trouble([20], 'getMany');
    const reading = cache.stream('key', letters, call);
    await clock.advance(10);
    await run(cache);
    const after = cache.stream('key', letters, call);
    await clock.advance(10);
    expect([(await reading).level, (await after).level]).toEqual(['computed', 'computed']);
    for (const stream of [reading, after]) expect(await drain(stream)).toEqual(['a', 'b', 'c']);
    expect(await drain(cache.stream('key', old, call))).toEqual(['a', 'b', 'c']);
  });
});

describe('a stream in the store', () => {
  it('replays with its age, once for all who come while it is fetched, and is in memory then', async () => {
    const { cache, clock, store, another } = setUpWithStore({ ttl: '1m' });
    await drain(another().cache.stream('key', letters));
    await clock.advance(500);
    store.trouble([20], 'getMany');
    const produce = vi.fn(letters);
    const streams = [1, 2].map(() => cache.stream('key', produce));
    await clock.advance(20);
    expect(await Promise.all(streams)).toMatchObject([
      { level: 'store', ageMs: 520 },
      { level: 'shared', ageMs: 0 },
    ]);
    for (const stream of streams) expect(await drain(stream)).toEqual(['a', 'b', 'c']);
    expect(await cache.stream('key', produce)).toMatchObject({ level: 'memory', ageMs: 520 });
    expect(produce).not.toHaveBeenCalled();
  });

  it('keeps nobody waiting who joins: the stream is there at once, its chunks when the store has answered', async () => {
    const { cache, clock, store } = setUpWithStore();
    store.trouble(40, 'getMany');
    const first = cache.stream('key', letters);
    const joined = await cache.stream('key', letters);
    expect(clock.now()).toBe(0);
    const { chunks, end } = follow(joined);
    await clock.advance(40);
    await end;
    expect([(await first).level, joined.level, chunks]).toEqual(['computed', 'shared', ['a', 'b', 'c']]);
  });

  it('in a form that is not known is none', async () => {
    const { store, cache } = setUpWithStore();
    await cache.set('value', { chunks: ['a'], atMs: [] });
    const id = placeOf(undefined, textOf('value')).id;
    const disguised: CacheStore = {
      ...withoutFeed(store),
      getMany: (read) => store.getMany({ ...read, keys: read.keys.map(() => id) }),
    };
    const again = setUp({ store: disguised });
    const streams = [await again.cache.stream('key', letters), await again.cache.stream('key', letters)];
    for (const stream of streams) expect(await drain(stream)).toEqual(['a', 'b', 'c']);
    expect(again.log).toEqual(['cache.hit shared', 'cache.miss', 'cache.computed']);
  });

  it('that hangs costs a stream its deadline, no more', async () => {
    const { cache, clock, store } = setUpWithStore();
    store.trouble('hang');
    const stream = cache.stream('key', letters);
    await clock.advance(50);
    expect((await stream).level).toBe('computed');
    expect(await drain(stream)).toEqual(['a', 'b', 'c']);
    await clock.advance(60_000);
    expect(clock.pending).toBe(0);
  });
});

it('the schema of a cache is asked about the chunks of a stream that the store has', async () => {
  const clock = createFakeClock();
  const shelf = memoryStore({ clock });
  const seen: unknown[] = [];
  const schema: StandardSchema = {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: (value) => {
        seen.push(value);
        return Array.isArray(value) && value.every((chunk) => typeof chunk === 'string') ? { value } : { issues: [] };
      },
    },
  };
  const cacheOf = (store: typeof shelf) => createCache({ name: 'test', clock, store, schema });
  async function* produce(): AsyncGenerator<string> {
    yield 'a';
    yield 'b';
  }
  for await (const _ of (await cacheOf(shelf).stream('key', produce)).chunks);
  await clock.settle();
  const { level } = await cacheOf(shelf.peer()).stream('key', produce);
  expect([level, seen]).toEqual(['store', [['a', 'b']]]);
});
