import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { held, setUp } from '../../test/batcher-set-up.js';
import { runInContext } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import { type BatchFunction, createBatcher } from './index.js';

describe('when a batch goes', () => {
  it('is at the end of the turn on an idle batcher, with all that the turn has asked for', async () => {
    const { batcher, clock, run, events } = setUp();
    const loads = [batcher.load(1), Promise.resolve().then(() => batcher.load(2))];
    await clock.settle();
    expect(await Promise.all(loads)).toEqual([2, 4]);
    expect(run.mock.calls.map(([items]) => items)).toEqual([[1, 2]]);
    expect(events).toEqual([
      { type: 'batch.done', batcher: 'batcher', items: 2, fill: 2 / 32, trigger: 'idle', ms: 0, waitedMs: 0 },
    ]);
    expect(clock.pending).toBe(0);
  });

  it('is at the end of the window while another one is under way, counted from its first item', async () => {
    const { run, calls } = held();
    const { batcher, clock, events } = setUp(run, { window: '50ms' });
    const loads = [batcher.load(0)];
    await clock.settle();
    loads.push(batcher.load(1));
    await clock.advance(49);
    loads.push(batcher.load(2));
    await clock.settle();
    expect(calls).toHaveLength(1);
    await clock.advance(1);
    expect(calls.map(({ items }) => items)).toEqual([[0], [1, 2]]);
    calls[1]?.answer([10, 20]);
    calls[0]?.answer([5]);
    expect(await Promise.all(loads)).toEqual([5, 10, 20]);
    expect(events).toMatchObject([{ trigger: 'window', waitedMs: 50 }, { trigger: 'idle' }]);
    expect(clock.pending).toBe(0);
  });

  it('is when nothing is under way any more', async () => {
    const { run, calls } = held();
    const { batcher, clock } = setUp(run);
    const loads = [batcher.load(0)];
    await clock.settle();
    loads.push(batcher.load(1));
    await clock.advance(20);
    loads.push(batcher.load(2));
    calls[0]?.answer([0]);
    await clock.settle();
    expect(calls.map(({ items }) => items)).toEqual([[0], [1, 2]]);
    calls[1]?.answer([1, 2]);
    expect(await Promise.all(loads)).toEqual([0, 1, 2]);
    expect(clock.pending).toBe(0);
  });

  it('is when it is full, at the end of that turn, and the next one has a window of its own', async () => {
    const { run, calls } = held();
    const { batcher, clock } = setUp(run, { maxItems: 3 });
    const loads = batcher.loadMany([1, 2, 3, 4, 5, 6, 7]);
    await clock.settle();
    expect(calls.map(({ items }) => items)).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    await clock.advance(50);
    expect(calls.map(({ items }) => items).at(2)).toEqual([7]);
    for (const { items, answer } of calls) answer(items);
    expect(await loads).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(clock.pending).toBe(0);
  });

  it('is at the end of the turn with a window of 0, whatever is under way', async () => {
    const { run, calls } = held();
    const { batcher, clock } = setUp(run, { window: 0 });
    const loads = batcher.loadMany([1, 2]);
    await clock.settle();
    const others = batcher.loadMany([3, 4]);
    await clock.settle();
    expect(calls.map(({ items }) => items)).toEqual([
      [1, 2],
      [3, 4],
    ]);
    for (const { items, answer } of calls) answer(items);
    expect([await loads, await others]).toEqual([
      [1, 2],
      [3, 4],
    ]);
  });

  it('is early enough for the earliest deadline, by what calls have taken', async () => {
    const { batcher, clock, run, events } = setUp(
      async (items: readonly number[]) => {
        await wait(clock, 20);
        return [...items];
      },
      { window: '1h' },
    );
    const wait = (of: typeof clock, ms: number) => new Promise<void>((resolve) => void of.schedule(ms, resolve));
    for (let turn = 0; turn < 20; turn++) {
      const known = batcher.load(turn);
      await clock.advance(20);
      await known;
    }
    run.mockClear();
    events.length = 0;
    const blocking = batcher.load(100);
    await clock.settle();
    const [patient, pressed] = [
      batcher.load(101),
      runInContext({ deadline: clock.now() + 35 }, () => batcher.load(102)),
    ];
    await clock.advance(14);
    expect(run).toHaveBeenCalledTimes(1);
    await clock.advance(1);
    expect(run.mock.calls.map(([items]) => items)).toEqual([[100], [101, 102]]);
    await clock.advance(20);
    expect(await Promise.all([blocking, patient, pressed])).toEqual([100, 101, 102]);
    expect(events).toMatchObject([{ trigger: 'idle' }, { trigger: 'deadline', waitedMs: expect.closeTo(15, 0) }]);
    expect(clock.pending).toBe(0);
  });

  it('waits for others on an idle batcher as long as a call takes, once they can be expected within that time', async () => {
    const clock = createFakeClock();
    const sizes: number[] = [];
    const run = (items: readonly number[]) =>
      new Promise<number[]>((resolve) => {
        sizes.push(items.length);
        clock.schedule(20, () => resolve([...items]));
      });
    const batcher = createBatcher(run, { clock, maxItems: 8 });
    const loads: Promise<number>[] = [];
    const arrive = async (count: number, everyMs: number): Promise<void> => {
      for (let item = 0; item < count; item++) {
        loads.push(batcher.load(item));
        await clock.advance(everyMs);
      }
    };
    await arrive(10, 100);
    expect(sizes).toEqual(Array(10).fill(1));
    await arrive(100, 5);
    sizes.length = 0;
    await arrive(100, 5);
    expect(Math.min(...sizes)).toBeGreaterThanOrEqual(4);
    await arrive(40, 100);
    sizes.length = 0;
    await arrive(10, 100);
    expect(sizes).toEqual(Array(10).fill(1));
    await Promise.all(loads);
    expect(clock.pending).toBe(0);
  });

  it('waits for a place among the calls under way, and each tenant gets one in turn', async () => {
    const { run, calls } = held();
    const { batcher, clock } = setUp(run, { maxItems: 2, maxConcurrent: 1 });
    const flood = runInContext({ tenant: 'flood' }, () => batcher.loadMany([1, 2, 3, 4, 5, 6]));
    await clock.settle();
    const other = runInContext({ tenant: 'other' }, () => batcher.loadMany([11, 12]));
    await clock.settle();
    for (let turn = 0; turn < 4; turn++) {
      expect(calls).toHaveLength(turn + 1);
      expect(batcher.stats()).toMatchObject({ underWay: 1, waiting: 6 - 2 * turn });
      calls[turn]?.answer(calls[turn]?.items);
      await clock.settle();
    }
    expect(calls.map(({ items }) => items)).toEqual([
      [1, 2],
      [3, 4],
      [11, 12],
      [5, 6],
    ]);
    expect([await flood, await other]).toEqual([
      [1, 2, 3, 4, 5, 6],
      [11, 12],
    ]);
    expect(clock.pending).toBe(0);
  });
});

describe('who goes first', () => {
  it('is who came first, but for those whose deadline does not let them wait for another call', async () => {
    const { run, calls } = held();
    const { batcher, clock } = setUp(run, { maxItems: 2, maxConcurrent: 1 });
    const answerNext = async (index: number): Promise<void> => {
      await clock.advance(100);
      calls[index]?.answer(calls[index]?.items);
      await clock.settle();
    };
    const loads = [batcher.load(0)];
    await answerNext(0);
    loads.push(batcher.load(1));
    await clock.settle();
    loads.push(...[2, 3, 4, 5].map((item) => batcher.load(item)));
    loads.push(runInContext({ deadline: 100_000 }, () => batcher.load(6)));
    loads.push(runInContext({ deadline: clock.now() + 550 }, () => batcher.load(7)));
    for (let index = 1; index <= 5; index++) await answerNext(index);
    expect(calls.map(({ items }) => items)).toEqual([[0], [1], [2, 7], [3, 4], [5, 6]]);
    expect(await Promise.all(loads)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });
});

describe('results', () => {
  it('fail alone where they are an Error', async () => {
    const { batcher, clock } = setUp<number, number>(async (items) =>
      items.map((item) => (item === 2 ? new Error('two') : item)),
    );
    const loads = Promise.allSettled([1, 2, 3].map((item) => batcher.load(item)));
    await clock.advance(50);
    expect(await loads).toEqual([
      { status: 'fulfilled', value: 1 },
      { status: 'rejected', reason: new Error('two') },
      { status: 'fulfilled', value: 3 },
    ]);
  });

  it.each<[string, unknown, string]>([
    ['too few', [1], 'got 2 items and returned 1 results'],
    ['too many', [1, 2, 3], 'got 2 items and returned 3 results'],
    ['no list', 'ab', 'got 2 items and returned no list but string'],
    ['nothing', undefined, 'got 2 items and returned no list but undefined'],
  ])('that are %s fail every item with both numbers', async (_, results, message) => {
    const { batcher, clock, events } = setUp(async () => results as number[], { name: 'embed' });
    const loads = Promise.allSettled([batcher.load(1), batcher.load(2)]);
    await clock.advance(50);
    for (const outcome of await loads) {
      expect(outcome).toMatchObject({
        status: 'rejected',
        reason: { code: 'WP_BATCH_MISMATCH', message: expect.stringContaining(message), details: { items: 2 } },
      });
    }
    expect(events).toMatchObject([{ type: 'batch.failed', batcher: 'embed', items: 2 }]);
  });

  it('are one error for all when the call fails, now or at once', async () => {
    const error = new Error('down');
    for (const run of [
      () => Promise.reject(error),
      () => {
        throw error;
      },
    ]) {
      const { batcher, clock } = setUp(run);
      const loads = Promise.allSettled([batcher.load(1), batcher.load(2)]);
      await clock.advance(50);
      for (const outcome of await loads) expect(outcome).toEqual({ status: 'rejected', reason: error });
    }
  });

  it('of loadMany keep their order, and its first failure rejects it', async () => {
    const { batcher, clock } = setUp(
      async (items: readonly number[]) => items.map((item) => (item < 0 ? new Error(`${item}`) : item)),
      { maxItems: 2 },
    );
    const good = batcher.loadMany([5, 4, 3]);
    const bad = batcher.loadMany([1, -1, -2]);
    bad.catch(() => {});
    await clock.advance(50);
    expect(await good).toEqual([5, 4, 3]);
    await expect(bad).rejects.toThrow('-1');
    expect(await batcher.loadMany([])).toEqual([]);
  });

  it('of two batches under way never mix, whichever lands first', async () => {
    const { run, calls } = held();
    const { batcher, clock } = setUp(run, { maxItems: 2 });
    const loads = [1, 2, 3, 4].map((item) => batcher.load(item));
    await clock.settle();
    calls[1]?.answer([30, 40]);
    calls[0]?.answer([10, 20]);
    expect(await Promise.all(loads)).toEqual([10, 20, 30, 40]);
  });

  it('reach their own item whatever the interleaving', () =>
    fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(
          fc.record({
            item: fc.nat(50),
            fails: fc.boolean(),
            waitMs: fc.nat(60),
            leaves: fc.option(fc.nat(80), { freq: 3 }),
          }),
          { maxLength: 20 },
        ),
        fc.integer({ min: 1, max: 5 }),
        async (scheduler, loads, maxItems) => {
          const clock = createFakeClock();
          const sizes: number[] = [];
          const run = scheduler.scheduleFunction(async (items: readonly (typeof loads)[number][]) => {
            sizes.push(items.length);
            return items.map(({ item, fails }) => (fails ? new Error(`no ${item}`) : item * 2));
          }) as BatchFunction<(typeof loads)[number], number>;
          const batcher = createBatcher(run, { maxItems, window: 20, clock });
          const work: Promise<unknown>[] = [];
          for (const load of loads) {
            await clock.advance(load.waitMs);
            const leaving = new AbortController();
            if (load.leaves !== null) clock.schedule(load.leaves, () => leaving.abort(new Error(`left ${load.item}`)));
            work.push(
              batcher.load(load, { signal: leaving.signal }).then(
                (result) => expect([result, load.fails]).toEqual([load.item * 2, false]),
                (error) => expect([`no ${load.item}`, `left ${load.item}`]).toContain(error.message),
              ),
            );
          }
          await clock.advance(100);
          await scheduler.waitAll();
          await Promise.all(work);
          expect(Math.max(0, ...sizes)).toBeLessThanOrEqual(maxItems);
          expect(clock.pending).toBe(0);
        },
      ),
      { numRuns: 60 },
    ));
});
