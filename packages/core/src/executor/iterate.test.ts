import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { currentContext, runInContext, wait } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import { createExecutor, type ItemOutcome } from './index.js';

function setup(maxConcurrent = 2) {
  const clock = createFakeClock();
  return { clock, executor: createExecutor({ name: 'x', clock, maxConcurrent }) };
}

async function* asyncly<Item>(items: Iterable<Item>): AsyncGenerator<Item> {
  yield* items;
}

const shown = <T>({ outcome }: ItemOutcome<unknown, T>): T | string =>
  outcome.status === 'fulfilled' ? outcome.value : outcome.status;

/** Reads all, and says what it ended with. */
async function read<Item, T>(outcomes: AsyncIterable<ItemOutcome<Item, T>>) {
  const values: unknown[] = [];
  try {
    for await (const outcome of outcomes) values.push(shown(outcome));
    return { values, error: undefined };
  } catch (error) {
    return { values, error };
  }
}

describe('iterate', () => {
  it.each(['sync', 'async'])('gives outcomes in the order of a %s source', async (kind) => {
    const { clock, executor } = setup();
    const delays = [30, 10, 20, 5];
    const source = kind === 'sync' ? delays : asyncly(delays);
    const work = async (ms: number, { signal }: { signal: AbortSignal }): Promise<number> => {
      await wait(clock, ms, signal);
      if (ms === 20) throw new Error('bad');
      return ms;
    };
    const all = read(executor.iterate(source, work));
    await clock.advance(100);
    expect(await all).toEqual({ values: [30, 10, 'rejected', 5], error: undefined });
    expect(clock.pending).toBe(0);
  });

  it('gives them as they are done where that was asked for', async () => {
    const { clock, executor } = setup();
    const all = read(executor.iterate([30, 10, 5], (ms) => wait(clock, ms).then(() => ms), { order: 'done' }));
    await clock.advance(100);
    expect((await all).values).toEqual([10, 5, 30]);
  });

  it('takes no more from the source than the window, and nothing before it is asked', async () => {
    const { clock, executor } = setup();
    let taken = 0;
    function* source() {
      for (;;) yield taken++;
    }
    const outcomes = executor.iterate(source(), (item) => item, { window: 3 })[Symbol.asyncIterator]();
    expect(taken).toBe(0);
    for (let given = 1; given <= 5; given++) {
      expect(await outcomes.next()).toMatchObject({ value: { index: given - 1, item: given - 1 } });
      await clock.settle();
      expect(taken).toBeLessThanOrEqual(given + 3);
    }
    await outcomes.return?.();
  });

  it('aborts what runs and tells the source when the loop is left', async () => {
    const { clock, executor } = setup();
    const signals: AbortSignal[] = [];
    const ended = vi.fn();
    async function* source() {
      try {
        for (let item = 0; ; item++) yield item;
      } finally {
        ended();
      }
    }
    const work = async (item: number, { signal }: { signal: AbortSignal }): Promise<void> => {
      signals.push(signal);
      if (item > 0) await wait(clock, 1e6, signal);
    };
    for await (const { index } of executor.iterate(source(), work)) {
      expect(index).toBe(0);
      break;
    }
    await clock.settle();
    expect(ended).toHaveBeenCalledOnce();
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, ...signals.slice(1).map(() => true)]);
    expect(signals.length).toBeGreaterThan(1);
    expect([clock.pending, executor.stats().running]).toEqual([0, 0]);
  });

  it('says nothing to a source that has ended by itself', async () => {
    const { executor } = setup();
    const returned = vi.fn();
    for (const fails of [false, true]) {
      const next = (): IteratorResult<number> => {
        if (fails) throw new Error('source');
        return { done: true, value: undefined };
      };
      const source = { [Symbol.iterator]: () => ({ next, return: returned }) };
      expect((await read(executor.iterate(source, () => 1))).values).toEqual([]);
    }
    expect(returned).not.toHaveBeenCalled();
  });

  it('does not wait for a source that answers never', async () => {
    const { clock, executor } = setup();
    const returned = vi.fn(() => new Promise<never>(() => {}));
    let asked = 0;
    const source = {
      [Symbol.asyncIterator]: () => ({
        next: () => (asked++ === 0 ? Promise.resolve({ value: 1 }) : new Promise<never>(() => {})),
        return: returned,
      }),
    };
    for await (const { item } of executor.iterate(source, () => 'done')) {
      expect(item).toBe(1);
      break;
    }
    const all = read(executor.iterate(source, () => 'done', { timeout: 10 }));
    await clock.advance(10);
    expect(await all).toMatchObject({ error: { code: 'WP_DEADLINE' } });
    expect([asked, returned.mock.calls.length, clock.pending]).toEqual([3, 2, 0]);
  });

  it.each(['sync', 'async'])('ends with the error of a %s source, after what was begun', async (kind) => {
    const { clock, executor } = setup(8);
    const error = new Error('source');
    function* items() {
      yield* [20, 10];
      throw error;
    }
    const source = kind === 'sync' ? items() : asyncly(items());
    const all = read(executor.iterate(source, (ms) => wait(clock, ms).then(() => ms)));
    await clock.advance(20);
    expect(await all).toEqual({ values: [20, 10], error });
  });

  it('gives out what is ready at the deadline, then throws', async () => {
    const { clock, executor } = setup();
    const all = read(executor.iterate([10, 60, 60, 60], (ms) => wait(clock, ms).then(() => ms), { timeout: 50 }));
    await clock.advance(50);
    const { values, error } = await all;
    expect(values).toEqual([10, 'timed-out', 'timed-out']);
    expect(error).toMatchObject({ code: 'WP_DEADLINE', details: { timeoutMs: 50 } });
    await clock.advance(60);
    expect(clock.pending).toBe(0);
  });

  it('takes nothing from the source where the time is up before', async () => {
    const { executor } = setup();
    const next = vi.fn(() => ({ value: 1 }));
    const { error } = await read(executor.iterate({ [Symbol.iterator]: () => ({ next }) }, () => 1, { timeout: 0 }));
    expect(error).toMatchObject({ code: 'WP_DEADLINE' });
    expect(next).not.toHaveBeenCalled();
  });

  it('ends with the reason of a caller that leaves', async () => {
    const { clock, executor } = setup();
    const caller = new AbortController();
    const reason = new Error('left');
    const work = (_: number, { signal }: { signal: AbortSignal }) => wait(clock, 100, signal);
    const iteration = executor.iterate([1, 2, 3], work, { signal: caller.signal });
    const all = read(iteration);
    await clock.settle();
    caller.abort(reason);
    expect(await all).toEqual({ values: ['aborted', 'aborted'], error: reason });
    expect(await read(iteration)).toEqual({ values: [], error: reason });
    expect([getEventListeners(caller.signal, 'abort').length, clock.pending]).toEqual([0, 0]);
  });

  it('begins nothing that the source gives after that, nor hears of its failure', async () => {
    const { clock, executor } = setup();
    const reason = new Error('left');
    const next = vi.fn<() => Promise<IteratorResult<number>>>();
    const source = { [Symbol.asyncIterator]: () => ({ next }) };
    for (const fails of [true, false]) {
      const late = Promise.withResolvers<IteratorResult<number>>();
      next.mockResolvedValueOnce({ value: 1 }).mockReturnValueOnce(late.promise);
      const controller = new AbortController();
      const work = vi.fn(({ signal }: { signal: AbortSignal }) => wait(clock, 100, signal));
      const all = read(executor.iterate(source, (_, call) => work(call), { signal: controller.signal }));
      await clock.settle();
      controller.abort(reason);
      if (fails) late.reject(new Error('source'));
      else late.resolve({ value: 2 });
      expect(await all).toEqual({ values: ['aborted'], error: reason });
      await clock.settle();
      expect(work).toHaveBeenCalledOnce();
    }
    expect(clock.pending).toBe(0);
  });

  it('ends by its deadline also when the timer is late', async () => {
    const fake = createFakeClock();
    let lateMs = 0;
    const executor = createExecutor({ clock: { ...fake, now: () => fake.now() + lateMs } });
    function* source() {
      for (let item = 0; ; item++) yield item;
    }
    const work = (item: number): number => {
      if (item === 1) lateMs = 10;
      return item;
    };
    const { values, error } = await read(executor.iterate(source(), work, { timeout: 10, maxConcurrent: 1 }));
    expect(values).toEqual([0, 1]);
    expect(error).toMatchObject({ code: 'WP_DEADLINE' });
    expect(fake.pending).toBe(0);
  });

  it('ends when the executor is closed, even where the source does not', async () => {
    const { executor } = setup();
    function* source() {
      for (;;) yield 1;
    }
    await executor.close();
    const { values, error } = await read(executor.iterate(source(), () => 1));
    expect(values).toEqual(['not-started']);
    expect(error).toMatchObject({ code: 'WP_CLOSED' });
  });

  it('works in the context of whoever asked', async () => {
    const { executor } = setup();
    const tenants: unknown[] = [];
    function* source() {
      for (let item = 0; item < 5; item++) {
        tenants.push(currentContext()?.tenant);
        yield item;
      }
    }
    await runInContext({ tenant: 't' }, async () => {
      const work = async (): Promise<unknown> => tenants.push(currentContext()?.tenant);
      const outcomes = executor.iterate(source(), work, { window: 1 })[Symbol.asyncIterator]();
      await outcomes.next();
      await runInContext({ tenant: 'other' }, async () => {
        while (!(await outcomes.next()).done);
      });
    });
    expect(tenants).toEqual(Array.from({ length: 10 }, () => 't'));
  });

  it('refuses what it cannot iterate over, and bad options', () => {
    const { executor } = setup();
    const iterate = (...given: unknown[]): unknown => Reflect.apply(executor.iterate, executor, given);
    expect(() => iterate(5, () => {})).toThrow("iterate(): option 'source' must be something to iterate over, got 5");
    expect(() => iterate([], 'work')).toThrow("option 'work' must be a function");
    expect(() => iterate([], () => {}, { order: 'random' })).toThrow("option 'order' must be one of 'source', 'done'");
  });

  it('gives each item one outcome and keeps all bounds, whatever the work does', async () => {
    const item = fc.record({ ms: fc.nat(20), fails: fc.boolean() });
    const options = fc.record({
      window: fc.integer({ min: 1, max: 8 }),
      maxConcurrent: fc.integer({ min: 1, max: 4 }),
      order: fc.constantFrom('source' as const, 'done' as const),
    });
    const trial = async (
      items: { ms: number; fails: boolean }[],
      given: typeof options extends fc.Arbitrary<infer T> ? T : never,
      isAsync: boolean,
    ) => {
      const { clock, executor } = setup(3);
      let [running, taken, given_] = [0, 0, 0];
      function* source() {
        for (const each of items) {
          taken++;
          expect(taken - given_).toBeLessThanOrEqual(given.window + 1); // the one that the consumer has in hand
          yield each;
        }
      }
      const work = async ({ ms, fails }: { ms: number; fails: boolean }) => {
        expect(++running).toBeLessThanOrEqual(Math.min(3, given.maxConcurrent));
        await wait(clock, ms);
        running--;
        if (fails) throw new Error('bad');
      };
      const seen: number[] = [];
      const all = (async () => {
        for await (const { index, item, outcome } of executor.iterate(
          isAsync ? asyncly(source()) : source(),
          work,
          given,
        )) {
          expect(item).toBe(items[index]);
          expect(outcome.status).toBe(item.fails ? 'rejected' : 'fulfilled');
          seen.push(index);
          given_++;
          if (index % 3 === 0) await wait(clock, 7);
        }
      })();
      await clock.advance(2_000);
      await all;
      const inOrder = items.map((_, index) => index);
      expect(given.order === 'source' ? seen : seen.toSorted((a, b) => a - b)).toEqual(inOrder);
      expect([clock.pending, executor.stats().running]).toEqual([0, 0]);
    };
    await fc.assert(fc.asyncProperty(fc.array(item, { maxLength: 15 }), options, fc.boolean(), trial), {
      numRuns: 150,
    });
  });
});
