import { describe, expect, it, vi } from 'vitest';
import { setUp, setUpWithStore } from '../../test/cache-set-up.js';
import { drain, follow, letters, tap } from '../../test/stream-set-up.js';

const joined = (chunks: readonly string[]): string => chunks.join('');

describe('a stream as a whole', () => {
  it('shares the upstream call and the entry with those who want it as a stream, whoever comes first', async () => {
    const { cache, clock } = setUp();
    const source = tap();
    const first = cache.collect('key', source.produce, joined);
    await clock.settle();
    const streamed = follow(await cache.stream('key', source.produce));
    const second = cache.collect('key', source.produce, joined);
    source.give('a');
    await clock.settle();
    expect(streamed.chunks).toEqual(['a']);
    source.give('b');
    source.end();
    expect(await first).toEqual({ value: 'ab', level: 'computed', ageMs: 0, stale: false });
    expect(await second).toMatchObject({ value: 'ab', level: 'shared' });
    await clock.advance(10);
    expect(await cache.collect('key', source.produce, joined)).toMatchObject({
      value: 'ab',
      level: 'memory',
      ageMs: 10,
    });
    expect(await drain(cache.stream('key', source.produce))).toEqual(['a', 'b']);
    expect(source.seen.begun).toBe(1);
  });

  it('comes from an upstream that gives the whole answer as well, and is a stream for those who want one', async () => {
    const { cache } = setUp();
    const answer = vi.fn(async () => 'abc');
    const produce = async (): Promise<string[]> => [...(await answer())];
    const [whole, streamed] = await Promise.all([
      cache.collect('key', produce, joined),
      cache.stream('key', letters).then(drain),
    ]);
    expect([whole.value, streamed]).toEqual(['abc', ['a', 'b', 'c']]);
    expect(answer).toHaveBeenCalledTimes(1);
  });

  it('is made for each caller anew, who may do with it as he likes', async () => {
    for (const isolation of ['frozen', 'copy', 'shared'] as const) {
      const { cache } = setUp({ isolation });
      const produce = async function* (): AsyncGenerator<{ text: string }> {
        yield { text: 'a' };
      };
      const all = (chunks: readonly { text: string }[]): { text: string }[] => chunks as { text: string }[];
      for (let call = 0; call < 3; call++) {
        const { value } = await cache.collect('key', produce, all);
        expect(value).toEqual([{ text: 'a' }]);
        value.push({ text: 'b' });
      }
    }
  });

  it('fails for its caller alone when it cannot be made', async () => {
    const { cache } = setUp();
    const broken = (): never => {
      throw new Error('a bug');
    };
    await expect(cache.collect('key', letters, broken)).rejects.toThrow('a bug');
    expect((await cache.collect('key', letters, joined)).level).toBe('memory');
    await expect(cache.collect('key', letters, undefined as never)).rejects.toMatchObject({ code: 'WP_BAD_OPTION' });
  });

  it('comes from the store, and is forgotten with its key, its tag and everything', async () => {
    const { cache, clock, another } = setUpWithStore({ ttl: '1h' });
    await drain(another().cache.stream('key', letters, { tags: ['red'] }));
    await clock.settle();
    const call = { tags: ['red'] };
    expect(await cache.collect('key', letters, joined, call)).toMatchObject({ value: 'abc', level: 'store' });
    for (const forget of [() => cache.delete('key'), () => cache.invalidateTags(['red']), () => cache.clear()]) {
      await forget();
      expect((await cache.collect('key', letters, joined, call)).level).toBe('computed');
      expect((await cache.collect('key', letters, joined, call)).level).toBe('memory');
    }
  });

  it('is not given to a caller who leaves or is out of time before its end', async () => {
    const { cache, clock } = setUp();
    const source = tap();
    const leaving = new AbortController();
    const whole = cache.collect('key', source.produce, joined, { signal: leaving.signal });
    source.give('a');
    await clock.settle();
    leaving.abort(new Error('gone'));
    await expect(whole).rejects.toThrow('gone');
    expect(source.seen.closed).toBe(1);
  });
});

describe('what a producer decides', () => {
  it('is the ttl of its stream, its tags, and that it is not kept', async () => {
    const { cache, clock, log } = setUp({ ttl: '1h' });
    await drain(
      cache.stream('brief', async function* ({ setTtl, addTags }) {
        setTtl('1s');
        addTags('red');
        yield 'a';
      }),
    );
    expect((await cache.stream('brief', letters)).level).toBe('memory');
    await cache.invalidateTags(['red']);
    expect((await cache.stream('brief', letters)).level).toBe('computed');
    await drain(
      cache.stream('never', async function* ({ doNotStore }) {
        yield 'a';
        doNotStore();
      }),
    );
    expect(log.at(-1)).toBe('cache.unstored not-wanted');
    await drain(
      cache.stream('second', ({ setTtl }) => {
        setTtl('1s');
        return ['a'];
      }),
    );
    await clock.advance(1_000);
    expect((await cache.stream('second', letters)).level).toBe('computed');
  });

  it('counts while the stream runs: who comes after one of its tags was invalidated begins anew', async () => {
    const { cache, clock, log } = setUp();
    const { produce, give, end } = tap();
    const old = follow(
      await cache.stream('key', (computation) => {
        computation.addTags('red');
        return produce(computation);
      }),
    );
    give('old');
    await clock.settle();
    await cache.invalidateTags(['red']);
    expect(await drain(cache.stream('key', letters))).toEqual(['a', 'b', 'c']);
    end();
    await old.end;
    expect(old.chunks).toEqual(['old']);
    expect(log.at(-1)).toBe('cache.unstored invalidated');
    expect(await drain(cache.stream('key', produce))).toEqual(['a', 'b', 'c']);
  });
});
