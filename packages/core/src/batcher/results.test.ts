import { describe, expect, it, vi } from 'vitest';
import { createFakeClock } from '../testing/index.js';
import { type BatchCall, type BatcherEvent, type BatcherOptions, type BatchFunction, createBatcher } from './index.js';

type Run = (items: readonly number[], call: BatchCall<string>) => unknown;

/** What the items 1 to `count` get where the batch function returns or settles as given. */
async function outcomesOf(run: Run, { count = 3, ...options }: { count?: number } & BatcherOptions<number> = {}) {
  const clock = createFakeClock();
  const events: BatcherEvent[] = [];
  const spy = vi.fn(run);
  const batcher = createBatcher<number, string>(spy as BatchFunction<number, string>, {
    clock,
    name: 'embed',
    onEvent: (event) => void events.push(event),
    ...options,
  });
  const loads = batcher.loadSettled(Array.from({ length: count }, (_, index) => index + 1));
  await clock.advance(10_000);
  expect(clock.pending).toBe(0);
  return { outcomes: await loads, calls: spy.mock.calls.length, events };
}

const mismatch = (message: string, results?: number) =>
  expect.objectContaining({
    code: 'WP_BATCH_MISMATCH',
    message: expect.stringContaining(`'embed': the batch function got 3 items and returned ${message}`),
    details: { batcher: 'embed', items: 3, results },
  });

describe('a list', () => {
  it('gives each item what stands in its place, an Error to one alone', async () => {
    const bad = new Error('two');
    const { outcomes, calls, events } = await outcomesOf(() => ['a', bad, 'c']);
    expect(outcomes).toEqual(['a', bad, 'c']);
    expect(calls).toBe(1);
    expect(events).toMatchObject([{ type: 'batch.done', items: 3 }]);
  });

  it.each([
    [[], '0 results', 0],
    [['a', 'b'], '2 results', 2],
    [['a', 'b', 'c', 'd'], '4 results', 4],
  ])('of another length fails all, naming both numbers: %j', async (results, message, count) => {
    const { outcomes, calls, events } = await outcomesOf(() => results);
    expect(outcomes).toEqual(Array(3).fill(mismatch(message, count)));
    expect(calls).toBe(1);
    expect(events).toMatchObject([{ type: 'batch.failed' }]);
  });

  it('of another length costs nobody what was settled before', async () => {
    const { outcomes } = await outcomesOf((_, { settle }) => {
      settle(1, 'b');
      return ['a'];
    });
    expect(outcomes).toEqual([mismatch('1 results', 1), 'b', mismatch('1 results', 1)]);
  });
});

describe('a map', () => {
  it('gives each item what is under its key, in whatever order', async () => {
    const bad = new Error('two');
    const run: Run = () =>
      new Map<number, string | Error>([
        [3, 'c'],
        [2, bad],
        [1, 'a'],
        [9, 'nobody’s'],
      ]);
    expect((await outcomesOf(run)).outcomes).toEqual(['a', bad, 'c']);
  });

  it('fails what it lacks alone, naming both numbers; what is undefined in it is there', async () => {
    const { outcomes } = await outcomesOf(() => new Map([[2, undefined]]));
    expect(outcomes).toEqual([
      mismatch('a map that lacks 2 of their keys', 1),
      undefined,
      mismatch('a map that lacks 2 of their keys', 1),
    ]);
  });

  it('goes by the key of the options, or by the item where there is none', async () => {
    const run: Run = (items) => new Map(items.map((item) => [`key ${item}`, `${item}`]));
    expect((await outcomesOf(run, { key: (item) => `key ${item}` } as BatcherOptions<number>)).outcomes).toEqual([
      '1',
      '2',
      '3',
    ]);
    const byItem: Run = (items) => new Map(items.map((item) => [item, `${item}`]));
    expect((await outcomesOf(byItem, { key: false })).outcomes).toEqual(['1', '2', '3']);
  });

  it('need not have what was settled, which counts before what it has', async () => {
    const settling =
      (results: [number, string][]): Run =>
      (_, { settle }) => {
        settle(0, 'early');
        return new Map(results);
      };
    const rest: [number, string][] = [
      [2, 'b'],
      [3, 'c'],
    ];
    expect((await outcomesOf(settling([[1, 'late'], ...rest]))).outcomes).toEqual(['early', 'b', 'c']);
    expect((await outcomesOf(settling(rest))).outcomes).toEqual(['early', 'b', 'c']);
    expect((await outcomesOf(settling([[2, 'b']]))).outcomes).toEqual([
      'early',
      'b',
      mismatch('a map that lacks 1 of their keys', 2),
    ]);
  });
});

describe('settle', () => {
  it('answers an item while the others are under way', async () => {
    const clock = createFakeClock();
    const rest = Promise.withResolvers<void>();
    const batcher = createBatcher<number, string>(
      async (items, { settle }) => {
        settle(1, 'b');
        await rest.promise;
        for (const index of items.keys()) settle(index, `${index}`);
      },
      { clock },
    );
    const loads = [1, 2, 3].map((item) => batcher.load(item));
    await clock.settle();
    expect(await loads[1]).toBe('b');
    expect(batcher.stats().underWay).toBe(1);
    rest.resolve();
    expect(await Promise.all(loads)).toEqual(['0', 'b', '2']);
  });

  it('counts the first time, and before what is returned', async () => {
    const bad = new Error('a');
    const { outcomes } = await outcomesOf((_, { settle }) => {
      settle(0, bad);
      settle(0, 'too late');
      return ['also too late', 'b', 'c'];
    });
    expect(outcomes).toEqual([bad, 'b', 'c']);
  });

  it('that has left some out fails those, naming both numbers', async () => {
    const { outcomes } = await outcomesOf((_, { settle }) => {
      settle(0, 'a');
      settle(2, 'c');
    });
    expect(outcomes).toEqual(['a', mismatch('nothing, having settled 2 of them', 2), 'c']);
  });

  it.each([-1, 3, 0.5, Number.NaN])('refuses the index %s, which no item has', async (index) => {
    const { outcomes } = await outcomesOf(
      (_, { settle }) => {
        settle(index, 'x');
      },
      { classify: () => 'global' },
    );
    expect(outcomes).toEqual(
      Array(3).fill(
        expect.objectContaining({ name: 'RangeError', message: `There is no item ${index} in a batch of 3.` }),
      ),
    );
  });

  it('says nothing any more once the call is over', async () => {
    const clock = createFakeClock();
    let late: BatchCall<string>['settle'] = () => {};
    const batcher = createBatcher<number, string>(
      (items, { settle }) => {
        late = settle;
        return items.map(String);
      },
      { clock },
    );
    const load = batcher.load(1);
    await clock.settle();
    late(0, new Error('late'));
    expect(await load).toBe('1');
  });
});

describe('anything else', () => {
  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['string', 'abc'],
    ['number', 3],
    ['Set', new Set([1, 2, 3])],
    ['Float32Array', new Float32Array(3)],
    ['Object', { 1: 'a', 2: 'b', 3: 'c' }],
    ['object', Object.create(null)],
  ])('is refused by name: %s', async (name, results) => {
    const { outcomes, calls } = await outcomesOf(() => results);
    expect(outcomes).toEqual(Array(3).fill(mismatch(`no list but ${name}`)));
    expect(calls).toBe(1);
  });
});
