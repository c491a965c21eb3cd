import { vi } from 'vitest';
import { type BatcherEvent, type BatcherOptions, type BatchFunction, createBatcher } from '../src/batcher/index.js';
import { createFakeClock } from '../src/testing/index.js';

export const double = async (items: readonly number[]): Promise<number[]> => items.map((item) => item * 2);

export function setUp<Item = number, Result = number>(
  run: BatchFunction<Item, Result> = double as never,
  options: BatcherOptions<Item, Item> = {},
) {
  const clock = createFakeClock();
  const events: BatcherEvent[] = [];
  const onEvent = (event: BatcherEvent): void => void events.push(event);
  const spy = vi.fn(run);
  return { clock, events, run: spy, batcher: createBatcher<Item, Result>(spy, { clock, onEvent, ...options }) };
}

/** A batch function that the test answers by hand. */
export function held() {
  const calls: {
    items: readonly number[];
    signal: AbortSignal;
    answer(results: unknown): void;
    fail(error: unknown): void;
  }[] = [];
  const run: BatchFunction<number, number> = (items, { signal }) => {
    const { promise, resolve, reject } = Promise.withResolvers<never>();
    calls.push({ items, signal, answer: (results) => resolve(results as never), fail: reject });
    return promise;
  };
  return { run, calls };
}
