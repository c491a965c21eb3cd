import { getEventListeners } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import { deferred, setUp, setUpWithStore } from '../../test/cache-set-up.js';
import { currentContext, runInContext } from '../kernel/index.js';

describe('leaving', () => {
  it('detaches one caller with its own reason, and the others get the value', async () => {
    const { cache, clock } = setUp();
    const { compute, resolve, signals } = deferred();
    const leaving = new AbortController();
    const stays = cache.getOrSet('key', compute);
    const leaves = cache.getOrSet('key', compute, { signal: leaving.signal });
    await clock.settle();
    const reason = new Error('closed the tab');
    leaving.abort(reason);
    await expect(leaves).rejects.toBe(reason);
    expect(signals[0]?.aborted).toBe(false);
    resolve('value');
    await expect(stays).resolves.toBe('value');
    expect(cache.peek('key')).toBe('value');
  });

  it('detaches the caller who began, and the computation goes on for those who joined', async () => {
    const { cache, clock } = setUp();
    const { compute, resolve, signals } = deferred();
    const leaving = new AbortController();
    const began = cache.getOrSet('key', compute, { signal: leaving.signal });
    const joined = cache.getOrSet('key', compute);
    await clock.settle();
    leaving.abort();
    await expect(began).rejects.toMatchObject({ name: 'AbortError' });
    expect(signals[0]?.aborted).toBe(false);
    resolve('value');
    await expect(joined).resolves.toBe('value');
    expect(compute).toHaveBeenCalledTimes(1);
  });

  it('aborts the computation with the last caller, and newcomers begin anew', async () => {
    const { cache, clock, log } = setUp();
    const { compute, signals, reject } = deferred();
    const callers = [1, 2].map(() => new AbortController());
    const waits = callers.map(({ signal }) => cache.getOrSet('key', compute, { signal }));
    await clock.settle();
    callers[0]?.abort(new Error('first'));
    await expect(waits[0]).rejects.toThrow('first');
    expect(signals[0]?.aborted).toBe(false);
    callers[1]?.abort(new Error('second'));
    await expect(waits[1]).rejects.toThrow('second');
    expect(signals[0]?.aborted).toBe(true);
    expect(signals[0]?.reason).toEqual(new Error('second'));
    await expect(cache.getOrSet('key', () => 'anew')).resolves.toBe('anew');
    reject(new Error('aborted upstream'));
    await clock.settle();
    expect(log).toEqual(['cache.miss', 'cache.miss', 'cache.computed', 'cache.unstored abandoned']);
    expect(cache.peek('key')).toBe('anew');
  });

  it('keeps nothing of a computation that lands after everybody left, be it cut short or deleted since', async () => {
    const { cache, clock, log } = setUp();
    const { compute, resolve } = deferred();
    const leaving = new AbortController();
    const left = cache.getOrSet('key', compute, { signal: leaving.signal });
    await clock.settle();
    leaving.abort();
    await expect(left).rejects.toThrow();
    await cache.delete('key');
    resolve('half of the va');
    await clock.settle();
    expect(cache.peek('key')).toBeUndefined();
    expect(log).toEqual(['cache.miss', 'cache.invalidated delete 1', 'cache.computed', 'cache.unstored abandoned']);
  });

  it('begins nothing for a caller who has left before asking', async () => {
    const { cache, clock } = setUp();
    const compute = vi.fn(() => 1);
    const reason = new Error('gone');
    await expect(cache.getOrSet('key', compute, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await expect(
      runInContext({ signal: AbortSignal.abort(reason) }, () => cache.getOrSet('key', compute)),
    ).rejects.toBe(reason);
    await clock.settle();
    expect(compute).not.toHaveBeenCalled();
  });

  it('follows the signal of the running context as well', async () => {
    const { cache, clock } = setUp();
    const { compute, signals } = deferred();
    const request = new AbortController();
    const wait = runInContext({ signal: request.signal }, () => cache.getOrSet('key', compute));
    await clock.settle();
    request.abort(new Error('client left'));
    await expect(wait).rejects.toThrow('client left');
    expect(signals[0]?.aborted).toBe(true);
  });

  it('ends a caller’s waiting at its deadline, and lets others wait on', async () => {
    const { cache, clock } = setUp();
    const { compute, resolve, signals } = deferred();
    const hurried = runInContext({ deadline: 100 }, () => cache.getOrSet('key', compute));
    const patient = cache.getOrSet('key', compute);
    hurried.catch(() => {});
    await clock.advance(99);
    expect(signals[0]?.aborted).toBe(false);
    await clock.advance(1);
    await expect(hurried).rejects.toMatchObject({ code: 'WP_DEADLINE' });
    expect(signals[0]?.aborted).toBe(false);
    resolve('value');
    await expect(patient).resolves.toBe('value');
    await expect(runInContext({ deadline: 50 }, () => cache.getOrSet('other', compute))).rejects.toMatchObject({
      code: 'WP_DEADLINE',
    });
    expect(clock.pending).toBe(0);
  });

  it('does not hand the first caller’s signal or deadline down to the computation, but does its tenant', async () => {
    const { cache } = setUp();
    const request = new AbortController();
    const inside = await runInContext({ signal: request.signal, deadline: 5_000, tenant: 'acme' }, () =>
      cache.getOrSet(
        'key',
        ({ signal }) => {
          const context = currentContext();
          return {
            deadline: context?.deadline,
            tenant: context?.tenant,
            own: context?.signal === signal && signal !== request.signal,
          };
        },
        {},
      ),
    );
    expect(inside).toEqual({ deadline: undefined, tenant: 'acme', own: true });
  });

  it('leaves no listener on a signal that lives longer than 1,000 calls', async () => {
    const { cache, clock } = setUp();
    const shutdown = new AbortController();
    const request = new AbortController();
    for (let call = 0; call < 1_000; call++) {
      await runInContext({ signal: request.signal, deadline: 1e9 }, async () => {
        await cache.getOrSet(call, () => call, { signal: shutdown.signal });
        await cache.getOrSet(call, () => call, { signal: shutdown.signal });
        await cache
          .getOrSet([call], () => Promise.reject(new Error('no')), { signal: shutdown.signal })
          .catch(() => {});
      });
    }
    expect(getEventListeners(shutdown.signal, 'abort')).toHaveLength(0);
    expect(getEventListeners(request.signal, 'abort')).toHaveLength(0);
    expect(clock.pending).toBe(0);
  });

  it('while the store is asked begins no computation', async () => {
    const { cache, clock, store, log } = setUpWithStore();
    const compute = vi.fn(() => 1);
    store.trouble([20], 'getMany');
    const leaving = new AbortController();
    const left = cache.getOrSet('key', compute, { signal: leaving.signal });
    await clock.advance(10);
    leaving.abort(new Error('closed the tab'));
    await expect(left).rejects.toThrow('closed the tab');
    await clock.advance(10);
    expect(compute).not.toHaveBeenCalled();
    expect(log).toEqual(['cache.unstored abandoned']);
    expect(await cache.getOrSet('key', compute)).toBe(1);
  });

  it('does not end a refresh in the background', async () => {
    const { cache, clock } = setUp({ ttl: '1s', staleWhileRevalidate: '1s', grace: '10s' });
    await cache.getOrSet('key', () => 'old');
    await clock.advance(1_500);
    const refresh = deferred();
    const leaving = new AbortController();
    const call = { signal: leaving.signal };
    expect(await cache.resolve('key', refresh.compute, call)).toMatchObject({ value: 'old', stale: 'revalidating' });
    await clock.advance(1_000);
    const waits = cache.resolve('key', refresh.compute, call); // past what is served at once: joins the refresh
    await clock.settle();
    leaving.abort();
    await expect(waits).rejects.toThrow();
    expect(refresh.signals.map(({ aborted }) => aborted)).toEqual([false]);
    refresh.resolve('new');
    await clock.settle();
    expect(cache.peek('key')).toBe('new');
  });

  it('does not end a computation whose callers were given a stale value meanwhile', async () => {
    const { cache, clock } = setUp({ ttl: '1s', grace: '1h', softTimeout: 100 });
    await cache.getOrSet('key', () => 'old');
    await clock.advance(1_500);
    const { compute, resolve, signals } = deferred();
    const leaving = new AbortController();
    const call = { signal: leaving.signal };
    const waits = cache.resolve('key', compute, call);
    await clock.advance(100);
    const late = cache.resolve('key', compute, call);
    leaving.abort();
    expect([await waits, await late]).toMatchObject([{ stale: 'slow' }, { stale: 'slow', level: 'memory' }]);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
    resolve('new');
    await clock.settle();
    expect(cache.peek('key')).toBe('new');
  });

  it('by the deadline leaves no timer of the store, the computation or the caller behind', async () => {
    const { cache, clock, store } = setUpWithStore({ softTimeout: 10, hardTimeout: 500, grace: '1h', ttl: '1s' });
    await cache.set('key', 'old');
    await clock.advance(1_000);
    store.trouble('hang', 'getMany');
    const { compute, reject } = deferred();
    const hurried = runInContext({ deadline: clock.now() + 55 }, () => cache.getOrSet('key', compute));
    hurried.catch(() => {});
    await clock.advance(55);
    await expect(hurried).rejects.toMatchObject({ code: 'WP_DEADLINE' });
    reject(new Error('aborted'));
    await clock.advance(30_000); // a call to the store that does not come back counts as lost by then
    expect(clock.pending).toBe(0);
  });
});
