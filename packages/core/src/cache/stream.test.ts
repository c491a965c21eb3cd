import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { setUp } from '../../test/cache-set-up.js';
import { drain, follow, letters, type Production, tap } from '../../test/stream-set-up.js';
import { currentContext, runInContext } from '../kernel/index.js';
import type { CachedStream } from './index.js';

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
    const source = tap();
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
    const produce = async function* ({ signal }: Production): AsyncGenerator<number> {
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

  it.each(['frozen', 'copy'] as const)(
    'isolates each reader (%s), and the source may use one object over and over',
    async (isolation) => {
      const { cache } = setUp({ isolation });
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
          if (isolation === 'frozen') expect(() => chunk.list.push(99)).toThrow(TypeError);
          else chunk.list.push(99);
        }
        return seen;
      };
      expect(await Promise.all(streams.map(spoil))).toEqual([expected, expected]);
      expect(await spoil(await cache.stream('key', produce))).toEqual(expected);
      expect(await spoil(await cache.stream('key', produce))).toEqual(expected);
    },
  );

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
    const source = tap();
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
    expect(log).toEqual(['cache.hit shared', 'cache.miss', 'cache.failed', 'cache.miss', 'cache.computed']);
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
    const old = tap();
    const before = follow(await cache.stream('key', old.produce));
    old.give('old');
    await clock.settle();
    await cache.delete('key');
    const after = await cache.stream('key', letters);
    expect(after.level).toBe('computed');
    expect(await drain(after)).toEqual(['a', 'b', 'c']);
    await cache.delete('key');
    const fresh = tap();
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

  it('is stale never, even where values are: a newcomer past its ttl begins anew', async () => {
    const { cache, clock } = setUp({ ttl: '1s', staleWhileRevalidate: '1m', grace: '1h' });
    await drain(cache.stream('key', letters));
    await clock.advance(1_000);
    const again = await cache.stream('key', letters);
    expect(again).toMatchObject({ level: 'computed', ageMs: 0 });
    await drain(again);
  });

  it('lives for the ttl of its call, and not at all at 0', async () => {
    const { cache, clock, log } = setUp();
    await drain(cache.stream('brief', letters, { ttl: '1s' }));
    await drain(cache.stream('never', letters, { ttl: 0 }));
    expect(log.at(-1)).toBe('cache.unstored not-wanted');
    const level = async (key: string) => (await cache.stream(key, letters)).level;
    expect([await level('brief'), await level('never')]).toEqual(['memory', 'computed']);
    await clock.advance(1_000);
    expect(await level('brief')).toBe('computed');
  });

  it('refuses no producer, and a ttl and tags that are none', async () => {
    const { cache } = setUp();
    const refused = { code: 'WP_BAD_OPTION' };
    await expect(cache.stream('key', undefined as unknown as typeof letters)).rejects.toMatchObject(refused);
    await expect(cache.stream('key', letters, { ttl: -1 })).rejects.toMatchObject(refused);
    await expect(cache.stream('key', letters, { tags: [''] })).rejects.toMatchObject(refused);
  });
});
