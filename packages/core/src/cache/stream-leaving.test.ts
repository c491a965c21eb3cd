import { getEventListeners } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import { setUp, setUpWithStore } from '../../test/cache-set-up.js';
import { drain, follow, letters, tap } from '../../test/stream-set-up.js';
import { runInContext } from '../kernel/index.js';

describe('leaving a stream', () => {
  it('ends one reader with its own reason, and the others read on', async () => {
    const { cache, clock } = setUp();
    const source = tap();
    const leaving = new AbortController();
    const leaves = follow(await cache.stream('key', source.produce, { signal: leaving.signal }));
    const stays = follow(await cache.stream('key', source.produce));
    source.give('a');
    await clock.settle();
    const reason = new Error('closed the tab');
    leaving.abort(reason);
    await expect(leaves.end).rejects.toBe(reason);
    expect(source.seen.signal?.aborted).toBe(false);
    source.give('b');
    source.end();
    await stays.end;
    expect(stays.chunks).toEqual(['a', 'b']);
    expect(source.seen.closed).toBe(1);
  });

  it('aborts and closes the source with the last reader, in the middle of a chunk too', async () => {
    const { cache, clock, log } = setUp();
    const source = tap();
    const controllers = [1, 2].map(() => new AbortController());
    const readers = await Promise.all(
      controllers.map(async ({ signal }) => follow(await cache.stream('key', source.produce, { signal }))),
    );
    source.give('a');
    await clock.settle();
    controllers[0]?.abort();
    await clock.settle();
    expect(source.seen).toMatchObject({ closed: 0 });
    controllers[1]?.abort(new Error('the last one'));
    await clock.settle();
    await expect(readers[1]?.end).rejects.toThrow('the last one');
    expect(source.seen.signal?.aborted).toBe(true);
    expect(source.seen.closed).toBe(1);
    expect(log).toEqual(['cache.hit shared', 'cache.miss', 'cache.unstored abandoned']);
  });

  it('by leaving the loop closes the source between two chunks, and keeps nothing', async () => {
    const { cache, clock } = setUp();
    const source = tap();
    source.give('a', 'b');
    for await (const chunk of (await cache.stream('key', source.produce)).chunks) {
      expect(chunk).toBe('a');
      break;
    }
    await clock.settle();
    expect(source.seen).toMatchObject({ closed: 1 });
    expect(source.seen.signal?.aborted).toBe(true);
    expect((await cache.stream('key', letters)).level).toBe('computed');
  });

  it('does not close the source with one reader while another one lags behind', async () => {
    const { cache, clock } = setUp();
    const source = tap();
    const lagging = (await cache.stream('key', source.produce)).chunks;
    const fast = (await cache.stream('key', source.produce)).chunks[Symbol.asyncIterator]();
    source.give('a', 'b');
    await fast.next();
    await fast.return?.();
    await clock.settle();
    expect(source.seen.closed).toBe(0);
    source.end();
    expect(await drain({ level: 'shared', ageMs: 0, chunks: lagging })).toEqual(['a', 'b']);
  });

  it('lets newcomers begin anew after the last reader has left, even when the source will not stop', async () => {
    const { cache, clock, log } = setUp();
    const { promise, resolve } = Promise.withResolvers<void>();
    const leaving = new AbortController();
    const stubborn = async function* (): AsyncGenerator<string> {
      yield 'old';
      await promise;
    };
    const left = follow(await cache.stream('key', stubborn, { signal: leaving.signal }));
    await clock.settle();
    leaving.abort();
    await expect(left.end).rejects.toThrow();
    expect(await drain(cache.stream('key', letters))).toEqual(['a', 'b', 'c']);
    resolve();
    await clock.settle();
    expect(await drain(cache.stream('key', letters))).toEqual(['a', 'b', 'c']);
    expect(log).toEqual(['cache.miss', 'cache.unstored abandoned', 'cache.miss', 'cache.computed', 'cache.hit memory']);
  });

  it('is what a reader does that asks for nothing for five minutes: the source is closed, and it learns so', async () => {
    const { cache, clock } = setUp();
    const { produce, seen, give } = tap();
    const { chunks } = await cache.stream('key', produce);
    const reader = chunks[Symbol.asyncIterator]();
    give('one', 'two');
    await clock.advance(4 * 60_000);
    expect(await reader.next()).toEqual({ done: false, value: 'one' });
    await clock.advance(5 * 60_000 - 1);
    expect(seen.closed).toBe(0);
    await clock.advance(1);
    expect([seen.closed, seen.signal?.aborted]).toEqual([1, true]);
    await expect(reader.next()).rejects.toMatchObject({ code: 'WP_DEADLINE' });
    expect(clock.pending).toBe(0);
  });

  it('is not what a reader does that waits for a slow source, however long', async () => {
    const { cache, clock } = setUp();
    const { produce, seen, give } = tap();
    const { chunks } = await cache.stream('key', produce);
    const next = chunks[Symbol.asyncIterator]().next();
    await clock.advance(60 * 60_000);
    give('late');
    expect(await next).toEqual({ done: false, value: 'late' });
    expect(seen.closed).toBe(0);
  });

  it('is not what a reader does that reads slowly what the others have long had', async () => {
    const { cache, clock } = setUp();
    const { produce, give } = tap();
    const slow = (await cache.stream('key', produce)).chunks[Symbol.asyncIterator]();
    follow(await cache.stream('key', produce));
    give('a', 'b', 'c', 'd');
    for (const value of ['a', 'b', 'c', 'd']) {
      await clock.advance(4 * 60_000);
      expect(await slow.next()).toEqual({ done: false, value });
    }
  });

  it('is what a reader does that never begins', async () => {
    const { cache, clock } = setUp();
    const { produce, seen } = tap();
    await cache.stream('key', produce);
    await clock.advance(5 * 60_000);
    expect(clock.pending).toBe(0);
    const again = tap();
    const { level } = await cache.stream('key', again.produce);
    expect([level, seen.begun]).toEqual(['computed', 0]);
  });

  it('begins nothing when all have left while the store was asked', async () => {
    const { cache, clock, store } = setUpWithStore();
    store.trouble(20, 'getMany');
    const produce = vi.fn(letters);
    const leaving = new AbortController();
    const first = cache.stream('key', produce, { signal: leaving.signal });
    const joined = follow(await cache.stream('key', produce, { signal: leaving.signal }));
    await clock.advance(10);
    leaving.abort(new Error('gone'));
    await expect(first).rejects.toThrow('gone');
    await expect(joined.end).rejects.toThrow('gone');
    await clock.advance(20);
    expect(produce).not.toHaveBeenCalled();
  });

  it('closes a source that comes when all have left, without asking it for anything', async () => {
    const { cache, clock } = setUp();
    const { promise, resolve } = Promise.withResolvers<AsyncIterable<string>>();
    const [next, end] = [vi.fn(), vi.fn(async () => ({ done: true, value: undefined }) as const)];
    const reader = follow(await cache.stream('key', () => promise)).end;
    const { chunks } = await cache.stream('key', () => promise);
    void chunks[Symbol.asyncIterator]().return?.();
    const leaving = new AbortController();
    const other = follow(await cache.stream('other', () => promise, { signal: leaving.signal }));
    await clock.settle();
    leaving.abort();
    await expect(other.end).rejects.toThrow();
    await clock.settle();
    resolve({ [Symbol.asyncIterator]: () => ({ next, return: end }) });
    await clock.settle();
    expect([next.mock.calls.length, end.mock.calls.length]).toEqual([1, 1]); // asked for the one who has stayed
    await expect(reader).rejects.toThrow();
  });

  it('begins nothing for a reader who has left before asking', async () => {
    const { cache } = setUp();
    const produce = vi.fn(letters);
    await expect(cache.stream('key', produce, { signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow(
      'gone',
    );
    expect(produce).not.toHaveBeenCalled();
  });

  it('ends a reader at its deadline', async () => {
    const { cache, clock } = setUp();
    const source = tap();
    const reader = follow(await runInContext({ deadline: 100 }, () => cache.stream('key', source.produce)));
    source.give('a');
    await clock.advance(100);
    await expect(reader.end).rejects.toMatchObject({ code: 'WP_DEADLINE' });
    expect(source.seen.closed).toBe(1);
    expect(clock.pending).toBe(0);
  });

  it('ends a replay with the reader’s reason as well', async () => {
    const { cache } = setUp();
    await drain(cache.stream('key', letters));
    const leaving = new AbortController();
    const replay = (await cache.stream('key', letters, { signal: leaving.signal })).chunks[Symbol.asyncIterator]();
    await replay.next();
    leaving.abort(new Error('enough'));
    await expect(replay.next()).rejects.toThrow('enough');
  });

  it('leaves no listener on a signal that lives longer than 1,000 streams', async () => {
    const { cache, clock } = setUp();
    const shutdown = new AbortController();
    for (let call = 0; call < 1_000; call++) {
      await runInContext({ deadline: 1e9 }, async () => {
        await drain(cache.stream(call, letters, { signal: shutdown.signal }));
        await drain(cache.stream(call, letters, { signal: shutdown.signal }));
        for await (const _ of (await cache.stream([call], letters, { signal: shutdown.signal })).chunks) break;
      });
    }
    expect(getEventListeners(shutdown.signal, 'abort')).toHaveLength(0);
    expect(clock.pending).toBe(0);
  });
});
