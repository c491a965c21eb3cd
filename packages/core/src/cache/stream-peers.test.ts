import { describe, expect, it, vi } from 'vitest';
import { setUpWithStore, watch } from '../../test/cache-set-up.js';
import { drain, follow, letters, tap } from '../../test/stream-set-up.js';
import { isWarmpathError, WarmpathError } from '../kernel/index.js';
import type { CacheOptions } from './index.js';

type Peers = ReturnType<typeof peers>;

/** Two processes on one store. */
function peers(options: Omit<Partial<CacheOptions>, 'clock'> = {}) {
  const first = setUpWithStore(options);
  const second = first.another();
  const third = first.another();
  return { ...first, second, third, b: second.cache, c: third.cache };
}

/** A stream that is produced by the first process and followed by the second. */
async function followed(set: Peers, chunks: readonly string[] = ['a', 'b']) {
  const source = tap();
  const other = vi.fn(letters);
  const ours = follow(await set.cache.stream('key', source.produce));
  await set.clock.settle();
  source.give(...chunks);
  const theirs = follow(await set.b.stream('key', other));
  await set.clock.advance(100);
  return { source, other, ours, theirs };
}

describe('a stream that another process produces', () => {
  it('is followed live from its first chunk on, is said to be shared, and is produced once', async () => {
    const set = peers();
    const { source, other, ours, theirs } = await followed(set);
    expect([ours.chunks, theirs.chunks]).toEqual([
      ['a', 'b'],
      ['a', 'b'],
    ]);
    source.give('c');
    await set.clock.advance(25);
    expect(theirs.chunks).toEqual(['a', 'b', 'c']);
    source.end();
    await set.clock.advance(25);
    await Promise.all([ours.end, theirs.end]);
    expect(other).not.toHaveBeenCalled();
    expect(set.second.log).toEqual(['cache.hit shared']);
    const kept = await set.c.stream('key', other);
    expect([kept.level, await drain(kept)]).toEqual(['store', ['a', 'b', 'c']]);
    await set.clock.advance(60_000);
    expect(set.clock.pending).toBe(0);
  });

  it('is there within one batch, however long it runs already, with chunk boundaries and relative times', async () => {
    const set = peers();
    const source = tap();
    follow(await set.cache.stream('key', source.produce));
    for (const chunk of ['a', 'b', 'c']) {
      source.give(chunk);
      await set.clock.advance(100);
    }
    const theirs = follow(await set.b.stream('key', letters, { pace: 'recorded' }));
    await set.clock.advance(30);
    expect(theirs.chunks).toEqual(['a']);
    await set.clock.advance(100);
    expect(theirs.chunks).toEqual(['a', 'b']);
    source.end();
    await set.clock.advance(200);
    await theirs.end;
  });

  it('costs the store nothing but its lease while nobody follows', async () => {
    const { cache, clock, store } = peers();
    const source = tap();
    const ours = follow(await cache.stream('key', source.produce));
    for (let index = 0; index < 100; index++) source.give('chunk');
    await clock.advance(3_000);
    source.end();
    await ours.end;
    const kinds = store.calls.map((call) => call.split(' ')[0]);
    expect(kinds).toEqual(['getMany', 'acquire', 'acquire', 'append', 'setMany']);
  });

  it('goes on for those who follow when its own readers have left, and is aborted when they have left too', async () => {
    const set = peers();
    const leaving = new AbortController();
    const source = tap();
    const ours = follow(await set.cache.stream('key', source.produce, { signal: leaving.signal }));
    const theirs = await set.b.stream('key', letters);
    const reader = theirs.chunks[Symbol.asyncIterator]();
    const asked = reader.next();
    source.give('a');
    await set.clock.advance(50);
    expect(await asked).toEqual({ done: false, value: 'a' });
    leaving.abort();
    await expect(ours.end).rejects.toThrow();
    source.give('b');
    expect(await Promise.all([reader.next(), set.clock.advance(2_000)])).toMatchObject([{ value: 'b' }, undefined]);
    expect(source.seen.signal?.aborted).toBe(false);
    await reader.return?.();
    await set.clock.advance(10_000);
    expect(source.seen.signal?.aborted).toBe(true);
    expect(set.clock.pending).toBe(0);
  });

  it('is produced when only others read it', async () => {
    const set = peers();
    const source = tap();
    await set.cache.stream('key', source.produce); // and never asks for a chunk
    const theirs = follow(await set.b.stream('key', letters));
    source.give('a');
    await set.clock.advance(100);
    expect(theirs.chunks).toEqual(['a']);
  });

  it('fails for all with its error, as far as that can be told elsewhere, and nothing is stored', async () => {
    const errors: readonly unknown[] = [
      Object.assign(new TypeError('no luck'), { code: 'ECONNRESET' }),
      new WarmpathError('WP_MODEL_REQUEST', 'refused', { details: { status: 429 } }),
      'a text',
      Object.assign(new Error('odd'), { code: Symbol('odd') }),
    ];
    for (const error of errors) {
      const set = peers();
      const { source, other, ours, theirs } = await followed(set);
      source.fail(error);
      await set.clock.advance(25);
      expect(await ours.end.catch((reason) => reason)).toBe(error);
      const reason = await theirs.end.catch((thrown) => thrown);
      const { name, message, code, details } =
        error instanceof Error ? (error as WarmpathError) : ({} as WarmpathError);
      expect(reason).toBeInstanceOf(Error);
      expect(reason).toMatchObject({
        message: message ?? error,
        ...(name && { name }),
        ...(typeof code === 'string' && { code }),
        ...(details && { details }),
      });
      expect(isWarmpathError(reason)).toBe(isWarmpathError(error));
      expect(other).not.toHaveBeenCalled();
      expect((await set.third.cache.stream('key', letters)).level).toBe('computed');
    }
  });

  it('waits for a reader elsewhere who is slow, also past its end', async () => {
    const set = peers();
    const { source, ours } = await followed(set);
    const slow = (await set.c.stream('key', letters)).chunks[Symbol.asyncIterator]();
    const first = slow.next();
    await set.clock.advance(100);
    expect(await first).toMatchObject({ value: 'a' });
    source.give('c');
    source.end();
    await set.clock.advance(60_000);
    await ours.end;
    for (const value of ['b', 'c']) {
      const next = slow.next();
      await set.clock.advance(100);
      expect(await next).toEqual({ done: false, value });
    }
    const last = slow.next();
    await set.clock.advance(100);
    expect(await last).toMatchObject({ done: true });
    await set.clock.advance(10_000);
    expect(set.clock.pending).toBe(0);
  });

  it('is read on to its end for a caller who wants it kept, though nobody reads it any more', async () => {
    const set = peers();
    const leaving = new AbortController();
    const source = tap();
    follow(await set.cache.stream('key', source.produce, { signal: leaving.signal }));
    const theirs = (await set.b.stream('key', letters, { finishFill: true })).chunks[Symbol.asyncIterator]();
    const first = theirs.next();
    source.give('a');
    await set.clock.advance(100);
    await first;
    leaving.abort();
    await theirs.return?.();
    await set.clock.advance(30_000);
    source.give('b');
    source.end();
    await set.clock.advance(100);
    expect(await drain(set.c.stream('key', letters))).toEqual(['a', 'b']);
  });
});

describe('when a stream that is followed cannot go on', () => {
  it('by its producer: who has had no chunk gets one from another, who has had some gets WP_STREAM_LOST', async () => {
    const set = peers();
    const { source, theirs, other } = await followed(set);
    set.store.trouble('hang'); // the first process is as good as dead
    const late = vi.fn(letters);
    const third = follow(await set.c.stream('key', late));
    source.give('c');
    await set.clock.advance(20_000);
    const reason = await theirs.end.catch((error) => error);
    expect(isWarmpathError(reason, 'WP_STREAM_LOST')).toBe(true);
    expect(reason.details).toEqual({ chunks: 2 });
    expect(theirs.chunks).toEqual(['a', 'b']);
    expect(other).not.toHaveBeenCalled();
    expect(watch(third.end).outcome()).toBe('pending');
    await third.end.catch(() => {});
  });

  it('before its first chunk, another process begins anew, one of all that wait', async () => {
    const set = peers();
    const silent = tap();
    follow(await set.cache.stream('key', silent.produce));
    const again = [vi.fn(letters), vi.fn(letters)];
    const waiting = [set.b, set.c].map(async (cache, index) => drain(cache.stream('key', again[index] ?? letters)));
    await set.clock.advance(8_000);
    expect(again.flatMap(({ mock }) => mock.calls)).toEqual([]);
    set.store.trouble('hang');
    await set.clock.advance(8_000);
    expect(await Promise.all(waiting)).toEqual([
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
    ]);
    expect(again.flatMap(({ mock }) => mock.calls)).toHaveLength(1);
  });
});
