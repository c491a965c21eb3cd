import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../testing/index.js';
import { type MeterOptions, meterStream, type StreamEnd } from './index.js';

function setUp(more: MeterOptions = {}) {
  const clock = createFakeClock();
  const firsts: number[] = [];
  const ends: StreamEnd[] = [];
  const options = {
    clock,
    onFirstChunk: (ms: number) => firsts.push(ms),
    onEnd: (end: StreamEnd) => ends.push(end),
    ...more,
  };
  const source = async function* (waits: number[], error?: Error): AsyncGenerator<number> {
    for (const ms of waits) {
      await clock.advance(ms);
      yield ms;
    }
    if (error) throw error;
  };
  return { clock, firsts, ends, source, options };
}

async function all<T>(chunks: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const chunk of chunks) list.push(chunk);
  return list;
}

describe('meterStream', () => {
  it('passes every chunk on and reports the first one and the end, each once', async () => {
    const { source, options, firsts, ends } = setUp();
    expect(await all(meterStream(source([30, 10, 5]), options))).toEqual([30, 10, 5]);
    expect(firsts).toEqual([30]);
    expect(ends).toEqual([{ outcome: 'complete', chunks: 3, firstChunkMs: 30, totalMs: 45 }]);
  });

  it('counts from the call, or from where it is told, not from the first reading', async () => {
    const { clock, source, options, firsts } = setUp();
    const late = meterStream(source([10]), options);
    await clock.advance(100);
    await all(late);
    await all(meterStream(source([10]), { ...options, began: 0 }));
    expect(firsts).toEqual([110, 120]);
  });

  it('reports a reader that leaves, and closes the source', async () => {
    const { options, ends } = setUp();
    let closed = false;
    const endless = async function* () {
      try {
        for (;;) yield 1;
      } finally {
        closed = true;
      }
    };
    for await (const _ of meterStream(endless(), options)) break;
    expect(ends).toEqual([{ outcome: 'aborted', chunks: 1, firstChunkMs: 0, totalMs: 0 }]);
    expect(closed).toBe(true);
  });

  it('reports a source that fails, before the first chunk and after it, and throws its error', async () => {
    const { source, options, ends, firsts } = setUp();
    const error = new Error('reset');
    await expect(all(meterStream(source([], error), options))).rejects.toBe(error);
    await expect(all(meterStream(source([5], error), options))).rejects.toBe(error);
    expect(ends).toEqual([
      { outcome: 'failed', chunks: 0, firstChunkMs: undefined, totalMs: 0, error },
      { outcome: 'failed', chunks: 1, firstChunkMs: 5, totalMs: 5, error },
    ]);
    expect(firsts).toEqual([5]);
  });
});
