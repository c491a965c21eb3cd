import { describe, expect, it } from 'vitest';
import { double, held, setUp } from '../../test/batcher-set-up.js';
import { currentContext, runInContext } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import { type BatcherOptions, createBatcher } from './index.js';

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
