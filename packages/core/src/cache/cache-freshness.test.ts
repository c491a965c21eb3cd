import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { deferred, failing, setUp, setUpWithStore } from '../../test/cache-set-up.js';
import { seededRandom } from '../kernel/index.js';

describe('a ttl', () => {
  it('is how long a value is served, and no longer', async () => {
    const { cache, clock } = setUp({ ttl: '10s' });
    await cache.getOrSet('key', () => 'old');
    await clock.advance(9_999);
    expect(await cache.resolve('key', () => 'new')).toMatchObject({ value: 'old', stale: false });
    await clock.advance(1);
    expect(cache.peek('key')).toBeUndefined();
    expect(await cache.get('key')).toBeUndefined();
    expect(await cache.getOrSet('key', () => 'new')).toBe('new');
  });

  it('is counted from the end of the computation', async () => {
    const { cache, clock } = setUp({ ttl: '10s' });
    const { compute, resolve } = deferred();
    const first = cache.getOrSet('key', compute);
    await clock.advance(60_000);
    resolve('slow');
    await first;
    await clock.advance(9_999);
    expect(cache.peek('key')).toBe('slow');
  });

  it('is that of the computation before that of the call before that of the cache', async () => {
    const { cache, clock } = setUp({ ttl: '10s', negativeTtl: '5s' });
    await cache.getOrSet('computed', ({ setTtl }) => setTtl('3s'), { ttl: '7s' });
    await cache.getOrSet('called', () => null, { ttl: '7s' });
    await cache.getOrSet('nothing', () => null);
    await cache.getOrSet('something', () => 0);
    const left = () => cache.getMany(['computed', 'called', 'nothing', 'something']);
    const lasting = async () => (await left()).map((result) => result !== undefined);
    await clock.advance(2_999);
    expect(await lasting()).toEqual([true, true, true, true]);
    await clock.advance(1);
    expect(await lasting()).toEqual([false, true, true, true]);
    await clock.advance(2_000);
    expect(await lasting()).toEqual([false, true, false, true]);
    await clock.advance(2_000);
    expect(await lasting()).toEqual([false, false, false, true]);
    await clock.advance(3_000);
    expect(await lasting()).toEqual([false, false, false, false]);
  });

  it('may be longer than any timer of the runtime', async () => {
    const { cache, clock } = setUp({ ttl: '10s' });
    await cache.getOrSet('long', () => 1, { ttl: '30d' });
    await clock.advance(29 * 86_400_000);
    expect(cache.peek('long')).toBe(1);
    expect(clock.pending).toBe(0);
  });

  it('of 0 keeps nothing, be it the call’s, the computation’s or that of what is not there', async () => {
    const { cache, log } = setUp({ negativeTtl: 0 });
    await cache.getOrSet('call', () => 1, { ttl: 0 });
    await cache.getOrSet('computation', ({ setTtl }) => setTtl(0));
    await cache.getOrSet('nothing', () => undefined);
    await cache.getOrSet('not wanted', ({ doNotStore }) => {
      doNotStore();
      return 1;
    });
    const unstored = log.filter((each) => each.startsWith('cache.unstored'));
    expect(unstored).toEqual(Array(4).fill('cache.unstored not-wanted'));
    expect(await cache.getMany(['call', 'computation', 'nothing', 'not wanted'])).toEqual(Array(4).fill(undefined));
  });

  it('that is none is refused inside of a computation, too, as are tags that are none', async () => {
    const { cache } = setUp();
    const bad = 'soon' as '1s';
    await expect(cache.getOrSet('key', ({ setTtl }) => setTtl(bad))).rejects.toThrow(/'ttl' must be a duration/);
    await expect(cache.getOrSet('key', ({ addTags }) => addTags(''))).rejects.toThrow(/'tags' must be/);
    expect(cache.peek('key')).toBeUndefined();
  });

  it('with jitter ends for each value at another time, never late', () => {
    return fc.assert(
      fc.asyncProperty(fc.nat(), fc.double({ min: 0, max: 1, noNaN: true }), async (seed, jitter) => {
        const { cache, clock } = setUp({ ttl: 1_000, jitter, random: seededRandom(seed) });
        const keys = Array.from({ length: 50 }, (_, index) => index);
        await cache.setMany(keys.map((key) => [key, key]));
        const left = async () => (await cache.getMany(keys)).filter(Boolean).length;
        const earliest = Math.floor(1_000 * (1 - jitter));
        await clock.advance(Math.max(0, earliest - 1));
        expect(await left()).toBe(earliest > 0 ? 50 : await left());
        await clock.advance(1_000 - clock.now());
        expect(await left()).toBe(0);
      }),
      { numRuns: 50 },
    );
  });
});

describe('stale while it is revalidated', () => {
  const options = { ttl: '10s', staleWhileRevalidate: '5s' } as const;

  it('a value is served at once, again and again, while one refresh is under way', async () => {
    const { cache, clock, log } = setUp(options);
    await cache.getOrSet('key', () => 'old');
    await clock.advance(10_000);
    const { compute, resolve } = deferred();
    const results = [];
    for (let read = 0; read < 3; read++) results.push(await cache.resolve('key', compute));
    expect(results).toEqual(Array(3).fill({ value: 'old', level: 'memory', ageMs: 10_000, stale: 'revalidating' }));
    expect(cache.peek('key')).toBeUndefined(); // that is for what is fresh
    resolve('new');
    await clock.settle();
    expect(await cache.resolve('key', compute)).toMatchObject({ value: 'new', ageMs: 0, stale: false });
    expect(compute).toHaveBeenCalledTimes(1);
    expect(log).toEqual([
      'cache.miss',
      'cache.computed',
      ...Array(3).fill('cache.hit memory revalidating'),
      'cache.computed background',
      'cache.hit memory',
    ]);
  });

  it('a value is served to the end of its time, and then its refresh is waited for', async () => {
    const { cache, clock } = setUp(options);
    await cache.getOrSet('key', () => 'old');
    await clock.advance(14_999);
    const { compute, resolve } = deferred();
    expect(await cache.resolve('key', compute)).toMatchObject({ stale: 'revalidating' });
    await clock.advance(1);
    const waits = cache.resolve('key', compute);
    resolve('new');
    expect(await waits).toMatchObject({ value: 'new', level: 'shared', stale: false });
    expect(compute).toHaveBeenCalledTimes(1);
  });

  it('a value outlives the failure of its refresh, which is not tried again for a while', async () => {
    const { cache, clock, log } = setUp(options);
    await cache.getOrSet('key', () => 'old');
    await clock.advance(10_000);
    const compute = failing();
    expect(await cache.resolve('key', compute)).toMatchObject({ value: 'old', stale: 'revalidating' });
    await clock.settle();
    await clock.advance(999);
    expect(await cache.resolve('key', compute)).toMatchObject({ value: 'old', stale: 'failed' });
    expect(compute).toHaveBeenCalledTimes(1);
    await clock.advance(1);
    expect(await cache.resolve('key', compute)).toMatchObject({ value: 'old', stale: 'revalidating' });
    await clock.settle();
    expect(compute).toHaveBeenCalledTimes(2);
    await clock.advance(1_999);
    await cache.resolve('key', compute);
    expect(compute).toHaveBeenCalledTimes(2);
    await clock.advance(2_001); // past the time in which it may be served
    await expect(cache.resolve('key', compute)).rejects.toThrow('no luck');
    expect(log).toContain('cache.failed background');
    expect(log.filter((each) => each === 'cache.miss')).toHaveLength(2);
  });

  it('a value of the store is, too: at once, refreshed once for all who ask', async () => {
    const { cache, clock, another } = setUpWithStore(options);
    await cache.getOrSet('key', () => 'old');
    await clock.advance(10_000);
    const { cache: restarted, log } = another();
    const { compute, resolve } = deferred();
    const results = await Promise.all([1, 2].map(() => restarted.resolve('key', compute)));
    expect(results).toMatchObject(
      Array(2).fill({ value: 'old', level: 'store', ageMs: 10_000, stale: 'revalidating' }),
    );
    expect(await restarted.resolve('key', compute)).toMatchObject({ level: 'memory', stale: 'revalidating' });
    resolve('new');
    await clock.settle();
    expect(restarted.peek('key')).toBe('new');
    expect(compute).toHaveBeenCalledTimes(1);
    expect(log.filter((each) => each === 'cache.miss')).toEqual([]);
  });

  it('a value that another process has computed anew meanwhile is taken from the store', async () => {
    const { cache, clock, another } = setUpWithStore(options);
    await cache.getOrSet('key', () => 'old');
    await clock.advance(10_000);
    await another().cache.set('key', 'new of another');
    await clock.settle();
    const compute = vi.fn(() => 'new');
    expect(await cache.getOrSet('key', compute)).toBe('old');
    await clock.settle();
    expect(await cache.resolve('key', compute)).toMatchObject({ value: 'new of another', level: 'memory' });
    expect(compute).not.toHaveBeenCalled();
  });

  it.each<[string, () => boolean]>([
    ['says no', () => false],
    [
      'fails to say',
      () => {
        throw new Error('a bug');
      },
    ],
  ])(
    'a value is not refreshed where canRefresh %s, and the refresh is left for a later read',
    async (_, canRefresh) => {
      const asked = vi.fn(canRefresh);
      const { cache, clock, log, another } = setUpWithStore({ ...options, canRefresh: asked });
      await cache.getOrSet('key', () => 'old');
      await clock.advance(10_000);
      const compute = vi.fn(() => 'new');
      const restarted = another();
      for (const each of [cache, restarted.cache])
        expect(await each.resolve('key', compute)).toMatchObject({ value: 'old', stale: 'revalidating' });
      await clock.settle();
      expect(compute).not.toHaveBeenCalled();
      expect(log.slice(-2)).toEqual(['cache.refresh-skipped', 'cache.hit memory revalidating']);
      expect(restarted.log).toEqual(['cache.refresh-skipped', 'cache.hit store revalidating']);
      asked.mockImplementation(() => true);
      await cache.getOrSet('key', compute);
      await clock.settle();
      expect(cache.peek('key')).toBe('new');
    },
  );
});

describe('grace', () => {
  const options = { ttl: '10s', grace: '10m' } as const;

  it('lets a value stand in for a failure: then pauses of 1 s, 2 s and so on to 60 s, until the grace ends', async () => {
    const { cache, clock, log } = setUp(options);
    await cache.getOrSet('key', () => 'old');
    await clock.advance(10_000);
    const compute = failing();
    const triedAt: number[] = [];
    const outcomes = new Set<unknown>();
    for (let second = 0; second < 600; second++) {
      const before = compute.mock.calls.length;
      outcomes.add(JSON.stringify(await cache.resolve('key', compute).then(({ value, stale }) => [value, stale])));
      if (compute.mock.calls.length > before) triedAt.push(second);
      await clock.advance(1_000);
    }
    expect(triedAt).toEqual([0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363, 423, 483, 543]);
    expect([...outcomes]).toEqual(['["old","failed"]']);
    await expect(cache.resolve('key', compute)).rejects.toThrow('no luck');
    expect(log.at(-1)).toBe('cache.failed');
    expect(await cache.getOrSet('key', () => 'well again')).toBe('well again');
  });

  it('computes nothing before the ttl is over and in the foreground after it', async () => {
    const { cache, clock } = setUp(options);
    await cache.getOrSet('key', () => 'old');
    await clock.advance(10_000);
    const { compute, resolve } = deferred();
    const waits = cache.resolve('key', compute);
    resolve('new');
    expect(await waits).toMatchObject({ value: 'new', level: 'computed', stale: false });
  });

  it('begins a new row of pauses with each new value', async () => {
    const { cache, clock } = setUp(options);
    const compute = failing();
    for (let round = 0; round < 3; round++) {
      await cache.set('key', round);
      await clock.advance(10_000);
      compute.mockClear();
      await cache.getOrSet('key', compute);
      await clock.advance(1_000);
      await cache.getOrSet('key', compute);
      expect(compute).toHaveBeenCalledTimes(2);
    }
  });

  it('gives the stale value to all who wait for the computation that fails, which runs once', async () => {
    const { cache, clock } = setUp(options);
    await cache.getOrSet('key', () => 'old');
    await clock.advance(10_000);
    const { compute, reject } = deferred();
    const callers = Array.from({ length: 50 }, () => cache.resolve('key', compute));
    await clock.settle();
    reject(new Error('no luck'));
    const stale = { value: 'old', level: 'memory', ageMs: 10_000, stale: 'failed' };
    expect(await Promise.all(callers)).toEqual(Array(50).fill(stale));
    expect(compute).toHaveBeenCalledTimes(1);
  });

  it('holds for what the store has: the pause is kept although the store is asked again', async () => {
    const { cache, clock, another } = setUpWithStore(options);
    await cache.getOrSet('key', () => 'old');
    await clock.advance(10_000);
    for (const [each, first] of [
      [another().cache, 'store'],
      [cache, 'memory'],
    ] as const) {
      const compute = failing();
      expect(await each.resolve('key', compute)).toMatchObject({ value: 'old', level: first, stale: 'failed' });
      expect(await each.resolve('key', compute)).toMatchObject({ value: 'old', level: 'memory', stale: 'failed' });
      expect(compute).toHaveBeenCalledTimes(1);
      await clock.advance(1_000);
      await each.resolve('key', compute);
      await clock.advance(1_999);
      await each.resolve('key', compute);
      expect(compute).toHaveBeenCalledTimes(2);
      await clock.advance(1);
      await each.resolve('key', compute);
      expect(compute).toHaveBeenCalledTimes(3);
    }
  });

  it('is that of the newest value, even where the store has an older one that would live longer', async () => {
    const { cache, clock, store } = setUpWithStore(options);
    await cache.getOrSet('key', () => 'older', { ttl: '1h' });
    await clock.advance(100);
    store.trouble(['reject'], 'setMany');
    await cache.set('key', 'newer', { ttl: '1s' });
    await clock.advance(1_000);
    expect(await cache.resolve('key', failing())).toMatchObject({ value: 'newer', stale: 'failed' });
  });

  it('is not given to what fails past its end, though it began before', async () => {
    const { cache, clock } = setUp({ ttl: '10s', grace: '1s' });
    await cache.getOrSet('key', () => 'old');
    await clock.advance(10_999);
    const { compute, reject } = deferred();
    const waits = cache.getOrSet('key', compute);
    await clock.advance(1);
    reject(new Error('too late'));
    await expect(waits).rejects.toThrow('too late');
  });

  it('does not stand in for a caller who leaves', async () => {
    const { cache, clock } = setUp(options);
    await cache.getOrSet('key', () => 'old');
    await clock.advance(10_000);
    const leaving = new AbortController();
    const { compute, reject } = deferred();
    const left = cache.getOrSet('key', compute, { signal: leaving.signal });
    await clock.settle();
    leaving.abort(new Error('closed the tab'));
    await expect(left).rejects.toThrow('closed the tab');
    reject(new Error('aborted'));
    await clock.settle();
    expect(await cache.resolve('key', () => 'new')).toMatchObject({ value: 'new', stale: false }); // and there is no pause
  });
});

it('is never stale where nothing of the kind was asked for', async () => {
  const { cache, clock, another } = setUpWithStore({ ttl: '10s', softTimeout: 10 });
  await cache.getOrSet('key', () => 'old');
  await clock.advance(10_000);
  for (const each of [cache, another().cache]) {
    const { compute, resolve } = deferred();
    const waits = each.resolve('key', compute);
    await clock.advance(1_000);
    resolve('new');
    expect(await waits).toMatchObject({ value: 'new', stale: false });
    await each.delete('key');
    await expect(each.resolve('key', failing())).rejects.toThrow('no luck');
    await cache.set('key', 'old', { ttl: 1 });
    await clock.advance(1);
  }
});
