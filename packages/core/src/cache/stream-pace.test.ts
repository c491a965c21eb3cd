import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { setUp } from '../../test/cache-set-up.js';
import { drain, follow, letters, tap } from '../../test/stream-set-up.js';
import { runInContext } from '../kernel/index.js';
import type { FakeClock } from '../testing/index.js';
import type { CachedStream } from './index.js';

const recorded = { pace: 'recorded' } as const;

/** The source gives a at 100 ms, b and c at 300 ms, d a minute later, and ends. */
function rhythm(clock: FakeClock) {
  const source = tap();
  const play = async (): Promise<void> => {
    for (const [ms, ...chunks] of [
      [100, 'a'],
      [200, 'b', 'c'],
      [60_000, 'd'],
    ] as const) {
      await clock.advance(ms);
      source.give(...chunks);
      await clock.settle();
    }
    source.end();
    await clock.settle();
  };
  return { ...source, play };
}

/** What a reader gets, with the time since it began. */
async function timed(clock: FakeClock, stream: CachedStream<string>, forMs: number): Promise<string[]> {
  const began = clock.now();
  const seen: string[] = [];
  const end = (async () => {
    for await (const chunk of stream.chunks) seen.push(`${chunk} ${clock.now() - began}`);
    seen.push(`end ${clock.now() - began}`);
  })();
  await clock.advance(forMs);
  await end;
  return seen;
}

describe('a stream at its recorded pace', () => {
  it('comes from memory at the times of its source, with pauses of 2 s at most; otherwise at once', async () => {
    const { cache, clock } = setUp({ ttl: '1h' });
    await clock.advance(5_000); // what was before the first pull does not count
    const source = rhythm(clock);
    const live = follow(await cache.stream('key', source.produce));
    await source.play();
    await live.end;
    expect(await timed(clock, await cache.stream('key', letters, recorded), 3_000)).toEqual([
      'a 100',
      'b 300',
      'c 300',
      'd 2300',
      'end 2300',
    ]);
    for (const call of [{}, { pace: 'full' } as const]) {
      expect((await timed(clock, await cache.stream('key', letters, call), 0)).at(-1)).toBe('end 0');
    }
    expect(clock.pending).toBe(0);
  });

  it('is the rhythm of the source for one who joins late, as far behind as he came late', async () => {
    const { cache, clock } = setUp();
    const source = tap();
    const early = follow(await cache.stream('key', source.produce));
    for (const chunk of ['a', 'b']) {
      await clock.advance(100);
      source.give(chunk);
      await clock.settle();
    }
    await clock.advance(50);
    const late = follow(await cache.stream('key', source.produce, recorded));
    await clock.advance(99);
    expect(late.chunks).toEqual([]);
    await clock.advance(1);
    expect(late.chunks).toEqual(['a']);
    source.give('c'); // at 350 ms of the source, which is 350 ms of the late one as well
    source.end();
    await early.end;
    await clock.advance(100);
    expect(late.chunks).toEqual(['a', 'b']);
    await clock.advance(149);
    expect(late.chunks).toEqual(['a', 'b']);
    await clock.advance(1);
    await late.end;
    expect(late.chunks).toEqual(['a', 'b', 'c']);
  });

  it('does not slow down one who is there from the beginning, and reads on for one who has fallen behind', async () => {
    const { cache, clock } = setUp({ ttl: '1h' });
    const source = rhythm(clock);
    const live = follow(await cache.stream('key', source.produce, recorded));
    await clock.advance(100);
    source.give('x');
    await clock.settle();
    expect(live.chunks).toEqual(['x']);
    await source.play();
    await live.end;
    const slow = (await cache.stream('key', letters, recorded)).chunks[Symbol.asyncIterator]();
    const first = slow.next();
    await clock.advance(60_000);
    expect(await first).toMatchObject({ value: 'x' });
    for (const value of ['a', 'b', 'c', 'd']) expect(await slow.next()).toEqual({ done: false, value });
  });

  it('ends in the middle of a pause when its reader leaves: by signal, deadline or return', async () => {
    const { cache, clock } = setUp({ ttl: '1h' });
    const source = rhythm(clock);
    const live = follow(await cache.stream('key', source.produce));
    await source.play();
    await live.end;
    const leaving = new AbortController();
    const aborted = (await cache.stream('key', letters, { ...recorded, signal: leaving.signal })).chunks;
    const abortedReader = aborted[Symbol.asyncIterator]();
    const waiting = abortedReader.next();
    const late = follow(
      await runInContext({ deadline: clock.now() + 50 }, () => cache.stream('key', letters, recorded)),
    );
    const returned = (await cache.stream('key', letters, recorded)).chunks[Symbol.asyncIterator]();
    const asked = returned.next();
    await clock.advance(20);
    leaving.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await expect(abortedReader.next()).rejects.toThrow('enough');
    await returned.return?.();
    expect(await asked).toEqual({ done: true, value: undefined });
    await clock.advance(30);
    await expect(late.end).rejects.toMatchObject({ code: 'WP_DEADLINE' });
    expect(clock.pending).toBe(0);
  });

  it('leaves neither a listener nor a timer behind between two chunks', async () => {
    const { cache, clock } = setUp({ ttl: '1h' });
    const source = rhythm(clock);
    const live = follow(await cache.stream('key', source.produce));
    await source.play();
    await live.end;
    const { signal } = new AbortController();
    const { chunks } = await runInContext({ deadline: clock.now() + 1e9 }, () =>
      cache.stream('key', letters, { ...recorded, signal }),
    );
    const first = chunks[Symbol.asyncIterator]().next();
    await clock.advance(100);
    expect(await first).toEqual({ done: false, value: 'a' });
    expect([getEventListeners(signal, 'abort'), clock.pending]).toEqual([[], 0]);
  });

  it('refuses a pace that is none', async () => {
    const call = { pace: 'slow' } as unknown as typeof recorded;
    await expect(setUp().cache.stream('key', letters, call)).rejects.toMatchObject({ code: 'WP_BAD_OPTION' });
  });

  it('gives what fails and what is empty as it is', async () => {
    const { cache } = setUp();
    const failing = async function* (): AsyncGenerator<string> {
      yield 'a';
      throw new Error('reset by peer');
    };
    await expect(drain(cache.stream('key', failing, recorded))).rejects.toThrow('reset by peer');
    expect(await drain(cache.stream('key', () => [], recorded))).toEqual([]);
  });
});
