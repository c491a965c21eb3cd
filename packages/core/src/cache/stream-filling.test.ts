import { describe, expect, it } from 'vitest';
import { setUp } from '../../test/cache-set-up.js';
import { drain, follow, letters, memorySpill, tap } from '../../test/stream-set-up.js';

const finish = { finishFill: true };

/** A stream of which one chunk was read by its only reader, who has left. */
async function leftBehind(options: Parameters<typeof setUp>[0] = {}, call: object = finish) {
  const set = setUp(options);
  const source = tap();
  const reader = (await set.cache.stream('key', source.produce, call)).chunks[Symbol.asyncIterator]();
  source.give('a');
  await reader.next();
  await reader.return?.();
  await set.clock.settle();
  return { ...set, source };
}

describe('a stream that is to be finished', () => {
  it('goes on without readers to its end, and is kept', async () => {
    const { cache, clock, log, source } = await leftBehind();
    expect(source.seen).toMatchObject({ closed: 0, pulled: 2 });
    source.give('b', 'c');
    source.end();
    await clock.settle();
    expect(source.seen.signal?.aborted).toBe(false);
    const again = await cache.stream('key', letters);
    expect([again.level, await drain(again)]).toEqual(['memory', ['a', 'b', 'c']]);
    expect(log).toEqual(['cache.miss', 'cache.computed', 'cache.hit memory']);
    expect(clock.pending).toBe(0);
  });

  it('can be joined meanwhile, and goes on when that reader leaves, too', async () => {
    const { cache, clock, source } = await leftBehind();
    const joined = await cache.stream('key', source.produce);
    expect(joined.level).toBe('shared');
    for await (const chunk of joined.chunks) {
      expect(chunk).toBe('a');
      break;
    }
    source.give('b');
    source.end();
    await clock.settle();
    expect((await cache.stream('key', letters)).level).toBe('memory');
  });

  it.each([
    [finish, {}],
    [{}, finish],
  ])('is so when any one of its callers says so: %j, %j', async (...calls) => {
    const { cache, clock } = setUp();
    const source = tap();
    const leaving = new AbortController();
    const { signal } = leaving;
    for (const call of calls) follow(await cache.stream('key', source.produce, { ...call, signal }));
    source.give('a');
    await clock.settle();
    leaving.abort();
    source.end();
    await clock.settle();
    expect((await cache.stream('key', letters)).level).toBe('memory');
  });

  it('is not begun for nobody', async () => {
    const { cache, clock } = setUp();
    const source = tap();
    await (await cache.stream('key', source.produce, finish)).chunks[Symbol.asyncIterator]().return?.();
    await clock.settle();
    expect(source.seen.begun).toBe(0);
  });

  it.each([
    ['its call keeps nothing', { ...finish, ttl: 0 }],
    ['nobody says so', {}],
  ])('is not one of which %s', async (_, call) => {
    const { source } = await leftBehind({}, call);
    expect(source.seen).toMatchObject({ closed: 1 });
  });

  it('is given up when its key is deleted, before and after its readers have left', async () => {
    const { cache, clock, source, log } = await leftBehind();
    await cache.delete('key');
    await clock.settle();
    expect(source.seen).toMatchObject({ closed: 1 });
    expect(log).toContain('cache.unstored invalidated');
    const other = tap();
    const reader = (await cache.stream('key', other.produce, finish)).chunks[Symbol.asyncIterator]();
    other.give('a');
    await reader.next();
    await cache.delete('key');
    await reader.return?.();
    await clock.settle();
    expect(other.seen.closed).toBe(1);
  });

  it('is given up when the cache is closed, and none is finished from then on', async () => {
    const { cache, clock, source } = await leftBehind();
    const read = tap();
    const reader = follow(await cache.stream('read', read.produce, finish));
    await cache.close();
    await clock.settle();
    expect(source.seen).toMatchObject({ closed: 1 });
    expect(source.seen.signal?.reason).toMatchObject({ message: 'The cache was closed' });
    read.give('a');
    read.end();
    await reader.end;
    expect(reader.chunks).toEqual(['a']);
    expect(clock.pending).toBe(0);
  });

  it('is none once the cache is closed: it ends with its last reader, whenever it began', async () => {
    const { cache, clock } = setUp();
    const [before, after] = [tap(), tap()];
    const readers = [(await cache.stream('before', before.produce, finish)).chunks[Symbol.asyncIterator]()];
    await cache.close();
    readers.push((await cache.stream('after', after.produce, finish)).chunks[Symbol.asyncIterator]());
    for (const source of [before, after]) source.give('a');
    for (const reader of readers) {
      await reader.next();
      await reader.return?.();
    }
    await clock.settle();
    expect([before.seen.closed, after.seen.closed]).toEqual([1, 1]);
  });

  it('is given up when its source has given nothing for five minutes', async () => {
    const { cache, clock, source } = await leftBehind();
    await clock.advance(4 * 60_000);
    source.give('b');
    await clock.advance(5 * 60_000 - 1);
    expect(source.seen.closed).toBe(0);
    await clock.advance(1);
    expect(source.seen).toMatchObject({ closed: 1 });
    expect(source.seen.signal?.reason).toMatchObject({ code: 'WP_DEADLINE' });
    expect((await cache.stream('key', letters)).level).toBe('computed');
  });

  it('is given up when it outgrows memory, and not where it can be spilled', async () => {
    const chunks = Array.from({ length: 50 }, (_, at) => `${at} `.repeat(100));
    const small = { maxStreamBytes: 3_000 };
    const without = await leftBehind(small);
    without.source.give(...chunks);
    await without.clock.settle();
    expect(without.source.seen).toMatchObject({ closed: 1 });
    expect(without.log).toEqual(['cache.miss', 'cache.unstored too-large']);
    const spill = memorySpill();
    const spilled = await leftBehind({ ...small, spill });
    spilled.source.give(...chunks);
    spilled.source.end();
    await spilled.clock.settle();
    expect(await drain(spilled.cache.stream('key', letters))).toEqual(['a', ...chunks]);
    expect(spill.files()).toBe(0);
  });

  it('that fails then is an event', async () => {
    const { cache, clock, source, log } = await leftBehind();
    source.fail(new Error('reset by peer'));
    await clock.settle();
    expect(log).toEqual(['cache.miss', 'cache.failed']);
    expect(clock.pending).toBe(0);
    expect((await cache.stream('key', letters)).level).toBe('computed');
  });
});
