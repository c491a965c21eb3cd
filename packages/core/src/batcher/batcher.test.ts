import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { currentContext, runInContext } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import { type BatcherEvent, type BatcherOptions, type BatchFunction, createBatcher } from './index.js';

const double = async (items: readonly number[]): Promise<number[]> => items.map((item) => item * 2);

function setUp<Item = number, Result = number>(
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
function held() {
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

describe('what goes into a batch', () => {
  const sizesOf = async <Item>(items: readonly Item[], options: BatcherOptions<Item, Item>) => {
    const { batcher, clock, run } = setUp<Item, Item>(async (batch) => [...batch], options);
    const loads = batcher.loadMany(items);
    await clock.advance(1_000);
    expect(await loads).toEqual(items);
    return run.mock.calls.map(([batch]) => batch);
  };

  it('weighs no more than it may, packed so that few batches are needed, in the order of arrival', async () => {
    const options = { weight: (item: number) => item, maxWeight: 10 };
    expect(await sizesOf([6, 7, 2, 4, 1], options)).toEqual([
      [6, 4],
      [7, 2, 1],
    ]);
  });

  it('has no more bytes than it may: of texts in UTF-8, of binary data as it is, of others as JSON', async () => {
    const maxBytes = 8;
    expect(await sizesOf(['äöü', 'ab', 'abc'], { maxBytes })).toEqual([['äöü', 'ab'], ['abc']]);
    const [six, three] = [new Uint8Array(6), new Uint8Array(3)];
    expect(await sizesOf([six, three], { maxBytes })).toEqual([[six], [three]]);
    expect(await sizesOf([{ a: 1 }, [1]], { maxBytes })).toEqual([[{ a: 1 }], [[1]]]);
  });

  it('is refused where it is too large for any batch, and costs the others nothing', async () => {
    const { batcher, clock } = setUp(double, { weight: (item) => item, maxWeight: 10, name: 'embed' });
    const loads = batcher.loadSettled([1, 11, 2]);
    await clock.settle();
    expect(await loads).toEqual([
      2,
      expect.objectContaining({
        code: 'WP_BATCH_ITEM_TOO_LARGE',
        message: expect.stringMatching(/'embed'.*weighs 11.*'maxWeight' is 10/),
      }),
      4,
    ]);
  });

  it.each([Number.NaN, -1, Number.POSITIVE_INFINITY, '5'])('is refused where it weighs %s', async (weight) => {
    const { batcher } = setUp(double, { weight: () => weight as number });
    await expect(batcher.load(1)).rejects.toMatchObject({ code: 'WP_BAD_OPTION' });
  });

  it('rejects the load whose weight, key or apart function throws', async () => {
    const broken = () => {
      throw new Error('broken');
    };
    for (const option of ['weight', 'key', 'apart']) {
      const { batcher, clock } = setUp(double, { [option]: broken });
      await expect(batcher.load(1)).rejects.toThrow('broken');
      expect(clock.pending).toBe(0);
    }
  });

  it('is each item once, whoever asks for it; everybody gets its outcome', async () => {
    const { batcher, clock, run } = setUp(async (items: readonly number[]) =>
      items.map((item) => (item === 3 ? new Error('three') : item * 2)),
    );
    const loads = batcher.loadSettled([1, 2, 1, 3, 3, 1]);
    await clock.settle();
    expect(await loads).toEqual([2, 4, 2, new Error('three'), new Error('three'), 2]);
    expect(run.mock.calls.map(([items]) => items)).toEqual([[1, 2, 3]]);
    expect(batcher.stats()).toMatchObject({ items: 3, joined: 3, waiting: 0, batches: 1 });
  });

  it('is full of different items: what is the same does not count', async () => {
    const { batcher, clock, run } = setUp(double, { maxItems: 3 });
    const loads = batcher.loadMany([1, 1, 1, 2, 2, 3, 4]);
    await clock.settle();
    expect(await loads).toEqual([2, 2, 2, 4, 4, 6, 8]);
    expect(run.mock.calls.map(([items]) => items)).toEqual([[1, 2, 3], [4]]);
  });

  it('goes by a key of one’s own, or by none', async () => {
    const texts = ['A', 'a', 'b'];
    const upper = async (items: readonly string[]) => items.map((item) => `${item}!`);
    const byKey = setUp<string, string>(upper, { key: (text) => text.toLowerCase() });
    const loads = byKey.batcher.loadMany(texts);
    await byKey.clock.settle();
    expect(await loads).toEqual(['A!', 'A!', 'b!']);
    const each = setUp<string, string>(upper, { key: false });
    const all = each.batcher.loadMany(['a', 'a']);
    await each.clock.settle();
    expect(await all).toEqual(['a!', 'a!']);
    expect(each.run.mock.calls.map(([items]) => items)).toEqual([['a', 'a']]);
  });

  it('is at most as many waiting as they may be', async () => {
    const { run, calls } = held();
    const { batcher, clock } = setUp(run, { maxItems: 1, maxConcurrent: 1, maxWaiting: 2, name: 'embed' });
    const loads = [batcher.load(1)];
    await clock.settle();
    loads.push(batcher.load(2), batcher.load(3));
    await expect(batcher.load(4)).rejects.toMatchObject({
      code: 'WP_OVERLOADED',
      message: expect.stringContaining("'embed' has 2 items waiting"),
      details: { waiting: 2, maxWaiting: 2, underWay: 1, maxConcurrent: 1 },
    });
    for (let turn = 0; turn < 3; turn++) {
      calls[turn]?.answer(calls[turn]?.items);
      await clock.settle();
    }
    expect(await Promise.all(loads)).toEqual([1, 2, 3]);
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

describe('leaving', () => {
  it('before the batch goes takes the item out', async () => {
    const { batcher, clock, run } = setUp();
    const leaving = new AbortController();
    const left = batcher.load(1, { signal: leaving.signal });
    const stays = batcher.load(2);
    const reason = new Error('changed my mind');
    leaving.abort(reason);
    await expect(left).rejects.toBe(reason);
    await clock.advance(50);
    expect(await stays).toBe(4);
    expect(run.mock.calls.map(([items]) => items)).toEqual([[2]]);
  });

  it('as the last one before the batch goes calls nothing and leaves no timer', async () => {
    const { batcher, clock, run } = setUp();
    const leaving = new AbortController();
    const left = batcher.load(1, { signal: leaving.signal });
    leaving.abort();
    await expect(left).rejects.toMatchObject({ name: 'AbortError' });
    expect(clock.pending).toBe(0);
    const next = batcher.load(5);
    await clock.advance(50);
    expect(await next).toBe(10);
    expect(run).toHaveBeenCalledTimes(1);
  });

  it('while the call is under way rejects one alone; the last one aborts the call', async () => {
    const { run, calls } = held();
    const { batcher, clock } = setUp(run);
    const controllers = [1, 2].map(() => new AbortController());
    const loads = controllers.map(({ signal }, index) => batcher.load(index, { signal }));
    await clock.advance(50);
    controllers[0]?.abort(new Error('first'));
    await expect(loads[0]).rejects.toThrow('first');
    expect(calls[0]?.signal.aborted).toBe(false);
    const reason = new Error('second');
    controllers[1]?.abort(reason);
    await expect(loads[1]).rejects.toBe(reason);
    expect(calls[0]?.signal.reason).toBe(reason);
    calls[0]?.fail(reason);
    await clock.settle();
  });

  it('does not abort the call while somebody without a signal waits', async () => {
    const { run, calls } = held();
    const { batcher, clock } = setUp(run);
    const leaving = new AbortController();
    const left = batcher.load(1, { signal: leaving.signal });
    const stays = batcher.load(2);
    await clock.advance(50);
    leaving.abort();
    await expect(left).rejects.toThrow();
    expect(calls[0]?.signal.aborted).toBe(false);
    calls[0]?.answer([1, 2]);
    expect(await stays).toBe(2);
  });

  it('before asking is refused at once', async () => {
    const { batcher, clock } = setUp();
    await expect(batcher.load(1, { signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow('gone');
    expect(clock.pending).toBe(0);
  });

  it('comes with the context: its signal, its deadline', async () => {
    const { run, calls } = held();
    const { batcher, clock } = setUp(run);
    const request = new AbortController();
    const left = runInContext({ signal: request.signal }, () => batcher.load(1));
    const late = runInContext({ deadline: 80 }, () => batcher.load(2));
    late.catch(() => {});
    request.abort(new Error('client left'));
    await expect(left).rejects.toThrow('client left');
    await clock.advance(80);
    await expect(late).rejects.toMatchObject({ code: 'WP_DEADLINE' });
    expect(calls.map(({ items, signal }) => [items, signal.aborted])).toEqual([[[2], true]]);
    await expect(runInContext({ deadline: 80 }, () => batcher.load(3))).rejects.toMatchObject({ code: 'WP_DEADLINE' });
    calls[0]?.answer([2]);
    await clock.settle();
    expect(clock.pending).toBe(0);
  });

  it('leaves no listener on a signal that lives longer than 1,000 loads', async () => {
    const { batcher, clock } = setUp(async (items: readonly number[]) =>
      items.map((n) => (n % 2 ? new Error('odd') : n)),
    );
    const shutdown = new AbortController();
    const loads = Promise.allSettled(
      Array.from({ length: 1_000 }, (_, item) =>
        runInContext({ deadline: 1e9 }, () => batcher.load(item, { signal: shutdown.signal })),
      ),
    );
    await clock.advance(50);
    await loads;
    expect(getEventListeners(shutdown.signal, 'abort')).toHaveLength(0);
    expect(clock.pending).toBe(0);
  });
});

describe('whose work a batch is', () => {
  /** Loads one item for each tenant; what each batch ran as, and its items. */
  const batchesOf = async (tenants: (string | undefined)[], options: BatcherOptions<number> = {}) => {
    const seen: unknown[] = [];
    const clock = createFakeClock();
    const run = async (items: readonly number[]) => {
      const { tenant, attributes } = currentContext() ?? {};
      seen.push([tenant, [...items], attributes]);
      return [...items];
    };
    const batcher = createBatcher(run, { clock, ...options });
    const loads = tenants.map((tenant, item) =>
      tenant === undefined
        ? batcher.load(item)
        : runInContext({ tenant, attributes: { user: item } }, () => batcher.load(item)),
    );
    await clock.advance(50);
    expect(await Promise.all(loads)).toEqual(tenants.map((_, item) => item));
    expect(clock.pending).toBe(0);
    return seen;
  };

  it('is one tenant’s: the items of two never travel together, and nobody’s attributes come along', async () => {
    expect(await batchesOf(['acme', 'globex', 'acme', undefined])).toEqual([
      ['acme', [0, 2], {}],
      ['globex', [1], {}],
      [undefined, [3], {}],
    ]);
  });

  it('is nobody’s where the scope is shared, whoever opened or filled it', async () => {
    const shared = { scope: 'shared' as const };
    expect(await batchesOf(['acme', 'globex', 'acme'], shared)).toEqual([[undefined, [0, 1, 2], {}]]);
    expect(await batchesOf(['acme', 'acme'], { ...shared, maxItems: 2 })).toEqual([[undefined, [0, 1], {}]]);
  });

  it('keeps apart what the caller says may not travel together', async () => {
    expect(await batchesOf([undefined, undefined, undefined], { apart: (item) => item % 2 })).toEqual([
      [undefined, [0, 2], {}],
      [undefined, [1], {}],
    ]);
  });
});

describe('close', () => {
  it('gives calls under way five seconds, then aborts them and rejects their items', async () => {
    const { run, calls } = held();
    const { batcher, clock } = setUp(run);
    const load = batcher.load(1);
    load.catch(() => {});
    const closing = batcher.close();
    await clock.advance(4_999);
    expect(calls[0]?.signal.aborted).toBe(false);
    await clock.advance(1);
    await closing;
    expect(calls[0]?.signal.aborted).toBe(true);
    await expect(load).rejects.toMatchObject({ code: 'WP_CLOSED' });
    expect(clock.pending).toBe(0);
  });

  it('sends what is waiting, waits for it, and refuses what comes later', async () => {
    const { run, calls } = held();
    const { batcher, clock } = setUp(run, { name: 'embed' });
    const load = batcher.load(1);
    let closed = false;
    const closing = batcher.close().then(() => {
      closed = true;
    });
    await expect(batcher.load(2)).rejects.toMatchObject({
      code: 'WP_CLOSED',
      message: expect.stringContaining('embed'),
    });
    await clock.settle();
    expect([calls.length, closed]).toEqual([1, false]);
    calls[0]?.answer([7]);
    await closing;
    expect(await load).toBe(7);
    expect(clock.pending).toBe(0);
    await batcher.close();
  });

  it('does not fail when the last call does', async () => {
    const { batcher } = setUp(() => Promise.reject(new Error('down')));
    const load = batcher.load(1);
    load.catch(() => {});
    await batcher.close();
    await expect(load).rejects.toThrow('down');
  });
});

describe('options', () => {
  it.each([
    [undefined, /loadMany\(\): option 'items' must be a list/],
    ['abc', /loadMany\(\): option 'items' must be a list/],
  ])('refuses %j as items', async (items, message) => {
    const { batcher } = setUp();
    await expect(batcher.loadMany(items as never)).rejects.toThrow(message);
    await expect(batcher.loadSettled(items as never)).rejects.toMatchObject({ code: 'WP_BAD_OPTION' });
  });

  it.each([
    [{ signal: 'x' }, /load\(\): option 'signal' must be an AbortSignal/],
    [{ signl: undefined }, /did you mean 'signal'/],
    [null, /load\(\)/],
  ])('refuses %j as a call, and nobody waits for it', async (call, message) => {
    const { batcher } = setUp();
    await expect(batcher.load(1, call as never)).rejects.toThrow(message);
    await expect(batcher.load(1, call as never)).rejects.toMatchObject({ code: 'WP_BAD_OPTION' });
    expect(batcher.stats().waiting).toBe(0);
  });

  it.each([
    [{ maxItems: 0 }, 'maxItems'],
    [{ maxItems: 2.5 }, 'maxItems'],
    [{ window: -1 }, 'window'],
    [{ name: '' }, 'name'],
    [{ size: 5 }, 'size'],
  ])('refuses %j, naming %s', (options, name) => {
    expect(() => createBatcher(double, options as BatcherOptions)).toThrow(
      expect.objectContaining({ code: 'WP_BAD_OPTION', message: expect.stringContaining(`'${name}'`) }),
    );
  });
});
