import { describe, expect, it, vi } from 'vitest';
import { deferred, failing, setUp, setUpWithStore, watch } from '../../test/cache-set-up.js';

const upper = (keys: readonly string[]): string[] => keys.map((key) => key.toUpperCase());
const reads = (calls: readonly string[]): number => calls.filter((call) => call.startsWith('getMany')).length;
const writes = (calls: readonly string[]): number => calls.filter((call) => call.startsWith('setMany')).length;

describe('getMany', () => {
  it('gives what there is in the order of the keys, in one round trip for all that memory does not hold', async () => {
    const { cache, clock, store, another } = setUpWithStore();
    await another().cache.setMany([
      ['a', 1],
      ['b', undefined],
      ['c', 3],
    ]);
    await clock.settle();
    await cache.get('b');
    const before = reads(store.calls);
    const results = await cache.getMany(['c', 'missing', 'b', 'a', 'c']);
    expect(results).toMatchObject([
      { value: 3, level: 'store' },
      undefined,
      { value: undefined, level: 'memory' },
      { value: 1, level: 'store' },
      { value: 3, level: 'store' },
    ]);
    expect(reads(store.calls) - before).toBe(1);
    expect((await cache.getMany(['a', 'b', 'c'])).map((result) => result?.level)).toEqual(Array(3).fill('memory'));
    expect(reads(store.calls) - before).toBe(1);
  });

  it('asks nobody for no keys', async () => {
    const { cache, store } = setUpWithStore();
    expect(await cache.getMany([])).toEqual([]);
    expect(await cache.getOrSetMany([], failing())).toEqual([]);
    await cache.setMany([]);
    expect(store.calls).toEqual([]);
  });

  it('gives what memory holds when the store does not answer in time', async () => {
    const { cache, clock, store } = setUpWithStore();
    await cache.set('a', 1);
    store.trouble('hang');
    const results = cache.getMany(['a', 'b']);
    await clock.advance(50);
    expect(await results).toMatchObject([{ value: 1 }, undefined]);
  });
});

describe('setMany', () => {
  it('keeps all of them in one round trip, the last one of two with the same key', async () => {
    const { cache, clock, store, another } = setUpWithStore();
    await cache.setMany(
      new Map<unknown, unknown>([
        ['a', 1],
        [{ b: 1 }, 2],
      ]),
      { tags: ['red'] },
    );
    await cache.setMany(
      [
        ['c', 3],
        ['c', 4],
        ['d', 5],
        ['d', () => 6],
      ],
      { ttl: '1s' },
    );
    await clock.settle();
    expect(writes(store.calls)).toBe(2);
    for (const each of [cache, another().cache]) {
      const values = (await each.getMany(['a', { b: 1 }, 'c', 'd'])).map((result) => result?.value);
      expect(values).toEqual([1, 2, 4, undefined]);
    }
    await cache.invalidateTags(['red']);
    expect((await cache.getMany(['a', { b: 1 }, 'c'])).map(Boolean)).toEqual([false, false, true]);
    await clock.advance(1_000);
    expect(await cache.get('c')).toBeUndefined();
  });
});

describe('getOrSetMany', () => {
  it('asks memory, then the store in one round trip, then one computation for all the rest, in order', async () => {
    const { cache, clock, store, another } = setUpWithStore();
    await another().cache.set('b', 'stored');
    await clock.settle();
    await cache.set('d', 'in memory');
    await clock.settle();
    const before = [reads(store.calls), writes(store.calls)] as const;
    const compute = vi.fn(upper);
    expect(await cache.getOrSetMany(['a', 'b', 'c', 'd', 'a'], compute)).toEqual([
      'A',
      'stored',
      'C',
      'in memory',
      'A',
    ]);
    await clock.settle();
    expect(compute.mock.calls.map(([keys]) => keys)).toEqual([['a', 'c']]);
    expect([reads(store.calls) - before[0], writes(store.calls) - before[1]]).toEqual([1, 1]);
    expect(await cache.getOrSetMany(['c', 'b', 'a'], compute)).toEqual(['C', 'stored', 'A']);
    expect(compute).toHaveBeenCalledTimes(1);
    expect((await another().cache.getMany(['a', 'c'])).map((result) => result?.value)).toEqual(['A', 'C']);
  });

  it('gives the computation the keys as the caller wrote them, in copies', async () => {
    const { cache } = setUp();
    const compute = vi.fn((users: readonly { readonly id: number }[]) => users.map(({ id }) => `user ${id}`));
    const keys = [{ id: 1 }, { id: 2 }];
    expect(await cache.getOrSetMany(keys, compute)).toEqual(['user 1', 'user 2']);
    expect(compute.mock.calls[0]?.[0]).toEqual(keys);
  });

  it('joins what single calls compute, and single calls join it, as do others of its kind', async () => {
    const { cache, clock } = setUp();
    const single = deferred();
    const alone = cache.resolve('a', single.compute);
    const many = deferred<string[]>();
    const compute = vi.fn((_keys: readonly string[], computation) => many.compute(computation));
    const all = watch(cache.getOrSetMany(['a', 'b', 'c'], compute));
    const other = vi.fn(upper);
    const others = cache.getOrSetMany(['c', 'd'], other);
    const joins = cache.resolve('b', failing());
    await clock.settle();
    expect(compute.mock.calls.map(([keys]) => keys)).toEqual([['b', 'c']]);
    expect(other.mock.calls.map(([keys]) => keys)).toEqual([['d']]);
    many.resolve(['of b', 'of c']);
    expect(await joins).toMatchObject({ value: 'of b', level: 'shared' });
    expect(await others).toEqual(['of c', 'D']);
    expect(all.outcome()).toBe('pending');
    single.resolve('of a');
    expect(await alone).toMatchObject({ level: 'computed' });
    await clock.settle();
    expect(all.outcome()).toEqual(['of a', 'of b', 'of c']);
  });

  it('takes ttl, tags and what the computation decides for all of them', async () => {
    const { cache, clock } = setUp({ negativeTtl: '1s' });
    await cache.getOrSetMany(
      ['a', 'b'],
      (keys, { addTags }) => {
        addTags('blue');
        return upper(keys);
      },
      { ttl: '5s', tags: ['red'] },
    );
    await cache.getOrSetMany(['c', 'd'], (keys, { setTtl }) => {
      setTtl('2s');
      return upper(keys);
    });
    await cache.getOrSetMany(['e'], (keys, { doNotStore }) => {
      doNotStore();
      return upper(keys);
    });
    await cache.getOrSetMany(['f', 'g'], () => [null, 0]);
    const kept = async () => (await cache.getMany([...'abcdefg'])).map((result) => (result ? 1 : 0)).join('');
    expect(await kept()).toBe('1111011');
    await clock.advance(1_000);
    expect(await kept()).toBe('1111001');
    await clock.advance(1_000);
    expect(await kept()).toBe('1100001');
    await cache.invalidateTags(['blue']);
    expect(await kept()).toBe('0000001');
  });

  it('counts for each key its part of what the computation took', async () => {
    const { cache, clock, events } = setUp();
    const { compute, resolve } = deferred<string[]>();
    const all = cache.getOrSetMany(['a', 'b'], (_, computation) => compute(computation));
    await clock.advance(300);
    resolve(['A', 'B']);
    await all;
    await cache.getMany(['a', 'b']);
    expect(events.slice(-2)).toMatchObject([{ savedMs: 150 }, { savedMs: 150 }]);
  });

  it.each<[string, unknown, string, number | undefined]>([
    ['too few values', ['A'], '1 value for 2 keys', 1],
    ['too many values', ['A', 'B', 'C'], '3 values for 2 keys', 3],
    ['no list', { a: 'A' }, 'no list of values (object) for 2 keys', undefined],
  ])('refuses %s, naming both numbers, and keeps none of them', async (_, values, said, got) => {
    const { cache } = setUp();
    const compute = (() => values) as () => string[];
    await expect(cache.getOrSetMany(['a', 'b'], compute)).rejects.toMatchObject({
      code: 'WP_BATCH_MISMATCH',
      message: `A computation of cache 'test' gave ${said}.`,
      details: { cache: 'test', expected: 2, got },
    });
    expect(await cache.getMany(['a', 'b'])).toEqual([undefined, undefined]);
  });

  it('fails as a whole with its computation, which runs once, and keeps what it had', async () => {
    const { cache } = setUp();
    await cache.set('a', 'kept');
    const compute = failing();
    await expect(cache.getOrSetMany(['a', 'b', 'c'], compute)).rejects.toThrow('no luck');
    expect(compute).toHaveBeenCalledTimes(1);
    expect(cache.peek('a')).toBe('kept');
  });

  it('lets stale values stand in for those that fail', async () => {
    const { cache, clock } = setUp({ ttl: '1s', grace: '1m' });
    await cache.setMany([
      ['a', 'old a'],
      ['b', 'old b'],
    ]);
    await clock.advance(1_000);
    const compute = failing();
    expect(await cache.getOrSetMany(['a', 'b'], compute)).toEqual(['old a', 'old b']);
    expect(await cache.getOrSetMany(['b', 'a'], compute)).toEqual(['old b', 'old a']);
    expect(compute).toHaveBeenCalledTimes(1);
  });

  it('refreshes all that is stale in one computation in the background, beside the one for what is missing', async () => {
    const { cache, clock } = setUp({ ttl: '1s', staleWhileRevalidate: '1m' });
    await cache.setMany([
      ['a', 'old a'],
      ['b', 'old b'],
    ]);
    await clock.advance(1_000);
    const compute = vi.fn(upper);
    expect(await cache.getOrSetMany(['a', 'c', 'b'], compute)).toEqual(['old a', 'C', 'old b']);
    expect(compute.mock.calls.map(([keys]) => keys)).toEqual([['a', 'b'], ['c']]);
    expect(await cache.getOrSetMany(['a', 'b', 'c'], compute)).toEqual(['A', 'B', 'C']);
    expect(compute).toHaveBeenCalledTimes(2);
  });

  it('serves what is stale in the store at once, too, and computes it with what is missing', async () => {
    const { cache, clock, another } = setUpWithStore({ ttl: '1s', staleWhileRevalidate: '1m' });
    await cache.set('a', 'old a');
    await clock.advance(1_000);
    const restarted = another().cache;
    const { compute, resolve } = deferred<string[]>();
    const seen = vi.fn((_keys: readonly string[], computation) => compute(computation));
    const all = watch(restarted.getOrSetMany(['a', 'b'], seen));
    await clock.settle();
    expect(seen.mock.calls.map(([keys]) => keys)).toEqual([['a', 'b']]);
    expect(await restarted.resolve('a', failing())).toMatchObject({ value: 'old a', stale: 'revalidating' });
    resolve(['A', 'B']);
    await clock.settle();
    expect(all.outcome()).toEqual(['old a', 'B']);
    expect(restarted.peek('a')).toBe('A');
  });

  it('goes on for others when one caller leaves, and is aborted when all have left', async () => {
    const { cache, clock, log } = setUp();
    const { compute, signals, reject } = deferred<string[]>();
    const [first, second] = [new AbortController(), new AbortController()];
    const keys = ['a', 'b'];
    const all = cache.getOrSetMany(keys, (_, computation) => compute(computation), { signal: first.signal });
    const one = cache.getOrSet('b', failing(), { signal: second.signal });
    await clock.settle();
    first.abort(new Error('first'));
    await expect(all).rejects.toThrow('first');
    expect(signals[0]?.aborted).toBe(false);
    expect(await cache.getOrSet('a', () => 'nobody waited for the other')).toBe('nobody waited for the other');
    second.abort(new Error('second'));
    await expect(one).rejects.toThrow('second');
    expect(signals[0]?.reason).toEqual(new Error('second'));
    reject(new Error('aborted'));
    await clock.settle();
    expect(log.filter((each) => each === 'cache.unstored abandoned')).toHaveLength(2);
    expect(cache.peek('a')).toBe('nobody waited for the other');
  });

  it('keeps the key that was deleted meanwhile from being kept, and no other', async () => {
    const { cache, clock } = setUp();
    const { compute, resolve } = deferred<string[]>();
    const all = cache.getOrSetMany(['a', 'b', 'c'], (_, computation) => compute(computation));
    await clock.settle();
    await cache.delete('b');
    resolve(['A', 'B', 'C']);
    expect(await all).toEqual(['A', 'B', 'C']);
    expect((await cache.getMany(['a', 'b', 'c'])).map((result) => result?.value)).toEqual(['A', undefined, 'C']);
  });

  it('runs out of time for those that are slow, and gives what stands in for the others', async () => {
    const { cache, clock } = setUp({ ttl: '1s', grace: '1m', softTimeout: 100, hardTimeout: 500 });
    await cache.set('a', 'old a');
    await clock.advance(1_000);
    const { compute, resolve } = deferred<string[]>();
    const all = watch(cache.getOrSetMany(['a', 'b'], (_, computation) => compute(computation)));
    await clock.advance(499);
    expect(all.outcome()).toBe('pending'); // for b there is nothing
    resolve(['A', 'B']);
    await clock.settle();
    expect(all.outcome()).toEqual(['old a', 'B']);
    expect(cache.peek('a')).toBe('A');
    expect(clock.pending).toBe(0);
  });
});
