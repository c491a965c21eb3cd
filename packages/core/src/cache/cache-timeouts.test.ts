import { describe, expect, it } from 'vitest';
import { deferred, setUp, setUpWithStore, watch } from '../../test/cache-set-up.js';

describe('softTimeout', () => {
  const options = { ttl: '10s', grace: '1m', softTimeout: 200 } as const;

  it('gives the stale value to those who wait, and the computation goes on and is kept', async () => {
    const { cache, clock, log } = setUp(options);
    await cache.getOrSet('key', () => 'old');
    await clock.advance(10_000);
    const { compute, resolve, signals } = deferred();
    const first = watch(cache.resolve('key', compute));
    const second = watch(cache.resolve('key', compute));
    await clock.advance(199);
    expect([first.outcome(), second.outcome()]).toEqual(['pending', 'pending']);
    await clock.advance(1);
    const stale = { value: 'old', level: 'memory', ageMs: 10_200, stale: 'slow' };
    expect([first.outcome(), second.outcome()]).toEqual([stale, stale]);
    expect(await cache.resolve('key', compute)).toEqual(stale); // at once: it is known to be slow
    resolve('new');
    await clock.settle();
    expect(cache.peek('key')).toBe('new');
    expect([compute.mock.calls.length, signals[0]?.aborted]).toEqual([1, false]);
    expect(log.slice(2)).toEqual([
      'cache.miss',
      ...Array(3).fill('cache.hit memory slow'),
      'cache.computed background',
      'cache.hit memory',
    ]);
    expect(clock.pending).toBe(0);
  });

  it('is of no consequence for a computation that is quick, and leaves no timer', async () => {
    const { cache, clock } = setUp(options);
    await cache.getOrSet('key', () => 'old');
    await clock.advance(10_000);
    expect(await cache.resolve('key', () => 'new')).toMatchObject({ value: 'new', stale: false });
    expect(clock.pending).toBe(0);
  });

  it('lets those wait for whom there is nothing stale', async () => {
    const { cache, clock } = setUp(options);
    const { compute, resolve } = deferred();
    const waits = watch(cache.resolve('key', compute));
    await clock.advance(60_000);
    expect(waits.outcome()).toBe('pending');
    resolve('new');
    await clock.settle();
    expect(waits.outcome()).toMatchObject({ value: 'new', level: 'computed', stale: false });
  });

  it('counts from the computation, and for what the store has as well', async () => {
    const { cache, clock, store, another } = setUpWithStore(options);
    await another().cache.set('key', 'old');
    await clock.advance(10_000);
    store.trouble(40, 'getMany');
    const { compute, resolve } = deferred();
    const waits = watch(cache.resolve('key', compute));
    await clock.advance(239);
    expect(waits.outcome()).toBe('pending');
    await clock.advance(1);
    expect(waits.outcome()).toMatchObject({ value: 'old', level: 'store', stale: 'slow' });
    resolve('new');
    await clock.settle();
  });

  it('lets a newcomer wait for the same computation once the stale value has had its time', async () => {
    const { cache, clock } = setUp({ ...options, grace: '1s' });
    await cache.getOrSet('key', () => 'old');
    await clock.advance(10_500);
    const { compute, resolve } = deferred();
    const early = watch(cache.resolve('key', compute));
    await clock.advance(499);
    expect(early.outcome()).toMatchObject({ stale: 'slow' });
    await clock.advance(1);
    const late = watch(cache.resolve('key', compute));
    await clock.settle();
    expect(late.outcome()).toBe('pending');
    resolve('new');
    await clock.settle();
    expect(late.outcome()).toMatchObject({ value: 'new', level: 'shared', stale: false });
    expect(compute).toHaveBeenCalledTimes(1);
  });

  it('is followed by a pause when the computation fails after all', async () => {
    const { cache, clock } = setUp(options);
    await cache.getOrSet('key', () => 'old');
    await clock.advance(10_000);
    const { compute, reject } = deferred();
    const waits = cache.resolve('key', compute);
    await clock.advance(200);
    await waits;
    reject(new Error('no luck'));
    await clock.settle();
    expect(await cache.resolve('key', compute)).toMatchObject({ value: 'old', stale: 'failed' });
    expect(compute).toHaveBeenCalledTimes(1);
  });

  it('gives nobody what was deleted meanwhile: they wait for what they have asked for', async () => {
    const { cache, clock } = setUp(options);
    await cache.getOrSet('key', () => 'old', { tags: ['tag'] });
    await clock.advance(10_000);
    const { compute, resolve } = deferred();
    const waits = watch(cache.resolve('key', compute));
    await clock.advance(100);
    await cache.delete('key');
    await clock.advance(200);
    expect(waits.outcome()).toBe('pending');
    resolve('new');
    await clock.settle();
    expect(waits.outcome()).toMatchObject({ value: 'new', stale: false });
  });
});

describe('hardTimeout', () => {
  it('ends the waiting, aborts the computation, and keeps nothing of what comes late', async () => {
    const { cache, clock, log } = setUp({ hardTimeout: 500 });
    const { compute, resolve, signals } = deferred();
    const callers = [1, 2].map(() => watch(cache.resolve('key', compute)));
    await clock.advance(499);
    expect([signals[0]?.aborted, callers[0]?.outcome()]).toEqual([false, 'pending']);
    await clock.advance(1);
    for (const { outcome } of callers) expect(outcome()).toMatchObject({ failed: { code: 'WP_DEADLINE' } });
    expect(signals[0]?.aborted).toBe(true);
    expect(signals[0]?.reason).toMatchObject({ code: 'WP_DEADLINE' });
    resolve('late');
    await clock.settle();
    expect(cache.peek('key')).toBeUndefined();
    expect(log).toEqual(['cache.miss', 'cache.failed']);
    expect(await cache.getOrSet('key', () => 'anew')).toBe('anew');
    expect(clock.pending).toBe(0);
  });

  it('leaves a late failure without anybody to hear of it, and no unhandled rejection', async () => {
    const { cache, clock } = setUp({ hardTimeout: 500 });
    const { compute, reject } = deferred();
    const waits = watch(cache.resolve('key', compute));
    await clock.advance(500);
    expect(waits.outcome()).toMatchObject({ failed: { code: 'WP_DEADLINE' } });
    reject(new Error('too late'));
    await clock.settle();
  });

  it('gives the stale value within its grace, with a pause as after any failure', async () => {
    const { cache, clock } = setUp({ hardTimeout: 500, ttl: '10s', grace: '1m' });
    await cache.getOrSet('key', () => 'old');
    await clock.advance(10_000);
    const { compute } = deferred();
    const waits = watch(cache.resolve('key', compute));
    await clock.advance(500);
    expect(waits.outcome()).toMatchObject({ value: 'old', stale: 'failed' });
    expect(await cache.resolve('key', compute)).toMatchObject({ value: 'old', stale: 'failed' });
    expect(compute).toHaveBeenCalledTimes(1);
  });

  it('comes after the soft one for the computation that goes on, and counts for a refresh as well', async () => {
    const options = {
      softTimeout: 200,
      hardTimeout: 500,
      ttl: '10s',
      staleWhileRevalidate: '1s',
      grace: '1m',
    } as const;
    for (const ageMs of [10_000, 11_000]) {
      const { cache, clock, log } = setUp(options);
      await cache.getOrSet('key', () => 'old');
      await clock.advance(ageMs);
      const { compute, signals } = deferred();
      const waits = watch(cache.resolve('key', compute));
      await clock.advance(499);
      expect(waits.outcome()).toMatchObject({ value: 'old', stale: ageMs === 10_000 ? 'revalidating' : 'slow' });
      expect(signals[0]?.aborted).toBe(false);
      await clock.advance(1);
      expect(signals[0]?.aborted).toBe(true);
      expect(log).toContain('cache.failed background');
      expect(clock.pending).toBe(0);
    }
  });
});

describe('notModified', () => {
  const options = { ttl: '10s', grace: '1m' } as const;

  it('gives the previous value another ttl and an age of 0, and says so', async () => {
    const { cache, clock, log } = setUp(options);
    await cache.getOrSet('key', () => ({ etag: 1 }));
    await clock.advance(12_000);
    let seen: unknown;
    const check = cache.resolve('key', ({ previous, notModified }) => {
      seen = previous;
      return notModified();
    });
    expect(await check).toEqual({ value: { etag: 1 }, level: 'computed', ageMs: 0, stale: false });
    expect(seen).toEqual({ value: { etag: 1 }, ageMs: 12_000 });
    expect(log.at(-1)).toBe('cache.computed not modified');
    await clock.advance(9_999);
    expect(await cache.get('key')).toMatchObject({ value: { etag: 1 }, ageMs: 9_999, stale: false });
    await clock.advance(1);
    expect(await cache.get('key')).toBeUndefined();
  });

  it('extends what was undefined, or came from the store, as well', async () => {
    const { cache, clock, another } = setUpWithStore(options);
    await cache.set('key', undefined);
    await clock.advance(10_000);
    const restarted = another().cache;
    const check = restarted.resolve('key', ({ previous, notModified }) => {
      expect(previous).toEqual({ value: undefined, ageMs: 10_000 });
      return notModified();
    });
    expect(await check).toMatchObject({ value: undefined, level: 'computed' });
    await clock.settle();
    expect(await another().cache.get('key')).toMatchObject({ value: undefined, level: 'store', ageMs: 0 });
  });

  it('takes the ttl that it is given, and keeps the tags and the cost that the value had', async () => {
    const { cache, clock, events } = setUp(options);
    const { compute, resolve } = deferred();
    const first = cache.getOrSet('key', (computation) => {
      computation.addTags('found inside');
      return compute(computation);
    });
    await clock.advance(300);
    resolve('value');
    await first;
    await clock.advance(10_000);
    await cache.getOrSet('key', ({ setTtl, notModified }) => {
      setTtl('1h');
      return notModified();
    });
    await clock.advance(3_599_999);
    expect(cache.peek('key')).toBe('value');
    expect(events.at(-1)).toMatchObject({ savedMs: 300 });
    await cache.invalidateTags(['found inside']);
    expect(cache.peek('key')).toBeUndefined();
  });

  it('of what was invalidated meanwhile answers those who wait, and is not kept', async () => {
    for (const invalidate of ['delete', 'tags', 'clear'] as const) {
      const { cache, clock } = setUp(options);
      await cache.getOrSet('key', ({ addTags }) => {
        addTags('tag');
        return 'old';
      });
      await clock.advance(10_000);
      const { compute, resolve } = deferred();
      const waits = cache.getOrSet('key', async (computation) => {
        await compute(computation);
        return computation.notModified();
      });
      await clock.settle();
      if (invalidate === 'delete') await cache.delete('key');
      else await (invalidate === 'clear' ? cache.clear() : cache.invalidateTags(['tag']));
      resolve('');
      expect(await waits).toBe('old');
      expect(await cache.get('key')).toBeUndefined();
      expect(await cache.getOrSet('key', () => 'new')).toBe('new');
    }
  });

  it('is refused where nothing is kept, and for several keys at once', async () => {
    const { cache, clock } = setUp(options);
    const refused = { code: 'WP_NOTHING_PREVIOUS' };
    await expect(cache.getOrSet('key', ({ notModified }) => notModified())).rejects.toMatchObject(refused);
    await cache.setMany([
      ['a', 1],
      ['b', 2],
    ]);
    await clock.advance(71_000);
    await expect(cache.getOrSet('a', ({ notModified }) => notModified())).rejects.toMatchObject(refused);
    const one = cache.getOrSetMany(['a'], (_, { notModified }) => [notModified()]);
    await expect(one).rejects.toMatchObject(refused);
    await cache.setMany([
      ['a', 1],
      ['b', 2],
    ]);
    await clock.advance(10_000);
    const both = cache.getOrSetMany(['a', 'b'], (_, { previous, notModified }) => {
      expect(previous).toBeUndefined();
      return [notModified(), notModified()];
    });
    expect(await both).toEqual([1, 2]); // the refusal is a failure like any other: the stale values stand in
  });
});
