import { describe, expect, it } from 'vitest';
import { setUp } from '../../test/cache-set-up.js';
import { drain, follow, letters, memorySpill, tap } from '../../test/stream-set-up.js';
import type { CacheOptions } from './index.js';

const text = (at: number): string => `${at} `.repeat(100);
const many = Array.from({ length: 50 }, (_, at) => text(at));

async function* manyTexts(): AsyncGenerator<string> {
  yield* many;
}

/** Room for some ten of the texts. */
const small = { maxStreamBytes: 3_000 };

describe('a stream that outgrows memory, without a spill,', () => {
  it('reaches those who keep up, is not kept, and cannot be joined any more', async () => {
    const { cache, clock, log } = setUp(small);
    const source = tap();
    const readers = await Promise.all([1, 2].map(async () => follow(await cache.stream('key', source.produce))));
    source.give(...many);
    await clock.settle();
    const anew = await cache.stream('key', letters);
    expect([anew.level, await drain(anew)]).toEqual(['computed', ['a', 'b', 'c']]);
    source.end();
    await Promise.all(readers.map(({ end }) => end));
    expect(readers.map(({ chunks }) => chunks)).toEqual([many, many]);
    expect(log.slice(-2)).toEqual(['cache.computed', 'cache.unstored too-large']);
    expect(await cache.stream('key', letters)).toMatchObject({ level: 'memory' });
  });

  it('fails a reader that is too far behind, at once and for good, and not one that is a little behind', async () => {
    const { cache } = setUp(small);
    const far = (await cache.stream('key', manyTexts)).chunks[Symbol.asyncIterator]();
    const near = (await cache.stream('key', manyTexts)).chunks[Symbol.asyncIterator]();
    const fast = (await cache.stream('key', manyTexts)).chunks[Symbol.asyncIterator]();
    const seen: unknown[] = [];
    for (let at = 0; at < many.length; at++) {
      await fast.next();
      if (at >= 5) seen.push((await near.next()).value);
    }
    for (let at = 0; at < 5; at++) seen.push((await near.next()).value);
    expect(seen).toEqual(many);
    for (let time = 0; time < 2; time++) await expect(far.next()).rejects.toMatchObject({ code: 'WP_OVERLOADED' });
  });

  it('ends at its source when those who are not too slow have left', async () => {
    const { cache, clock } = setUp(small);
    const source = tap();
    await cache.stream('key', source.produce);
    const fast = follow(await cache.stream('key', source.produce));
    source.give(...many);
    await clock.settle();
    source.fail(new Error('over'));
    await expect(fast.end).rejects.toThrow('over');
    const again = tap();
    await cache.stream('again', again.produce);
    const leaving = (await cache.stream('again', again.produce)).chunks[Symbol.asyncIterator]();
    again.give(...many);
    for (let at = 0; at < 40; at++) await leaving.next();
    await leaving.return?.();
    expect(again.seen).toMatchObject({ closed: 1 });
    expect(clock.pending).toBe(0);
  });

  it('whose one chunk is larger than what memory may have is a stream all the same', async () => {
    const { cache } = setUp({ maxStreamBytes: 1 });
    expect(await drain(cache.stream('key', letters))).toEqual(['a', 'b', 'c']);
  });
});

describe('a stream that outgrows memory, with a spill,', () => {
  it('is there from its first chunk on for the slow and for the late, and is kept when it is over', async () => {
    const spill = memorySpill();
    const { cache, clock, log } = setUp({ ...small, spill });
    const source = tap();
    const slow = (await cache.stream('key', source.produce)).chunks;
    const fast = follow(await cache.stream('key', source.produce));
    source.give(...many);
    await clock.settle();
    expect([spill.files(), spill.pieces() > 5]).toEqual([1, true]);
    const late = await cache.stream('key', source.produce);
    expect(late.level).toBe('shared');
    source.end();
    await fast.end;
    expect(log.at(-1)).toBe('cache.computed');
    for (const chunks of [slow, late.chunks]) expect(await drain({ level: 'shared', ageMs: 0, chunks })).toEqual(many);
    expect(spill.files()).toBe(0);
    expect(await drain(cache.stream('key', letters))).toEqual(many);
    expect(clock.pending).toBe(0);
  });

  it('is not kept when it is larger than what memory takes as one entry', async () => {
    const { cache, log } = setUp({ ...small, spill: memorySpill(), maxBytes: 50_000 });
    expect(await drain(cache.stream('key', manyTexts))).toEqual(many);
    expect(log.slice(-2)).toEqual(['cache.computed', 'cache.unstored too-large']);
  });

  it('goes on as without one when that is full', async () => {
    const spill = memorySpill();
    spill.room = 3;
    const { cache, log } = setUp({ ...small, spill });
    const slow = (await cache.stream('key', manyTexts)).chunks[Symbol.asyncIterator]();
    expect(await drain(cache.stream('key', manyTexts))).toEqual(many);
    await expect(slow.next()).rejects.toMatchObject({ code: 'WP_OVERLOADED' });
    expect(log.slice(-2)).toEqual(['cache.computed', 'cache.unstored too-large']);
    expect(spill.files()).toBe(0);
  });

  it('goes on as without one when that throws', async () => {
    const spill = {
      open: () => {
        throw new Error('no disk');
      },
    };
    expect(await drain(setUp({ ...small, spill }).cache.stream('key', manyTexts))).toEqual(many);
  });

  it('fails those readers whose part cannot be read back, and is not kept', async () => {
    const spill = memorySpill();
    const { cache, log } = setUp({ ...small, spill });
    const slow = (await cache.stream('key', manyTexts)).chunks[Symbol.asyncIterator]();
    spill.isReadable = false;
    expect(await drain(cache.stream('key', manyTexts))).toEqual(many);
    await expect(slow.next()).rejects.toMatchObject({ code: 'WP_STREAM_INCOMPLETE' });
    expect(log.at(-1)).toBe('cache.failed');
    expect(spill.files()).toBe(0);
  });

  it('leaves nothing in the clear where the store gets nothing in the clear', async () => {
    const found = async (options: Pick<CacheOptions, 'encryption'>): Promise<boolean> => {
      const pieces: Uint8Array[] = [];
      const spill = memorySpill();
      const open = () => {
        const file = spill.open();
        return { ...file, append: (piece: Uint8Array) => pieces.push(piece) > 0 && file.append(piece) };
      };
      const { cache } = setUp({ ...small, ...options, spill: { open } });
      const slow = await cache.stream('key', manyTexts);
      await drain(cache.stream('key', manyTexts));
      expect(await drain(slow)).toEqual(many);
      return Buffer.concat(pieces).includes(text(1));
    };
    expect(await found({})).toBe(true);
    expect(await found({ encryption: { current: 'one', keys: { one: Buffer.alloc(32, 7) } } })).toBe(false);
  });

  it('is isolated as it is in memory: frozen, or a copy for each', async () => {
    const produce = async function* (): AsyncGenerator<{ text: string }> {
      for (const each of many) yield { text: each };
    };
    for (const isolation of ['frozen', 'copy'] as const) {
      const { cache } = setUp({ ...small, isolation, spill: memorySpill() });
      const readers = [1, 2, 3].map(() => cache.stream('key', produce));
      await drain(cache.stream('key', produce));
      const [left = [], right = []] = await Promise.all(readers.map(drain));
      expect(left).toEqual(many.map((each) => ({ text: each })));
      expect(Object.isFrozen(left[0])).toBe(isolation === 'frozen');
      if (isolation === 'copy') expect(left[0]).not.toBe(right[0]);
    }
  });

  it('keeps in memory what is shared as it is and more than data', async () => {
    class Word {
      readonly text = many[0];
    }
    const produce = async function* (): AsyncGenerator<Word> {
      for (let at = 0; at < 50; at++) yield new Word();
    };
    const spill = memorySpill();
    spill.room = 100;
    const { cache } = setUp({ ...small, isolation: 'shared', spill });
    for (const word of await drain(cache.stream('key', produce))) expect(word).toBeInstanceOf(Word);
    expect(spill.room).toBe(100);
    expect(await drain(cache.stream('texts', manyTexts))).toEqual(many);
    expect(spill.room).toBeLessThan(100);
  });
});
