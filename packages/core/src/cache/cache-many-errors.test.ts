import { describe, expect, it, vi } from 'vitest';
import { deferred, failing, setUp, setUpWithStore, watch } from '../../test/cache-set-up.js';

const poison = new Error('poison');

/** Upper case, and an Error in the place of what begins with "bad". */
const upper = (keys: readonly string[]): (string | Error)[] =>
  keys.map((key) => (key.startsWith('bad') ? new Error(`${key} is bad`) : key.toUpperCase()));

describe('an Error in the place of a value, in getOrSetMany', () => {
  it('fails its key alone: the others are kept, and the call rejects with the first of them', async () => {
    const { cache } = setUp();
    await expect(cache.getOrSetMany(['a', 'bad 1', 'b', 'bad 2'], upper)).rejects.toThrow('bad 1 is bad');
    expect((await cache.getMany(['a', 'bad 1', 'b', 'bad 2'])).map((result) => result?.value)).toEqual([
      'A',
      undefined,
      'B',
      undefined,
    ]);
    const compute = vi.fn(upper);
    await expect(cache.getOrSetMany(['a', 'bad 2'], compute)).rejects.toThrow('bad 2 is bad');
    expect(compute.mock.calls.map(([keys]) => keys)).toEqual([['bad 2']]);
  });

  it('reaches all who wait for its key, and nobody who waits for another one', async () => {
    const { cache, clock, log } = setUp();
    const { compute, resolve } = deferred<(string | Error)[]>();
    const all = watch(cache.getOrSetMany(['a', 'b', 'c'], (_, computation) => compute(computation)));
    const good = [
      watch<unknown>(cache.getOrSetMany(['a', 'c'], failing())),
      watch<unknown>(cache.getOrSet('c', failing())),
    ];
    const bad = [
      watch<unknown>(cache.getOrSet('b', failing())),
      watch<unknown>(cache.getOrSetMany(['c', 'b'], failing())),
    ];
    await clock.settle();
    resolve(['A', poison, 'C']);
    await clock.settle();
    expect(good.map(({ outcome }) => outcome())).toEqual([['A', 'C'], 'C']);
    expect([all, ...bad].map(({ outcome }) => outcome())).toEqual(Array(3).fill({ failed: poison }));
    expect(log.filter((each) => /computed|failed/.test(each))).toEqual([
      'cache.computed',
      'cache.failed',
      'cache.computed',
    ]);
  });

  it('writes the others to the store in one round trip, and lets the next process compute the one that failed', async () => {
    const { cache, clock, store, another } = setUpWithStore();
    await expect(cache.getOrSetMany(['a', 'bad', 'c'], upper)).rejects.toThrow('bad is bad');
    await clock.settle();
    expect(store.calls.filter((call) => call.startsWith('setMany'))).toHaveLength(1);
    const compute = vi.fn((keys: readonly string[]) => keys.map(() => 'good now'));
    expect(await another().cache.getOrSetMany(['a', 'bad', 'c'], compute)).toEqual(['A', 'good now', 'C']);
    expect(compute.mock.calls.map(([keys]) => keys)).toEqual([['bad']]);
  });

  it('is stood in for by what was kept for its key', async () => {
    const { cache, clock } = setUp({ ttl: '1s', grace: '1m' });
    await cache.setMany([
      ['a', 'old a'],
      ['bad', 'old and good'],
    ]);
    await clock.advance(1_000);
    const compute = vi.fn(upper);
    expect(await cache.getOrSetMany(['a', 'bad'], compute)).toEqual(['A', 'old and good']);
    expect(await cache.resolve('bad', failing())).toMatchObject({ value: 'old and good', stale: 'failed' });
    expect(compute).toHaveBeenCalledTimes(1);
  });

  it('leaves what is kept alone when a refresh in the background comes to it', async () => {
    const { cache, clock, log } = setUp({ ttl: '1s', staleWhileRevalidate: '1m' });
    await cache.setMany([
      ['a', 'old a'],
      ['bad', 'old and good'],
    ]);
    await clock.advance(1_000);
    expect(await cache.getOrSetMany(['a', 'bad'], upper)).toEqual(['old a', 'old and good']);
    await clock.settle();
    expect(await cache.getOrSetMany(['a', 'bad'], upper)).toEqual(['A', 'old and good']);
    expect(log.filter((each) => /computed|failed/.test(each))).toEqual([
      'cache.computed background',
      'cache.failed background',
      'cache.hit memory failed',
    ]);
    expect(clock.pending).toBe(0);
  });

  it('is a value like any other for getOrSet, whoever computes', async () => {
    const { cache } = setUp();
    expect(await cache.getOrSet('a', () => poison)).toBeInstanceOf(Error);
    expect(await cache.getOrSetMany(['a'], () => [new Error('not asked')])).toMatchObject([{ message: 'poison' }]);
  });
});
