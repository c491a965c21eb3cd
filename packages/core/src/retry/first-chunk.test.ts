import { describe, expect, it } from 'vitest';
import { wait } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import { type BegunStream, bulkhead, firstChunk, retry, timeout, wrap } from './index.js';

const clock = createFakeClock();

async function* counting(to: number, failAt = Number.POSITIVE_INFINITY): AsyncGenerator<number> {
  for (let chunk = 1; chunk <= to; chunk++) {
    if (chunk === failAt) throw new Error(`broke off at ${chunk}`);
    yield chunk;
  }
}

describe('a stream', () => {
  it('is tried again until its first chunk is there', async () => {
    let tries = 0;
    const policy = retry({ clock, baseDelay: 0 });
    const outcome = policy(firstChunk(() => counting(3, ++tries < 3 ? 1 : Number.POSITIVE_INFINITY), { clock }));
    await clock.advance(0);
    expect(await Array.fromAsync(await outcome)).toEqual([1, 2, 3]);
    expect(tries).toBe(3);
  });

  it('is not tried again after that: what a reader has seen is not said in other words', async () => {
    let tries = 0;
    const stream = await retry({ clock, baseDelay: 0 })(
      firstChunk(() => {
        tries++;
        return counting(3, 2);
      }),
    );
    const seen: number[] = [];
    await expect(
      (async () => {
        for await (const chunk of stream) seen.push(chunk);
      })(),
    ).rejects.toThrow('broke off at 2');
    expect([seen, tries]).toEqual([[1], 1]);
    expect(await stream.ended).toMatchObject({ outcome: 'failed', chunks: 1 });
  });

  it('has the time of an attempt up to the first chunk, and its caller’s signal to the end', async () => {
    const caller = new AbortController();
    let signal: AbortSignal | undefined;
    const policy = wrap(retry({ clock, timeout: '5s' }), timeout({ after: '1s', clock }));
    const stream = await policy(
      firstChunk((call) => {
        signal = call.signal;
        return counting(9);
      }),
      { signal: caller.signal },
    );
    await clock.advance(60_000);
    expect(signal?.aborted).toBe(false);
    expect((await stream.next()).value).toBe(1);
    const reason = new Error('closed the tab');
    caller.abort(reason);
    expect(signal?.reason).toBe(reason);
  });

  it('ends its work when its reader leaves, also while a chunk is awaited', async () => {
    let signal: AbortSignal | undefined;
    const stream = await timeout({ after: '1s', clock })(
      firstChunk(async function* (call) {
        signal = call.signal;
        yield 1;
        await wait(clock, 60_000, call.signal);
        yield 2;
      }),
    );
    await stream.next();
    const next = stream.next();
    await stream.return();
    expect(await next).toEqual({ done: true, value: undefined });
    expect(signal?.aborted).toBe(true);
    expect(await stream.ended).toMatchObject({ outcome: 'left', chunks: 1 });
  });

  it('ends with its caller who leaves, also one that nobody reads, and does not look complete then', async () => {
    const caller = new AbortController();
    let isClosed = false;
    const stream = await timeout({ after: '1s', clock })(
      firstChunk(async function* () {
        try {
          yield* counting(9);
        } finally {
          isClosed = true;
        }
      }),
      { signal: caller.signal },
    );
    const reason = new Error('closed the tab');
    caller.abort(reason);
    expect(await stream.ended).toMatchObject({ outcome: 'left', chunks: 0 });
    await clock.settle();
    expect(isClosed).toBe(true);
    await expect(stream.next()).rejects.toBe(reason);
    expect(await stream.return()).toEqual({ done: true, value: undefined });
  });

  it('does not throw at a reader who leaves what fails when it is closed, as the body of a fetch does', async () => {
    const stream = await timeout({ after: '1s', clock })(
      firstChunk(({ signal }) => ({
        [Symbol.asyncIterator]: () => ({
          next: async () => ({ done: false, value: 1 }),
          return: () => Promise.reject(signal.reason),
        }),
      })),
    );
    for await (const chunk of stream) if (chunk === 1) break;
    expect(await stream.ended).toMatchObject({ outcome: 'left', chunks: 1 });
  });

  it('lets its reader go while a chunk is awaited that never comes', async () => {
    const stream = await timeout({ after: '1s', clock })(
      firstChunk(async function* () {
        yield 1;
        await new Promise(() => {});
      }),
    );
    await stream.next();
    void stream.next();
    expect(await stream.return()).toEqual({ done: true, value: undefined });
    expect(await stream.ended).toMatchObject({ outcome: 'left', chunks: 1 });
  });

  it('is left by `await using`, read or not, and twice is once', async () => {
    let kept: BegunStream<number> | undefined;
    {
      await using stream = await timeout({ after: '1s', clock })(firstChunk(() => counting(9)));
      kept = stream;
      expect((await stream.next()).value).toBe(1);
    }
    expect(await kept.ended).toMatchObject({ outcome: 'left', chunks: 1 });
    await kept[Symbol.asyncDispose]();
    expect(await Array.fromAsync(kept)).toEqual([]);
  });

  it('is ended where it comes for somebody who has left in the same turn', async () => {
    const caller = new AbortController();
    const place = bulkhead({ clock, maxConcurrent: 1 });
    const outcome = wrap(timeout({ after: '1s', clock }), place)(
      async (call) => {
        const stream = await firstChunk(() => counting(9))(call);
        queueMicrotask(() => caller.abort());
        return stream;
      },
      { signal: caller.signal },
    );
    await expect(outcome).rejects.toMatchObject({ name: 'AbortError' });
    await clock.settle();
    expect(place.stats().running).toBe(0);
  });

  it('says how it ended: complete, empty as well', async () => {
    const own = createFakeClock();
    const policy = timeout({ after: '1s', clock: own });
    const slow = async function* () {
      yield 1;
      await wait(own, 500);
      yield 2;
    };
    const stream = await policy(firstChunk(slow, { clock: own }));
    const all = Array.fromAsync(stream);
    await own.advance(500);
    await all;
    expect(await stream.ended).toEqual({ outcome: 'complete', chunks: 2, ms: 500 });
    const empty = await policy(firstChunk(() => counting(0), { clock: own }));
    expect(await Array.fromAsync(empty)).toEqual([]);
    expect(await empty.ended).toEqual({ outcome: 'complete', chunks: 0, ms: 0 });
  });
});
