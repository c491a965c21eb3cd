import { describe, expect, it, vi } from 'vitest';
import { deferred, failing, setUp, setUpWithStore, watch, withoutFeed } from '../../test/cache-set-up.js';
import { createFakeClock, type FakeClock, memoryStore } from '../testing/index.js';
import type { Cache, CacheOptions, CacheResult, Computation } from './index.js';

const grace = '1h';

/** What makes an end of `old`, and what there is then for those who compute `new`. */
const invalidations: Record<string, { readonly run: (cache: Cache) => Promise<unknown>; readonly left: string }> = {
  'delete()': { run: (cache) => cache.delete('key'), left: 'new' },
  'expire()': { run: (cache) => cache.expire('key'), left: 'new' },
  'set()': { run: (cache) => cache.set('key', 'set'), left: 'set' },
  'setMany()': { run: (cache) => cache.setMany([['key', 'set']]), left: 'set' },
  'invalidateTags() of a tag that the call names': { run: (cache) => cache.invalidateTags(['declared']), left: 'new' },
  'invalidateTags() of a tag that only the computation names': {
    run: (cache) => cache.invalidateTags(['inside']),
    left: 'new',
  },
  'clear()': { run: (cache) => cache.clear(), left: 'new' },
};

const tiers: Record<string, (clock: FakeClock) => Omit<Partial<CacheOptions>, 'clock'>> = {
  'in memory alone': () => ({}),
  'with a store': () => ({ store: memoryStore() }),
  'with a store that tells no news': () => ({ store: withoutFeed(memoryStore()) }),
};

const call = { tags: ['declared'] };

/** Names its other tag as late as it can. */
function computing() {
  const { compute, resolve } = deferred();
  const seen = vi.fn(async (computation: Computation) => {
    const value = await compute(computation);
    computation.addTags('inside');
    return value;
  });
  return { compute: seen, resolve };
}

const anew = () => computed('new');
const computed =
  (value: string) =>
  ({ addTags }: Computation) => {
    addTags('inside');
    return value;
  };

describe.each(Object.entries(tiers))('%s', (_, optionsOf) => {
  describe.each(Object.entries(invalidations))('%s', (name, { run, left }) => {
    const make = (options: Omit<Partial<CacheOptions>, 'clock'> = {}) => {
      const clock = createFakeClock();
      return setUp({ clock, grace, ...optionsOf(clock), ...options });
    };

    it('during a computation: those before get its value, nobody after does, and it is not kept', async () => {
      const { cache, clock, log } = make();
      const old = computing();
      const before = cache.getOrSet('key', old.compute, call);
      await clock.settle();
      await run(cache);
      const after = watch(cache.getOrSet('key', anew(), call));
      await clock.settle();
      old.resolve('old');
      expect(await before).toBe('old');
      await clock.settle();
      expect(after.outcome()).toBe(left);
      expect(await cache.get('key')).toMatchObject({ value: left });
      expect(log).toContain('cache.unstored invalidated');
    });

    it('during a computation that nobody asks for afterwards: nothing is left of it', async () => {
      const { cache, clock } = make();
      const old = computing();
      const before = cache.getOrSet('key', old.compute, call);
      await clock.settle();
      await run(cache);
      old.resolve('old');
      expect(await before).toBe('old');
      expect((await cache.get('key'))?.value).toBe(left === 'set' ? 'set' : undefined);
      expect(await cache.resolve('key', anew(), call)).toMatchObject({ value: left, stale: false });
    });

    it('during a refresh in the background: its value is not kept, and newcomers do not wait for it', async () => {
      const { cache, clock } = make({ ttl: '1s', staleWhileRevalidate: '1m' });
      await cache.getOrSet('key', computed('older'), call);
      await clock.advance(1_000);
      const old = computing();
      expect(await cache.getOrSet('key', old.compute, call)).toBe('older');
      await clock.settle();
      await run(cache);
      expect(await cache.getOrSet('key', anew(), call)).toBe(left);
      old.resolve('old');
      await clock.settle();
      expect(await cache.get('key')).toMatchObject({ value: left });
    });

    it('of what is kept: memory and store have nothing that is served', async () => {
      const { cache } = make({ staleWhileRevalidate: '1m' });
      await cache.getOrSet('key', computed('old'), call);
      await run(cache);
      expect((await cache.get('key'))?.value).toBe(left === 'set' ? 'set' : undefined);
      expect(cache.peek('key')).toBe(left === 'set' ? 'set' : undefined);
      expect(await cache.resolve('key', anew(), call)).toMatchObject({ value: left, stale: false });
    });

    it(`while a stale value stands in: it ${name === 'expire()' ? 'still does' : 'does not any more'}`, async () => {
      const { cache, clock } = make({ ttl: '1s' });
      await cache.getOrSet('key', computed('old'), call);
      await clock.advance(1_000);
      const { compute, reject } = deferred();
      const before = watch(cache.resolve('key', compute, call));
      await clock.settle();
      await run(cache);
      const after = watch(cache.resolve('key', failing('nor later'), call));
      reject(new Error('no luck'));
      await clock.settle();
      const old = { value: 'old', stale: 'failed' };
      if (name === 'expire()') expect([before.outcome(), after.outcome()]).toMatchObject([old, old]);
      else expect(before.outcome()).toMatchObject({ failed: new Error('no luck') });
      if (left === 'set') expect(after.outcome()).toMatchObject({ value: 'set', stale: false });
      else if (name !== 'expire()') expect(after.outcome()).toMatchObject({ failed: expect.any(Error) });
    });
  });
});

describe.each(Object.entries(invalidations))('%s while the store is asked', (name, { run, left }) => {
  const isStale = name === 'expire()';

  it.each(['getOrSet', 'getOrSetMany', 'get', 'getMany'] as const)(
    'by %s: what it had is not served or kept',
    async (way) => {
      const { cache, clock, store, another } = setUpWithStore({ grace });
      await another().cache.getOrSet('key', computed('old'), call);
      await clock.settle();
      store.trouble([20], 'getMany');
      const fresh = vi.fn(computed('new'));
      const read: Record<typeof way, () => Promise<unknown>> = {
        getOrSet: () => cache.getOrSet('key', fresh, call),
        getOrSetMany: async () =>
          (await cache.getOrSetMany(['key'], (_, computation) => [fresh(computation)], call))[0],
        get: async () => (await cache.get('key'))?.value,
        getMany: async () => (await cache.getMany(['key']))[0]?.value,
      };
      const before = watch(read[way]());
      await clock.advance(10);
      await run(cache);
      await clock.advance(10);
      const isComputed = way.startsWith('getOrSet');
      expect(before.outcome()).toBe(left === 'set' ? 'set' : isComputed ? 'new' : undefined);
      if (!isComputed || left === 'set')
        expect((await cache.get('key'))?.value).toBe(left === 'set' ? 'set' : undefined);
      expect(await cache.resolve('key', computed('new'), call)).toMatchObject({ value: left, stale: false });
      await clock.settle();
      expect((await another().cache.get('key'))?.value).toBe(left);
    },
  );

  it(`by a computation that will fail: it does${isStale ? '' : ' not'} stand in`, async () => {
    const { cache, clock, store, another } = setUpWithStore({ grace, ttl: '1s' });
    await another().cache.getOrSet('key', computed('old'), call);
    await clock.advance(1_000);
    store.trouble([20], 'getMany');
    const before = watch(cache.resolve('key', failing(), call));
    await clock.advance(10);
    await run(cache);
    await clock.advance(10);
    if (left === 'set') expect(before.outcome()).toMatchObject({ value: 'set', stale: false });
    else expect(before.outcome()).toMatchObject({ failed: new Error('no luck') });
    const after = cache.resolve('key', failing(), call);
    if (isStale) expect(await after).toMatchObject({ value: 'old', stale: 'failed' });
    else if (left === 'set') expect(await after).toMatchObject({ value: 'set', stale: false });
    else await expect(after).rejects.toThrow('no luck');
  });
});

it.each(['delete', 'tags', 'clear'] as const)(
  'a value stands in no more after %s, though nobody else has asked',
  async (way) => {
    for (const make of [setUp, setUpWithStore]) {
      const { cache, clock } = make({ ttl: '1s', grace });
      await cache.getOrSet('key', computed('old'), call);
      await clock.advance(1_000);
      const { compute, reject } = deferred();
      const before = cache.resolve('key', compute);
      await clock.settle();
      if (way === 'delete') await cache.delete('key');
      else await (way === 'clear' ? cache.clear() : cache.invalidateTags(['inside']));
      reject(new Error('no luck'));
      await expect(before).rejects.toThrow('no luck');
    }
  },
);

describe('what another process invalidates', () => {
  it('is heard of before a value that it covers is kept', async () => {
    for (const way of ['delete', 'tags', 'clear'] as const) {
      const { cache, clock, another, log } = setUpWithStore();
      const old = computing();
      const before = cache.getOrSet('key', old.compute, call);
      await clock.settle();
      const other = another().cache;
      if (way === 'delete') await other.delete('key');
      else await (way === 'clear' ? other.clear() : other.invalidateTags(['inside']));
      old.resolve('old');
      expect(await before).toBe('old');
      expect(log.at(-1)).toBe('cache.unstored invalidated');
    }
  });

  it('while this one could not read the store is not brought back by what it has computed meanwhile', async () => {
    for (const trouble of ['reject', 'hang'] as const) {
      const { cache, clock, store, another } = setUpWithStore();
      store.trouble([trouble], 'getMany');
      const { compute, resolve } = deferred();
      const before = cache.getOrSet('key', compute);
      await clock.advance(50);
      await another().cache.delete('key');
      resolve('old');
      await before;
      await clock.settle();
      expect(await another().cache.get('key')).toBeUndefined();
      expect(cache.peek('key')).toBeUndefined();
    }
  });

  const others = Object.entries(invalidations).filter(([name]) => !name.startsWith('set'));

  it.each(others)('by %s is not served from memory, nor kept when it was being computed', async (_, { run }) => {
    const { cache, clock, another, log } = setUpWithStore({ grace });
    const other = another().cache;
    await cache.getOrSet('key', computed('old'), call);
    await clock.settle();
    expect(await other.get('key')).toMatchObject({ value: 'old', level: 'store' });
    const old = computing();
    await cache.delete('other');
    const before = cache.getOrSet('other', old.compute, call);
    await clock.settle();
    await run(other);
    await other.delete('other');
    expect(cache.peek('key')).toBeUndefined();
    expect(await cache.getOrSet('key', anew(), call)).toBe('new');
    expect(log.some((each) => each.endsWith('foreign'))).toBe(true);
    old.resolve('old');
    expect(await before).toBe('old');
    await clock.settle();
    for (const each of [cache, other, another().cache]) expect(await each.get('other')).toBeUndefined();
  });

  it('is not served, too, where the store cannot say any more what it was', async () => {
    const clock = createFakeClock();
    const store = memoryStore();
    let news: 'gap' | undefined;
    const gappy = { ...store, openFeed: () => ({ poll: () => news, close: () => {} }) };
    const { cache, log } = setUp({ clock, store: gappy });
    await cache.set('key', 'old');
    const { compute, resolve } = deferred();
    const before = cache.getOrSet('other', compute);
    await clock.settle();
    expect(cache.peek('key')).toBe('old');
    news = 'gap';
    expect(cache.peek('key')).toBeUndefined();
    news = undefined;
    resolve('old');
    expect(await before).toBe('old');
    expect(cache.peek('other')).toBeUndefined();
    expect(log).toContain('cache.invalidated gap 1 foreign');
  });
});

describe('expire', () => {
  const reads = async (cache: Cache): Promise<(CacheResult<unknown> | undefined)[]> => [
    await cache.get('key'),
    (await cache.getMany(['key']))[0],
  ];

  it('keeps a value for its grace: it is not served, and stands in when the next computation fails or is slow', async () => {
    const { cache, clock, another } = setUpWithStore({ grace, softTimeout: 100 });
    await cache.set('key', 'old');
    await clock.settle();
    await cache.expire('key');
    for (const each of [cache, another().cache]) {
      expect(await reads(each)).toEqual([undefined, undefined]);
      const slow = deferred();
      const waits = watch(each.resolve('key', slow.compute));
      await clock.advance(100);
      expect(waits.outcome()).toMatchObject({ value: 'old', stale: 'slow' });
      slow.reject(new Error('no luck'));
      await clock.settle();
      expect(await each.resolve('key', failing())).toMatchObject({ value: 'old', stale: 'failed' });
    }
  });

  it('lets a computation ask whether it has changed', async () => {
    const { cache, clock } = setUp({ grace });
    await cache.set('key', 'old');
    await clock.advance(500);
    await cache.expire('key');
    const asked = cache.resolve('key', ({ previous, notModified }) => {
      expect(previous).toEqual({ value: 'old', ageMs: 500 });
      return notModified();
    });
    expect(await asked).toMatchObject({ value: 'old', ageMs: 0, stale: false });
    expect(cache.peek('key')).toBe('old');
  });

  it('is a delete where there is no grace, and at the end of the grace', async () => {
    const plain = setUp();
    await plain.cache.set('key', 'old');
    await plain.cache.expire('key');
    await expect(plain.cache.getOrSet('key', failing())).rejects.toThrow('no luck');
    const { cache, clock } = setUp({ ttl: '1s', grace: '1m' });
    await cache.set('key', 'old');
    await cache.expire('key');
    await clock.advance(61_000);
    await expect(cache.getOrSet('key', failing())).rejects.toThrow('no luck');
  });

  it('of what is not there is nothing', async () => {
    const { cache, log } = setUp({ grace });
    expect(await cache.expire('key')).toEqual({ deferred: false });
    expect(log).toEqual(['cache.invalidated expire 1']);
  });
});
