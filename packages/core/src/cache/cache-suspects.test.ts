import { describe, expect, it, vi } from 'vitest';
import { setUp } from '../../test/cache-set-up.js';
import { chaosStore, createFakeClock, memoryStore } from '../testing/index.js';
import type { CacheOptions, CacheStore } from './index.js';

/** A cache on a store whose news can be lost: then it says that there is a gap, or that it has heard nothing for so long. */
function setUpDeaf(options: Omit<Partial<CacheOptions>, 'clock' | 'store'> = {}) {
  const clock = createFakeClock();
  const shelf = memoryStore({ clock });
  let isDeaf = false;
  let hasGap = false;
  let deafSince = 0;
  const deaf: CacheStore = {
    ...shelf,
    openFeed: (namespace) => {
      const feed = shelf.openFeed?.(namespace);
      if (!feed) throw new Error('It has a feed');
      return {
        ...feed,
        poll: () => {
          const news = feed.poll(); // what comes while nobody listens is lost
          if (isDeaf) return undefined;
          if (!hasGap) return news;
          hasGap = false;
          return 'gap';
        },
        silentMs: () => (isDeaf ? clock.now() - deafSince : 0),
      };
    },
  };
  const store = chaosStore(deaf, { clock });
  return {
    ...setUp({ ...options, clock, store }),
    store,
    other: setUp({ ...options, clock, store: shelf.peer() }).cache,
    deafen: () => {
      isDeaf = true;
      deafSince = clock.now();
    },
    /** It hears again, and knows that it has missed something. */
    hear: () => {
      isDeaf = false;
      hasGap = true;
    },
  };
}

const never = vi.fn(() => 'computed in vain');

describe('after a gap in the news, what memory holds', () => {
  it('is confirmed by the store at its next use, in one read and without being computed again', async () => {
    const { cache, clock, store, deafen, hear, log } = setUpDeaf();
    await cache.getOrSet('key', () => ({ value: 1 }));
    await clock.settle();
    deafen();
    hear();
    const before = store.calls.length;
    expect(cache.peek('key')).toBeUndefined();
    expect(log).toContain('cache.invalidated gap 1 foreign');
    const [one, two] = await Promise.all([cache.resolve('key', never), cache.resolve('key', never)]);
    expect([one, two]).toMatchObject([{ value: { value: 1 }, level: 'store' }, { level: 'shared' }]);
    expect(store.calls.slice(before).map((call) => call.split(' ')[0])).toEqual(['getMany']);
    expect(await cache.resolve('key', never)).toMatchObject({ level: 'memory' });
    expect(never).not.toHaveBeenCalled();
  });

  it.each(['delete', 'tags', 'clear', 'expire', 'set'] as const)(
    'is not served when it was invalidated meanwhile (%s)',
    async (way) => {
      for (const ask of ['peek', 'get', 'getMany', 'resolve', 'getOrSet', 'getOrSetMany'] as const) {
        const { cache, clock, other, deafen, hear } = setUpDeaf({ grace: '1h', staleWhileRevalidate: '1h' });
        await cache.getOrSet('key', () => 'old', { tags: ['tag'] });
        await clock.settle();
        deafen();
        if (way === 'tags') await other.invalidateTags(['tag']);
        else if (way === 'clear') await other.clear();
        else if (way === 'set') await other.set('key', 'new');
        else await other[way]('key');
        await clock.settle();
        hear();
        const asked = {
          peek: () => cache.peek('key'),
          get: async () => (await cache.get('key'))?.value,
          getMany: async () => (await cache.getMany(['key']))[0]?.value,
          resolve: async () => (await cache.resolve('key', () => 'new')).value,
          getOrSet: () => cache.getOrSet('key', () => 'new'),
          getOrSetMany: async () => (await cache.getOrSetMany(['key'], () => ['new']))[0],
        };
        expect(await asked[ask]()).toBe(
          ask === 'peek'
            ? undefined
            : ask.startsWith('get') && !ask.startsWith('getOr') && way !== 'set'
              ? undefined
              : 'new',
        );
      }
    },
  );

  it('does not stand in either, unless the store has it still', async () => {
    const { cache, clock, other, deafen, hear } = setUpDeaf({ ttl: '1s', grace: '1h', staleWhileRevalidate: '1m' });
    for (const key of ['kept', 'deleted']) await cache.getOrSet(key, () => 'old');
    await clock.advance(2_000);
    deafen();
    await other.delete('deleted');
    hear();
    const failing = (): never => {
      throw new Error('no luck');
    };
    expect(await cache.resolve('kept', failing)).toMatchObject({ value: 'old', stale: 'revalidating' });
    await expect(cache.resolve('deleted', failing)).rejects.toThrow('no luck');
  });

  it('is dropped where the store has nothing to compare it with', async () => {
    const { cache, clock, store, deafen, hear } = setUpDeaf();
    store.trouble('reject', 'setMany');
    await cache.getOrSet('key', () => 'only in memory');
    await clock.settle();
    store.trouble(undefined);
    deafen();
    hear();
    expect(await cache.getOrSet('key', () => 'computed again')).toBe('computed again');
  });

  it('and that the store has denied is not served when the store is away then', async () => {
    const { cache, clock, other, store, deafen, hear } = setUpDeaf();
    await cache.getOrSet('key', () => 'old');
    await clock.settle();
    deafen();
    await other.delete('key');
    hear();
    expect(await cache.get('key')).toBeUndefined();
    store.trouble('reject');
    for (let call = 0; call < 10; call++) await cache.get('unknown');
    expect(cache.peek('key')).toBeUndefined();
    expect(await cache.get('key')).toBeUndefined();
  });

  it('goes on being served while the store is away, at once as soon as that is known', async () => {
    const { cache, clock, store, deafen, hear } = setUpDeaf();
    await cache.getOrSet('key', () => 'value');
    await clock.settle();
    deafen();
    hear();
    store.trouble('hang');
    const waits: number[] = [];
    for (let call = 0; call < 10; call++) {
      const askedAt = clock.now();
      const answer = cache.resolve('key', never).then((result) => {
        waits.push(clock.now() - askedAt);
        return result;
      });
      await clock.advance(50);
      expect(await answer).toMatchObject({ value: 'value', level: 'memory', stale: false });
    }
    expect(waits).toEqual([50, 50, 50, 50, 50, 0, 0, 0, 0, 0]);
    expect(cache.peek('key')).toBe('value');
    store.trouble(undefined);
    await clock.advance(40_000); // it is worth asking again
    expect(cache.peek('key')).toBeUndefined();
    expect(await cache.resolve('key', never)).toMatchObject({ level: 'store' });
    expect(never).not.toHaveBeenCalled();
  });

  it('and what is under way is not joined by newcomers', async () => {
    const { cache, clock, deafen, hear } = setUpDeaf();
    const { promise, resolve } = Promise.withResolvers<string>();
    const before = cache.getOrSet('key', () => promise);
    await clock.settle();
    deafen();
    hear();
    const after = cache.getOrSet('key', () => 'new');
    await clock.settle();
    expect(await after).toBe('new');
    resolve('old');
    expect(await before).toBe('old');
    expect((await cache.get('key'))?.value).toBe('new');
  });
});

describe('when nothing can be heard, what memory holds', () => {
  it('is served for the stale window, and then not until something is heard again', async () => {
    const { cache, clock, store, deafen, hear } = setUpDeaf({ ttl: '1h', staleWindow: '10s', grace: '1h' });
    await cache.getOrSet('key', () => 'value');
    await clock.settle();
    deafen();
    store.trouble('reject');
    await clock.advance(10_000);
    expect(cache.peek('key')).toBe('value');
    await clock.advance(101);
    expect(cache.peek('key')).toBeUndefined();
    expect(await cache.getOrSet('key', () => 'own')).toBe('own');
    await clock.advance(9_900);
    expect(cache.peek('key')).toBe('own');
    await clock.advance(200);
    expect(cache.peek('key')).toBeUndefined();
    store.trouble(undefined);
    hear();
    await clock.advance(40_000);
    expect(await cache.resolve('key', never)).toMatchObject({ value: 'value', level: 'store' });
    expect(cache.peek('key')).toBe('value');
  });

  it('is served for five minutes by default, and not at all with no window', async () => {
    for (const [staleWindow, ms] of [
      [undefined, 300_000],
      [0, 0],
    ] as const) {
      const { cache, clock, deafen } = setUpDeaf({ ttl: '1h', ...(staleWindow === undefined ? {} : { staleWindow }) });
      await cache.getOrSet('key', () => 'value');
      await clock.settle();
      deafen();
      await clock.advance(ms);
      expect(cache.peek('key')).toBe('value');
      await clock.advance(101);
      expect(cache.peek('key')).toBeUndefined();
    }
  });

  it('is shared still while it is computed', async () => {
    const { cache, clock, store, deafen } = setUpDeaf({ staleWindow: '1s' });
    deafen();
    store.trouble('reject');
    await clock.advance(5_000);
    const { promise, resolve } = Promise.withResolvers<string>();
    const compute = vi.fn(() => promise);
    const answers = [cache.getOrSet('key', compute)];
    await clock.advance(1_000);
    answers.push(cache.getOrSet('key', compute));
    resolve('value');
    expect(await Promise.all(answers)).toEqual(['value', 'value']);
    expect(compute).toHaveBeenCalledTimes(1);
  });
});
