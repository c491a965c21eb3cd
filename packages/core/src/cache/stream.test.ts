import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { currentContext, runInContext } from '../kernel/index.js';
import { chaosStore, createFakeClock } from '../testing/index.js';
import {
  type CachedStream,
  type CacheEvent,
  type CacheOptions,
  type CacheStore,
  type Computation,
  createCache,
  type StoredEntry,
} from './index.js';

function setUp(options: Partial<CacheOptions> = {}) {
  const clock = createFakeClock();
  const log: string[] = [];
  const onEvent = (event: CacheEvent): void => {
    const { level = '', reason = '' } = event as { level?: string; reason?: string };
    log.push([event.type, level || reason].filter(Boolean).join(' '));
  };
  return { clock, log, cache: createCache({ name: 'test', clock, onEvent, ...options }) };
}

/** A source whose chunks the test hands out one by one. */
function tap<C>() {
  const queue: C[] = [];
  let wake = (): void => {};
  let over: { error?: unknown } | undefined;
  const seen = { begun: 0, pulled: 0, closed: 0, signal: undefined as AbortSignal | undefined };
  const produce = async function* ({ signal }: Computation): AsyncGenerator<C> {
    seen.begun++;
    seen.signal = signal;
    signal.addEventListener('abort', () => wake(), { once: true });
    try {
      for (;;) {
        seen.pulled++;
        while (queue.length === 0 && !over && !signal.aborted) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        signal.throwIfAborted();
        if (queue.length > 0) yield queue.shift() as C;
        else if (over && 'error' in over) throw over.error;
        else return;
      }
    } finally {
      seen.closed++;
    }
  };
  return {
    produce,
    seen,
    give: (...chunks: C[]) => {
      queue.push(...chunks);
      wake();
    },
    end: () => {
      over = {};
      wake();
    },
    fail: (error: unknown) => {
      over = { error };
      wake();
    },
  };
}

async function drain<C>(stream: CachedStream<C> | Promise<CachedStream<C>>): Promise<C[]> {
  const chunks: C[] = [];
  for await (const chunk of (await stream).chunks) chunks.push(chunk);
  return chunks;
}

/** Reads on and on into a list, which the test looks at meanwhile. */
function follow<C>(stream: CachedStream<C>) {
  const chunks: C[] = [];
  const end = (async () => {
    for await (const chunk of stream.chunks) chunks.push(chunk);
  })();
  end.catch(() => {});
  return { chunks, end };
}

const letters = async function* (): AsyncGenerator<string> {
  yield* ['a', 'b', 'c'];
};

const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
beforeEach(() => void process.on('unhandledRejection', onUnhandled));
afterEach(async () => {
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', onUnhandled);
  expect(unhandled.splice(0)).toEqual([]);
});

describe('one source for all who read', () => {
  it('is begun once for 100 readers, who all get every chunk', async () => {
    const { cache } = setUp();
    const produce = vi.fn(letters);
    const streams = await Promise.all(Array.from({ length: 100 }, () => cache.stream('key', produce)));
    expect(streams.map(({ level }) => level)).toEqual(['computed', ...Array(99).fill('shared')]);
    for (const chunks of await Promise.all(streams.map(drain))) expect(chunks).toEqual(['a', 'b', 'c']);
    expect(produce).toHaveBeenCalledTimes(1);
  });

  it('gives a late joiner every chunk from the first on, then follows', async () => {
    const { cache, clock } = setUp();
    const source = tap<string>();
    const early = follow(await cache.stream('key', source.produce));
    source.give('a');
    await clock.settle();
    source.give('b');
    await clock.settle();
    expect(early.chunks).toEqual(['a', 'b']);
    const late = follow(await cache.stream('key', source.produce));
    await clock.settle();
    expect(late.chunks).toEqual(['a', 'b']);
    source.give('c');
    source.end();
    await Promise.all([early.end, late.end]);
    expect([early.chunks, late.chunks]).toEqual([
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
    ]);
    expect(source.seen.begun).toBe(1);
  });

  it('lets a slow reader lag without holding the others up', async () => {
    const { cache, clock } = setUp();
    const source = tap<number>();
    const slow = (await cache.stream('key', source.produce)).chunks[Symbol.asyncIterator]();
    const fast = follow(await cache.stream('key', source.produce));
    source.give(1, 2, 3);
    source.end();
    await fast.end;
    expect(fast.chunks).toEqual([1, 2, 3]);
    await clock.settle();
    for (const value of [1, 2, 3]) expect(await slow.next()).toEqual({ done: false, value });
    expect(await slow.next()).toEqual({ done: true, value: undefined });
    expect(await slow.next()).toEqual({ done: true, value: undefined });
  });

  it('is pulled only when somebody wants a chunk', async () => {
    const { cache, clock } = setUp();
    let made = 0;
    const reader = (
      await cache.stream('key', async function* () {
        for (;;) yield ++made;
      })
    ).chunks[Symbol.asyncIterator]();
    await clock.settle();
    expect(made).toBe(0);
    await reader.next();
    await reader.next();
    await clock.settle();
    expect(made).toBe(2);
    await reader.return?.();
  });

  it('runs as the tenant whose stream it is, without the first caller’s signal, deadline and attributes', async () => {
    const { cache } = setUp();
    const request = new AbortController();
    const seen: unknown[] = [];
    const produce = async function* ({ signal }: Computation): AsyncGenerator<number> {
      for (const chunk of [1, 2]) {
        const context = currentContext();
        seen.push([context?.tenant, context?.deadline, context?.signal === signal]);
        yield chunk;
      }
    };
    const { chunks } = await runInContext({ tenant: 'acme', signal: request.signal, deadline: 1e9 }, () =>
      cache.stream('key', produce),
    );
    await runInContext({ tenant: 'globex' }, () => drain({ level: 'computed', ageMs: 0, chunks }));
    expect(seen).toEqual([
      ['acme', undefined, true],
      ['acme', undefined, true],
    ]);
  });

  it('gives each reader chunks of its own, and the source may use one object over and over', async () => {
    const { cache } = setUp();
    const produce = async function* (): AsyncGenerator<{ list: number[] }> {
      const reused = { list: [0] };
      for (const value of [1, 2, 3]) {
        reused.list[0] = value;
        yield reused;
      }
    };
    const streams = await Promise.all([1, 2].map(() => cache.stream('key', produce)));
    const expected = [{ list: [1] }, { list: [2] }, { list: [3] }];
    const spoil = async (stream: CachedStream<{ list: number[] }>) => {
      const seen: unknown[] = [];
      for await (const chunk of stream.chunks) {
        seen.push(structuredClone(chunk));
        chunk.list.push(99);
      }
      return seen;
    };
    expect(await Promise.all(streams.map(spoil))).toEqual([expected, expected]);
    expect(await spoil(await cache.stream('key', produce))).toEqual(expected);
    expect(await spoil(await cache.stream('key', produce))).toEqual(expected);
  });

  it('gives every reader a prefix of the source, whole for those who stay, whatever the interleaving', () => {
    const reader = fc.record({ joinAt: fc.nat(6), leaveAfter: fc.option(fc.nat(6), { nil: undefined }) });
    return fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(), { maxLength: 6 }),
        fc.array(reader, { minLength: 1, maxLength: 5 }),
        fc.scheduler(),
        async (chunks, readers, scheduler) => {
          const { cache } = setUp();
          let begun = 0;
          const produce = async function* (): AsyncGenerator<number> {
            begun++;
            for (const chunk of chunks) {
              await scheduler.schedule(Promise.resolve(), 'chunk');
              yield chunk;
            }
          };
          const work = readers.map(async ({ joinAt, leaveAfter }) => {
            for (let turn = 0; turn < joinAt; turn++) await scheduler.schedule(Promise.resolve(), 'join');
            const seen: number[] = [];
            for await (const chunk of (await cache.stream('key', produce)).chunks) {
              seen.push(chunk);
              if (seen.length === leaveAfter) break;
              await scheduler.schedule(Promise.resolve(), 'read');
            }
            expect(seen).toEqual(chunks.slice(0, leaveAfter || undefined));
          });
          await scheduler.waitFor(Promise.all(work));
          if (readers.every(({ leaveAfter }) => !leaveAfter)) expect(begun).toBe(1);
        },
      ),
    );
  });
});

describe('leaving a stream', () => {
  it('ends one reader with its own reason, and the others read on', async () => {
    const { cache, clock } = setUp();
    const source = tap<string>();
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
    const source = tap<string>();
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
    const source = tap<string>();
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
    const source = tap<string>();
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
    const { produce, seen, give } = tap<string>();
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
    const { produce, seen, give } = tap<string>();
    const { chunks } = await cache.stream('key', produce);
    const next = chunks[Symbol.asyncIterator]().next();
    await clock.advance(60 * 60_000);
    give('late');
    expect(await next).toEqual({ done: false, value: 'late' });
    expect(seen.closed).toBe(0);
  });

  it('is what a reader does that never begins', async () => {
    const { cache, clock } = setUp();
    const { produce, seen } = tap<string>();
    await cache.stream('key', produce);
    await clock.advance(5 * 60_000);
    expect(clock.pending).toBe(0);
    const again = tap<string>();
    const { level } = await cache.stream('key', again.produce);
    expect([level, seen.begun]).toEqual(['computed', 0]);
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
    const source = tap<string>();
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

describe('what is kept of a stream', () => {
  it('is a stream that ended by itself, chunk for chunk', async () => {
    const { cache, clock, log } = setUp();
    await drain(cache.stream('key', letters));
    await clock.advance(40);
    const again = await cache.stream('key', letters);
    expect(again).toMatchObject({ level: 'memory', ageMs: 40 });
    expect(await drain(again)).toEqual(['a', 'b', 'c']);
    expect(log).toEqual(['cache.miss', 'cache.computed', 'cache.hit memory']);
  });

  it('is an empty stream, too', async () => {
    const { cache } = setUp();
    await drain(cache.stream('key', async function* () {}));
    expect(await cache.stream('key', letters)).toMatchObject({ level: 'memory' });
  });

  it('is not one that failed: the error reaches every reader, late ones after all chunks that there were', async () => {
    const { cache, clock, log } = setUp();
    const source = tap<string>();
    const early = follow(await cache.stream('key', source.produce));
    const lagging = (await cache.stream('key', source.produce)).chunks[Symbol.asyncIterator]();
    source.give('a');
    await clock.settle();
    const error = new Error('reset by peer');
    source.fail(error);
    await expect(early.end).rejects.toBe(error);
    expect(early.chunks).toEqual(['a']);
    expect(await lagging.next()).toEqual({ done: false, value: 'a' });
    await expect(lagging.next()).rejects.toBe(error);
    expect(await drain(cache.stream('key', letters))).toEqual(['a', 'b', 'c']);
    expect(log).toEqual(['cache.miss', 'cache.hit shared', 'cache.failed', 'cache.miss', 'cache.computed']);
  });

  it('is not one whose source cannot even begin', async () => {
    const { cache } = setUp();
    const produce = (): AsyncIterable<string> => {
      throw new Error('at once');
    };
    await expect(drain(cache.stream('key', produce))).rejects.toThrow('at once');
    expect(await drain(cache.stream('key', letters))).toEqual(['a', 'b', 'c']);
  });

  it('is not one that the caller calls incomplete', async () => {
    const { cache, log } = setUp();
    const isComplete = (chunks: readonly string[]): boolean => chunks.at(-1) === 'end';
    expect(await drain(cache.stream('key', letters, { isComplete }))).toEqual(['a', 'b', 'c']);
    expect((await cache.stream('key', letters, { isComplete })).level).toBe('computed');
    expect(log).toEqual(['cache.miss', 'cache.unstored incomplete']);
  });

  it('is not one that isComplete fails on, which is reported, and the readers have their stream', async () => {
    const { cache, log } = setUp();
    const isComplete = (): boolean => {
      throw new Error('a bug');
    };
    expect(await drain(cache.stream('key', letters, { isComplete }))).toEqual(['a', 'b', 'c']);
    expect(log).toEqual(['cache.miss', 'cache.failed']);
  });

  it('is not one whose key was deleted meanwhile: its readers get the whole of it, newcomers begin anew', async () => {
    const { cache, clock } = setUp();
    const old = tap<string>();
    const before = follow(await cache.stream('key', old.produce));
    old.give('old');
    await clock.settle();
    await cache.delete('key');
    const after = await cache.stream('key', letters);
    expect(after.level).toBe('computed');
    expect(await drain(after)).toEqual(['a', 'b', 'c']);
    await cache.delete('key');
    const fresh = tap<string>();
    const newer = follow(await cache.stream('key', fresh.produce));
    old.give('older');
    old.end();
    await before.end;
    expect(before.chunks).toEqual(['old', 'older']);
    expect((await cache.stream('key', letters)).level).toBe('shared');
    fresh.end();
    await newer.end;
    expect(await drain(cache.stream('key', letters))).toEqual([]);
  });

  it('is apart from a value of the same key', async () => {
    const { cache } = setUp();
    await cache.getOrSet('key', () => 'value');
    expect(await drain(cache.stream('key', letters))).toEqual(['a', 'b', 'c']);
    expect(cache.peek('key')).toBe('value');
  });
});

describe('a stream in the store', () => {
  const shelf = () => {
    const entries = new Map<string, StoredEntry>();
    const plain: CacheStore = {
      name: 'map',
      get: async (key) => entries.get(key),
      set: async (key, entry) => void entries.set(key, entry),
      delete: async (key) => void entries.delete(key),
    };
    return plain;
  };

  it('replays with its age, once for all who come while it is fetched, and is in memory then', async () => {
    const clock = createFakeClock();
    const store = chaosStore(shelf(), { clock });
    const make = () => createCache({ name: 'test', clock, store, ttl: '1m' });
    await drain(make().stream('key', letters));
    await clock.advance(500);
    const other = make();
    store.trouble(20, 'get');
    const produce = vi.fn(letters);
    const streams = [1, 2].map(() => other.stream('key', produce));
    await clock.advance(20);
    expect(await Promise.all(streams)).toMatchObject([
      { level: 'store', ageMs: 520 },
      { level: 'shared', ageMs: 0 },
    ]);
    for (const stream of streams) expect(await drain(stream)).toEqual(['a', 'b', 'c']);
    expect(await other.stream('key', produce)).toMatchObject({ level: 'memory', ageMs: 520 });
    expect(produce).not.toHaveBeenCalled();
  });

  it('that hangs costs a stream its deadline, no more', async () => {
    const clock = createFakeClock();
    const store = chaosStore(shelf(), { clock });
    store.trouble('hang');
    const cache = createCache({ name: 'test', clock, store });
    const stream = cache.stream('key', letters);
    await clock.advance(50);
    expect((await stream).level).toBe('computed');
    expect(await drain(stream)).toEqual(['a', 'b', 'c']);
    await clock.advance(50);
    expect(clock.pending).toBe(0);
  });
});

describe('memory', () => {
  it('refuses a stream of more than 100,000 chunks rather than fill up', async () => {
    const { cache } = setUp();
    let aborted: boolean | undefined;
    const endless = async function* ({ signal }: Computation): AsyncGenerator<number> {
      try {
        for (let chunk = 0; ; chunk++) yield chunk;
      } finally {
        aborted = signal.aborted;
      }
    };
    let read = 0;
    await expect(
      (async () => {
        for await (const _ of (await cache.stream('key', endless)).chunks) read++;
      })(),
    ).rejects.toMatchObject({ code: 'WP_OVERLOADED' });
    expect(read).toBeGreaterThanOrEqual(100_000);
    expect(aborted).toBe(true);
  });
});
