import { describe, expect, it, vi } from 'vitest';
import { setUp, setUpWithStore } from '../../test/cache-set-up.js';
import { chaosStore, createFakeClock, memoryStore } from '../testing/index.js';
import type { Cache, CacheOptions } from './index.js';

/** Caches of as many processes on one store, which hear each other. */
function processes(count: number, options: Omit<Partial<CacheOptions>, 'clock' | 'store'> = {}) {
  const clock = createFakeClock();
  const first = memoryStore({ clock });
  const stores = Array.from({ length: count }, (_, index) => chaosStore(index === 0 ? first : first.peer(), { clock }));
  const caches = stores.map((store) => setUp({ ...options, clock, store }).cache);
  const [cache, other] = caches as [Cache, Cache, ...Cache[]];
  return { clock, caches, stores, cache, other };
}

/** A computation that ends when it is told to, and counts how often it was begun. */
function slow<V>() {
  const { promise, resolve, reject } = Promise.withResolvers<V>();
  promise.catch(() => {});
  return { compute: vi.fn(() => promise), resolve, reject };
}

describe('a key that several processes ask for', () => {
  it('is computed once, and all of them get the value when it is there', async () => {
    const { caches, clock } = processes(4);
    const { compute, resolve } = slow<string>();
    const answers = caches.flatMap((cache) => Array.from({ length: 100 }, () => cache.resolve('key', compute)));
    await clock.advance(20_000);
    expect(compute).toHaveBeenCalledTimes(1);
    resolve('value');
    await clock.settle(); // no time passes: they are told
    const levels = new Map<string, number>();
    for (const { value, level } of await Promise.all(answers)) {
      expect(value).toBe('value');
      levels.set(level, (levels.get(level) ?? 0) + 1);
    }
    expect(Object.fromEntries(levels)).toEqual({ computed: 1, store: 3, shared: 396 });
  });

  it('is computed once more when its holder dies, by one of those who wait', async () => {
    const { caches, stores, clock, cache } = processes(4);
    void cache.getOrSet('key', () => new Promise(() => {}));
    await clock.settle();
    const { compute, resolve } = slow<string>();
    const answers = caches.slice(1).map((each) => each.getOrSet('key', compute));
    stores[0]?.trouble('hang'); // it renews nothing any more
    await clock.advance(4_900);
    expect(compute).not.toHaveBeenCalled();
    await clock.advance(1_200);
    expect(compute).toHaveBeenCalledTimes(1);
    await clock.advance(10_000);
    resolve('value');
    await clock.settle();
    expect(await Promise.all(answers)).toEqual(['value', 'value', 'value']);
    expect(compute).toHaveBeenCalledTimes(1);
  });

  it('is computed at once by the others when its holder gives up, and nobody waits for three', async () => {
    const { caches, clock } = processes(5);
    const failing = vi.fn(async () => {
      await new Promise<void>((resolve) => void clock.schedule(100, resolve));
      throw new Error('no luck');
    });
    const endedAt: number[] = [];
    for (const each of caches) each.getOrSet('key', failing).catch(() => endedAt.push(clock.now()));
    await clock.advance(10_000);
    expect(endedAt).toEqual([100, 200, 300, 300, 300]);
    expect(failing).toHaveBeenCalledTimes(5);
  });

  it('is not waited for when its value is not to be kept, or its holder has left', async () => {
    for (const way of ['not kept', 'left'] as const) {
      const { cache, other, clock } = processes(2);
      const leaving = new AbortController();
      const { promise, resolve } = Promise.withResolvers<string>();
      const first = cache.getOrSet(
        'key',
        ({ doNotStore }) => {
          doNotStore();
          return promise;
        },
        { signal: leaving.signal },
      );
      first.catch(() => {});
      await clock.settle();
      const second = other.getOrSet('key', () => 'own');
      await clock.settle();
      if (way === 'left') leaving.abort();
      else resolve('not kept');
      await clock.settle();
      expect(await second).toBe('own');
    }
  });

  it('is computed anew after it was invalidated, though what was being computed before goes on', async () => {
    for (const way of ['delete', 'clear', 'tags'] as const) {
      const { cache, other, clock } = processes(3);
      const old = slow<string>();
      const before = cache.getOrSet('key', old.compute, { tags: ['tag'] });
      await clock.settle();
      const waiting = other.getOrSet('key', () => 'new', { tags: ['tag'] });
      await clock.settle();
      if (way === 'delete') await cache.delete('key');
      else await (way === 'clear' ? cache.clear() : cache.invalidateTags(['tag']));
      await clock.advance(50);
      expect(await waiting).toBe('new');
      old.resolve('old');
      expect(await before).toBe('old');
      await clock.settle();
      for (const each of [cache, other]) expect(await each.get('key')).toMatchObject({ value: 'new' });
    }
  });

  it('is computed anew after it was invalidated while its lease was asked for', async () => {
    const { cache, stores, clock } = processes(1);
    stores[0]?.trouble([20], 'acquire');
    const old = slow<string>();
    void cache.getOrSet('key', old.compute);
    await clock.advance(10);
    await cache.delete('key');
    await clock.advance(10);
    expect(old.compute).toHaveBeenCalledTimes(1);
    const askedAt = clock.now();
    const doneAt = cache.getOrSet('key', () => 'new').then(() => clock.now());
    await clock.advance(100);
    expect(await doneAt).toBe(askedAt);
  });

  it('is not kept from its callers by one who computes for longer than anybody may', async () => {
    for (const [hardTimeout, ms] of [
      [undefined, 61_000],
      ['2s', 3_100],
    ] as const) {
      const { cache, other, clock } = processes(2, hardTimeout ? { hardTimeout } : {});
      void cache.getOrSet('key', () => new Promise(() => {})).catch(() => {});
      await clock.settle();
      const compute = vi.fn(() => 'own');
      const waiting = other.getOrSet('key', compute);
      await clock.advance(ms - 1_100);
      if (!hardTimeout) expect(compute).not.toHaveBeenCalled();
      await clock.advance(1_100);
      expect(await waiting).toBe('own');
    }
  });

  it('leaves a caller who leaves to himself, and the others wait on', async () => {
    const { cache, other, clock } = processes(2);
    const { compute, resolve } = slow<string>();
    const first = cache.getOrSet('key', compute);
    await clock.settle();
    const leaving = new AbortController();
    const own = vi.fn(() => 'own');
    const leaver = other.getOrSet('key', own, { signal: leaving.signal });
    const stayer = other.getOrSet('key', own);
    await clock.settle();
    leaving.abort(new Error('enough'));
    await expect(leaver).rejects.toThrow('enough');
    resolve('value');
    await clock.settle();
    expect([await first, await stayer]).toEqual(['value', 'value']);
    expect(own).not.toHaveBeenCalled();
  });

  it('is not computed for callers who have all left while they waited', async () => {
    const { cache, other, clock } = processes(2);
    const { compute, reject } = slow<string>();
    const first = cache.getOrSet('key', compute);
    await clock.settle();
    const leaving = new AbortController();
    const own = vi.fn(() => 'own');
    const leaver = other.getOrSet('key', own, { signal: leaving.signal });
    await clock.settle();
    leaving.abort(new Error('enough'));
    await expect(leaver).rejects.toThrow('enough');
    reject(new Error('no luck'));
    await expect(first).rejects.toThrow('no luck');
    await clock.advance(10_000);
    expect(own).not.toHaveBeenCalled();
    expect(await other.getOrSet('key', own)).toBe('own');
  });

  it('that is stale stands in for those who wait longer than they would for their own computation', async () => {
    const { cache, other, clock } = processes(2, { ttl: '1s', grace: '1h', softTimeout: '300ms' });
    await cache.getOrSet('key', () => 'old');
    await clock.advance(2_000);
    const { compute, resolve } = slow<string>();
    const first = cache.resolve('key', compute);
    await clock.settle();
    const second = other.resolve('key', () => 'own');
    await clock.advance(310);
    expect([await first, await second]).toMatchObject([
      { value: 'old', stale: 'slow' },
      { value: 'old', stale: 'slow' },
    ]);
    resolve('new');
    await clock.settle();
    expect([cache.peek('key'), (await other.get('key'))?.value]).toEqual(['new', 'new']);
  });

  it('is refreshed by one of them', async () => {
    const { caches, clock } = processes(4, { ttl: '1s', staleWhileRevalidate: '1m' });
    for (const each of caches) await each.getOrSet('key', () => 'old');
    await clock.advance(2_000);
    const { compute, resolve } = slow<string>();
    for (const each of caches) expect(await each.getOrSet('key', compute)).toBe('old');
    await clock.advance(1_000);
    expect(compute).toHaveBeenCalledTimes(1);
    resolve('new');
    await clock.settle();
    for (const each of caches) expect(each.peek('key')).toBe('new');
  });
});

describe('a lease', () => {
  it('is not taken over by who asks, in the same turn, for something that was invalidated since', async () => {
    const { cache, other, clock } = processes(2);
    const { compute, resolve } = slow<string>();
    const first = cache.getOrSet('key', compute);
    await clock.settle();
    await other.invalidateTags(['unrelated']);
    const own = vi.fn(() => 'own');
    const second = other.getOrSet('key', own);
    const unrelated = other.getOrSet('another', () => 'another', { tags: ['unrelated'] });
    await clock.settle();
    expect(await unrelated).toBe('another');
    expect(own).not.toHaveBeenCalled();
    resolve('value');
    await clock.settle();
    expect([await first, await second]).toEqual(['value', 'value']);
  });

  it('that was asked for by those who have left meanwhile is given back, and nothing computed', async () => {
    const { cache, other, stores, clock } = processes(2);
    stores[0]?.trouble([20], 'acquire');
    const leaving = new AbortController();
    const compute = vi.fn(() => 'nobody waits');
    const left = cache.getOrSet('key', compute, { signal: leaving.signal });
    await clock.advance(10);
    leaving.abort(new Error('enough'));
    await expect(left).rejects.toThrow('enough');
    await clock.advance(20);
    expect(compute).not.toHaveBeenCalled();
    const own = vi.fn(() => 'own');
    void other.getOrSet('key', own);
    await clock.settle();
    expect(own).toHaveBeenCalled();
  });

  it('that was waited for keeps no computation alive that nobody waits for', async () => {
    const { cache, other, clock } = processes(2);
    void cache.getOrSet('key', () => new Promise(() => {}));
    await clock.settle();
    const [first, second] = [new AbortController(), new AbortController()];
    const signals: AbortSignal[] = [];
    const compute = ({ signal }: { signal: AbortSignal }): Promise<never> => {
      signals.push(signal);
      return new Promise(() => {});
    };
    const waiting = other.getOrSet('key', compute, { signal: first.signal });
    await clock.settle();
    await other.delete('key');
    const anew = other.getOrSet('key', compute, { signal: second.signal });
    await clock.advance(2_000);
    first.abort(new Error('enough'));
    second.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await expect(anew).rejects.toThrow('enough');
    await clock.settle();
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
  });
});

describe('many keys of which others compute some', () => {
  it('are computed in one go as far as nobody else does, and once in all', async () => {
    const { cache, other, clock } = processes(2);
    const { compute, resolve } = slow<string>();
    const single = cache.getOrSet('b', compute);
    await clock.settle();
    const many = vi.fn((keys: readonly string[]) => keys.map((key) => `many ${key}`));
    const values = other.getOrSetMany(['a', 'b', 'c'], many);
    await clock.settle();
    expect(many.mock.calls.map(([keys]) => keys)).toEqual([['a', 'c']]);
    resolve('single b');
    await clock.settle();
    expect([await single, await values]).toEqual(['single b', ['many a', 'single b', 'many c']]);
    expect(await cache.getOrSetMany(['a', 'b', 'c'], many)).toEqual(['many a', 'single b', 'many c']);
    expect(many).toHaveBeenCalledTimes(1);
  });
});

describe('a store that goes away while somebody waits for a lease', () => {
  it.each(['hang', 'reject'] as const)(
    '(%s) holds nobody up for much longer than they have waited already',
    async (trouble) => {
      const { cache, other, stores, clock } = processes(2);
      void cache.getOrSet('key', () => new Promise(() => {}));
      await clock.settle();
      const doneAt = other.getOrSet('key', () => 'own').then(() => clock.now());
      await clock.advance(100);
      stores[1]?.trouble(trouble);
      await clock.advance(400);
      expect(await doneAt).toBeLessThanOrEqual(400);
    },
  );

  it('costs a lookup one deadline in all, wherever it stops answering', async () => {
    for (const troubles of [
      { getMany: 45 as const },
      { acquire: 'hang' as const },
      { getMany: 45 as const, acquire: 'hang' as const },
    ]) {
      const { cache, clock, store } = setUpWithStore();
      if (troubles.getMany) store.trouble(troubles.getMany, 'getMany');
      if (troubles.acquire) store.trouble(troubles.acquire, 'acquire');
      const doneAt = cache.getOrSet('key', () => 'own').then(() => clock.now());
      await clock.advance(200);
      expect(await doneAt).toBeLessThanOrEqual(50);
    }
  });

  it('keeps no lease that nobody knows of', async () => {
    const { cache, other, stores, clock } = processes(2);
    stores[0]?.trouble([60], 'acquire'); // granted when nobody waits for the answer any more
    expect(
      await Promise.all([cache.getOrSet('key', ({ doNotStore }) => doNotStore()), clock.advance(70)]),
    ).toBeDefined();
    await clock.settle();
    const compute = vi.fn(() => 'own');
    void other.getOrSet('key', compute);
    await clock.settle();
    expect(compute).toHaveBeenCalled();
  });
});

it('a lease is renewed for as long as its computation takes, and leaves nothing behind', async () => {
  const { cache, other, stores, clock } = processes(2);
  const { compute, resolve } = slow<string>();
  const first = cache.getOrSet('key', compute);
  const own = vi.fn(() => 'own');
  await clock.settle();
  const second = other.getOrSet('key', own);
  await clock.advance(40_000);
  resolve('value');
  await clock.settle();
  expect([await first, await second]).toEqual(['value', 'value']);
  expect(own).not.toHaveBeenCalled();
  expect(clock.pending).toBe(0);
  const looks = stores[1]?.calls.length ?? 0;
  expect(looks).toBeLessThan(130); // two calls a look, about one a second: never hot
});
