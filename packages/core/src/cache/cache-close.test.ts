import { getEventListeners } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import { deferred, failing, setUp, setUpWithStore, watch } from '../../test/cache-set-up.js';
import { runInContext } from '../kernel/index.js';

describe('close', () => {
  const options = { ttl: '1s', staleWhileRevalidate: '1m' } as const;

  it('aborts refreshes in the background, keeps nothing of them, and begins no others', async () => {
    const { cache, clock, log } = setUp(options);
    await cache.setMany([
      ['key', 'old'],
      ['other', 'old'],
    ]);
    await clock.advance(1_000);
    const obedient = deferred();
    const stubborn = deferred();
    await cache.getOrSet('key', obedient.compute);
    await cache.getOrSet('other', stubborn.compute);
    await clock.settle();
    await cache.close();
    for (const [signal] of [obedient.signals, stubborn.signals])
      expect(signal?.reason).toMatchObject({ name: 'AbortError' });
    obedient.reject(new Error('aborted'));
    stubborn.resolve('new');
    await clock.settle();
    const compute = vi.fn();
    expect(await cache.resolve('other', compute)).toMatchObject({ value: 'old', stale: 'revalidating' });
    await clock.settle();
    expect(compute).not.toHaveBeenCalled();
    expect(log.filter((each) => each.startsWith('cache.unstored'))).toEqual(Array(2).fill('cache.unstored abandoned'));
    expect(log.some((each) => each.startsWith('cache.failed'))).toBe(false);
  });

  it('aborts a computation whose callers were given a stale value meanwhile', async () => {
    const { cache, clock } = setUp({ ttl: '1s', grace: '1h', softTimeout: 100 });
    await cache.set('key', 'old');
    await clock.advance(1_000);
    const { compute, signals } = deferred();
    const waits = cache.getOrSet('key', compute);
    await clock.advance(100);
    expect(await waits).toBe('old');
    await cache.close();
    expect(signals[0]?.aborted).toBe(true);
  });

  it('does not touch what somebody waits for', async () => {
    const { cache, clock } = setUp(options);
    const { compute, resolve, signals } = deferred();
    const waits = cache.getOrSet('key', compute);
    await cache.set('stale', 'old');
    await clock.advance(61_000 - 1);
    const joined = deferred();
    expect(await cache.getOrSet('stale', joined.compute)).toBe('old');
    await clock.advance(1);
    const joins = cache.getOrSet('stale', joined.compute);
    await clock.settle();
    await cache.close();
    expect([signals[0]?.aborted, joined.signals[0]?.aborted]).toEqual([false, false]);
    resolve('value');
    joined.resolve('new');
    expect([await waits, await joins]).toEqual(['value', 'new']);
  });

  it('waits for writes to the store, one store deadline at most, and may be called again', async () => {
    const { cache, clock, store, another } = setUpWithStore();
    store.trouble(30, 'setMany');
    await cache.set('key', 'value');
    const closing = [1, 2].map(() => watch(cache.close().then(() => 'closed')));
    await clock.advance(29);
    expect(closing.map(({ outcome }) => outcome())).toEqual(['pending', 'pending']);
    await clock.advance(1);
    expect(closing.map(({ outcome }) => outcome())).toEqual(['closed', 'closed']);
    expect(await another().cache.get('key')).toMatchObject({ value: 'value' });
    store.trouble('hang');
    await cache.set('key', 'late');
    const again = watch(cache.close().then(() => 'closed'));
    await clock.advance(50);
    expect(again.outcome()).toBe('closed');
  });
});

it('leaves no timer and no listener behind when everything has settled', async () => {
  const { cache, clock, store } = setUpWithStore({
    ttl: '1s',
    staleWhileRevalidate: '1s',
    grace: '1m',
    softTimeout: 20,
    hardTimeout: 200,
    earlyRefresh: true,
  });
  const shutdown = new AbortController();
  const request = new AbortController();
  const call = { signal: shutdown.signal, tags: ['red'] };
  const letters = async function* (): AsyncGenerator<string> {
    yield 'a';
  };
  const troubles = [undefined, 10, 'reject', 'hang', undefined] as const;
  for (const [round, trouble] of troubles.entries()) {
    store.trouble(trouble);
    const keys = [round, 'fixed'];
    const ends = runInContext({ signal: request.signal, deadline: clock.now() + 1e9 }, () => [
      cache.getOrSet(round, () => 1, call),
      cache.getOrSet('fails', failing(), call),
      cache.getOrSet('hangs', deferred().compute, call),
      cache.getOrSetMany(keys, (missing) => missing.map(() => round), call),
      cache.getOrSetMany(['x', 'y'], () => [], call),
      cache.get('key', call),
      cache.getMany(keys, call),
      cache.set('fixed', round),
      cache.stream('stream', letters, call).then(async ({ chunks }) => {
        for await (const _ of chunks);
      }),
      cache.delete('key'),
      cache.expire('fixed'),
      cache.invalidateTags(['red']),
      ...(round === 3 ? [cache.clear()] : []),
    ]);
    for (const end of ends) end.catch(() => {});
    await clock.advance(1_500);
    await Promise.allSettled(ends);
  }
  await clock.advance(120_000); // whatever the store has not confirmed is repeated until it does
  expect(clock.pending).toBe(0);
  expect(getEventListeners(shutdown.signal, 'abort')).toHaveLength(0);
  expect(getEventListeners(request.signal, 'abort')).toHaveLength(0);
  await cache.close();
  expect(clock.pending).toBe(0);
});
