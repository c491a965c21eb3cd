import { describe, expect, it, vi } from 'vitest';
import { deferred, failing, setUp, setUpWithStore } from '../../test/cache-set-up.js';
import { seededRandom, wait } from '../kernel/index.js';

const always = (): number => 1 - 2 ** -53; // the draw that refreshes earliest
const options = { ttl: '10s', earlyRefresh: true, random: always } as const;

describe('earlyRefresh', () => {
  it.each([
    { beta: true, left: 400 },
    { beta: true, left: 800 },
    { beta: true, left: 2_400 },
    { beta: 0.5, left: 800 },
    { beta: 3, left: 2_400 },
  ] as const)('with beta $beta refreshes $left ms before the end as often as XFetch says', async ({ beta, left }) => {
    const seed = 42;
    const { cache, clock } = setUp({ ...options, earlyRefresh: beta, random: seededRandom(seed) });
    const keys = Array.from({ length: 4_000 }, (_, index) => index);
    const computeMs = 800;
    const computing = wait(clock, computeMs);
    const first = keys.map((key) => cache.getOrSet(key, () => computing));
    await clock.advance(computeMs);
    await Promise.all(first);
    await clock.advance(10_000 - left);
    const refresh = vi.fn();
    const reads = await Promise.all(keys.map((key) => cache.resolve(key, refresh)));
    expect(reads.every(({ level, stale }) => level === 'memory' && stale === false)).toBe(true);
    await clock.settle();
    const chance = Math.exp(-left / (Number(beta) * computeMs));
    const tolerance = 5 * Math.sqrt((chance * (1 - chance)) / keys.length); // one false alarm in 1.7 million seeds
    expect(Math.abs(refresh.mock.calls.length / keys.length - chance)).toBeLessThanOrEqual(tolerance);
  });

  it('serves the old value meanwhile, one refresh at a time, and then the new one', async () => {
    const { cache, clock, log } = setUp(options);
    const slow = deferred();
    const first = cache.getOrSet('key', slow.compute);
    await clock.advance(1_000);
    slow.resolve('old');
    await first;
    await clock.advance(9_000);
    const { compute, resolve } = deferred();
    for (let read = 0; read < 3; read++) expect(await cache.getOrSet('key', compute)).toBe('old');
    resolve('new');
    await clock.settle();
    expect(compute).toHaveBeenCalledTimes(1);
    expect(await cache.resolve('key', compute)).toMatchObject({ value: 'new', ageMs: 0 });
    const hits = Array(3).fill('cache.hit memory');
    expect(log).toEqual(['cache.miss', 'cache.computed', ...hits, 'cache.computed background', 'cache.hit memory']);
  });

  it('does not happen to what takes no time to compute, was set, or has long to live', async () => {
    const { cache, clock } = setUp(options);
    const refresh = vi.fn();
    await cache.getOrSet('quick', () => 1);
    await cache.set('set', 1);
    const slow = deferred();
    const first = cache.getOrSet('slow', slow.compute);
    await clock.advance(100);
    slow.resolve('value');
    await first;
    for (const key of ['quick', 'set', 'slow']) await cache.getOrSet(key, refresh);
    await clock.advance(6_000);
    for (const key of ['quick', 'set', 'slow']) await cache.getOrSet(key, refresh);
    await clock.advance(3_899);
    for (const key of ['quick', 'set']) await cache.getOrSet(key, refresh);
    await clock.settle();
    expect(refresh).not.toHaveBeenCalled();
  });

  it('leaves a value that still is fresh as it is when the refresh fails, and pauses', async () => {
    const { cache, clock } = setUp(options);
    const slow = deferred();
    const first = cache.getOrSet('key', slow.compute);
    await clock.advance(1_000);
    slow.resolve('old');
    await first;
    await clock.advance(5_000);
    const compute = failing();
    for (let read = 0; read < 3; read++) {
      expect(await cache.resolve('key', compute)).toMatchObject({ value: 'old', stale: false });
      await clock.settle();
    }
    expect(compute).toHaveBeenCalledTimes(1);
    await clock.advance(1_000);
    await cache.getOrSet('key', compute);
    expect(compute).toHaveBeenCalledTimes(2);
  });

  it('asks canRefresh, and is left for a later read where there is no capacity', async () => {
    let hasCapacity = false;
    const { cache, clock, log } = setUp({ ...options, canRefresh: () => hasCapacity });
    const slow = deferred();
    const first = cache.getOrSet('key', slow.compute);
    await clock.advance(1_000);
    slow.resolve('old');
    await first;
    await clock.advance(9_000);
    const compute = vi.fn(() => 'new');
    await cache.getOrSet('key', compute);
    expect(compute).not.toHaveBeenCalled();
    expect(log).toContain('cache.refresh-skipped');
    hasCapacity = true;
    await cache.getOrSet('key', compute);
    await clock.settle();
    expect(cache.peek('key')).toBe('new');
  });

  it('takes what another process has computed meanwhile instead, and not its own value from the store', async () => {
    const { cache, clock, another } = setUpWithStore(options);
    const slow = deferred();
    const first = cache.getOrSet('key', slow.compute);
    await clock.advance(1_000);
    slow.resolve('old');
    await first;
    await clock.advance(9_000);
    const compute = vi.fn(() => 'new');
    await another().cache.set('key', 'of another');
    await clock.settle();
    await cache.getOrSet('key', compute);
    await clock.settle();
    expect(cache.peek('key')).toBe('of another');
    expect(compute).not.toHaveBeenCalled();
    const alone = cache.getOrSet('alone', async () => wait(clock, 1_000).then(() => 'old'));
    await clock.advance(1_000);
    await alone;
    await clock.advance(9_000);
    await cache.getOrSet('alone', compute);
    await clock.settle();
    expect(compute).toHaveBeenCalledTimes(1);
    expect(cache.peek('alone')).toBe('new');
  });

  it('of many keys is one computation', async () => {
    const { cache, clock } = setUp(options);
    const first = cache.getOrSetMany(['a', 'b', 'c'], async (keys) => wait(clock, 3_000).then(() => keys));
    await clock.advance(3_000);
    await first;
    await clock.advance(9_000);
    const compute = vi.fn((keys: readonly string[]) => keys.map((key) => key.toUpperCase()));
    expect(await cache.getOrSetMany(['a', 'b', 'c'], compute)).toEqual(['a', 'b', 'c']);
    await clock.settle();
    expect(compute.mock.calls.map(([keys]) => keys)).toEqual([['a', 'b', 'c']]);
    expect(await cache.getOrSetMany(['a', 'b', 'c'], compute)).toEqual(['A', 'B', 'C']);
  });
});
