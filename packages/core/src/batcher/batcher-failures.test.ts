import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AttemptBudget, runInContext } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import { type BatcherEvent, type BatcherOptions, createBatcher } from './index.js';

/** A call with these items fails with this, or goes well. */
type Trouble = (items: readonly number[]) => unknown;

function setUp(trouble: Trouble, options: BatcherOptions<number> = {}) {
  const clock = createFakeClock();
  const calls: (readonly number[])[] = [];
  const events: BatcherEvent[] = [];
  const batcher = createBatcher<number, string>(
    (items) => {
      calls.push(items);
      const error = trouble(items);
      if (error !== undefined) throw error;
      return items.map((item) => `${item}!`);
    },
    { clock, maxItems: 33, onEvent: (event) => void events.push(event), ...options },
  );
  const loadAll = async (count: number): Promise<(string | Error)[]> => {
    const loads = batcher.loadSettled(Array.from({ length: count }, (_, item) => item));
    await clock.advance(20_000);
    expect(clock.pending).toBe(0);
    return loads;
  };
  return { clock, batcher, calls, events, loadAll };
}

/** A new error for each call, as servers make them, that says which items it was about. */
const kinds: Record<string, (items: readonly number[]) => Error> = {
  'a status': (items) => Object.assign(new Error(`400 bad input ${items}`), { status: 400 }),
  'a status in its cause': (items) =>
    new Error(`no vectors ${items}`, { cause: Object.assign(new Error('invalid'), { statusCode: 422 }) }),
  words: (items) => new Error(`input is too long: ${items}`),
  nothing: (items) => new Error(`boom ${items}`),
};

const withPoison = (poison: ReadonlySet<number>, fail: (items: readonly number[]) => Error): Trouble => {
  return (items) => (items.some((item) => poison.has(item)) ? fail(items) : undefined);
};

const answers = (count: number): string[] => Array.from({ length: count }, (_, item) => `${item}!`);

describe('one bad item among 2 to 33', () => {
  it.each(Object.entries(kinds))('costs nobody else an answer where it shows by %s', async (_, fail) => {
    for (let count = 2; count <= 33; count++) {
      for (const poison of new Set([0, 1, Math.floor(count / 2), count - 2, count - 1])) {
        const { calls, loadAll } = setUp(withPoison(new Set([poison]), fail));
        const outcomes = await loadAll(count);
        const expected: (string | Error)[] = answers(count);
        expected[poison] = fail([poison]);
        expect(outcomes).toEqual(expected);
        expect(calls.length).toBeLessThanOrEqual(1 + 2 * Math.ceil(Math.log2(count)));
      }
    }
  });

  it('has the error as it came from its own call', async () => {
    const errors: unknown[] = [];
    const { loadAll } = setUp((items) => {
      if (!items.includes(2)) return undefined;
      errors.push(Object.assign(new Error('bad'), { status: 400 }));
      return errors.at(-1);
    });
    expect((await loadAll(5))[2]).toBe(errors.at(-1));
  });

  it('is reported: each call, why it was made, and what it cost', async () => {
    const { batcher, events, loadAll } = setUp(withPoison(new Set([3]), kinds['a status'] as never));
    await loadAll(4);
    expect(events.map(({ type, items, trigger }) => [type, items, trigger])).toEqual([
      ['batch.failed', 4, 'idle'],
      ['batch.done', 2, 'split'],
      ['batch.failed', 2, 'split'],
      ['batch.done', 1, 'split'],
      ['batch.failed', 1, 'split'],
    ]);
    expect(batcher.stats()).toMatchObject({ batches: 5, items: 10, splits: 4, repeats: 0, waiting: 0, underWay: 0 });
  });

  it('teaches no cap: the next batch is as large as the first', async () => {
    const { calls, loadAll } = setUp(withPoison(new Set([3]), kinds['a status'] as never));
    await loadAll(32);
    calls.length = 0;
    await loadAll(32);
    expect(calls[0]).toHaveLength(32);
  });

  it('that everybody asks for fails for all of them, and for nobody else', async () => {
    const { batcher, clock, calls } = setUp(withPoison(new Set([7]), kinds.words as never));
    const loads = batcher.loadSettled([7, 1, 7, 2, 7]);
    await clock.settle();
    expect(await loads).toEqual([
      new Error('input is too long: 7'),
      '1!',
      new Error('input is too long: 7'),
      '2!',
      new Error('input is too long: 7'),
    ]);
    expect(calls[0]).toEqual([7, 1, 2]);
  });
});

describe('several bad items', () => {
  const drawn = fc
    .integer({ min: 2, max: 33 })
    .chain((count) => fc.tuple(fc.constant(count), fc.uniqueArray(fc.nat(count - 1), { maxLength: count })));

  it.each(['a status', 'a status in its cause', 'words'])(
    'fail alone wherever they are, in 2n - 1 calls at the most, where they show by %s',
    (kind) =>
      fc.assert(
        fc.asyncProperty(drawn, async ([count, bad]) => {
          const fail = kinds[kind] as (items: readonly number[]) => Error;
          const { calls, loadAll } = setUp(withPoison(new Set(bad), fail));
          const expected: (string | Error)[] = answers(count);
          for (const item of bad) expected[item] = fail([item]);
          expect(await loadAll(count)).toEqual(expected);
          expect(calls.length).toBeLessThanOrEqual(2 * count - 1);
        }),
        { numRuns: 60 },
      ),
  );

  it('cost 2n - 1 calls where all are bad', async () => {
    for (const count of [2, 3, 7, 8, 32, 33]) {
      const { calls, loadAll } = setUp((items) => kinds.words?.(items));
      await loadAll(count);
      expect(calls).toHaveLength(2 * count - 1);
    }
  });

  it.each([
    ['adjacent', [4, 5, 6]],
    ['adjacent across the middle', [15, 16]],
    ['spread', [3, 12, 20, 29]],
    ['one at an end', [0, 20]],
    ['both ends of a half', [16, 31]],
  ])('that say nothing of themselves fail alone where they are %s', async (_, bad) => {
    const fail = kinds.nothing as (items: readonly number[]) => Error;
    const { calls, loadAll } = setUp(withPoison(new Set(bad), fail));
    const expected: (string | Error)[] = answers(32);
    for (const item of bad) expected[item] = fail([item]);
    expect(await loadAll(32)).toEqual(expected);
    expect(calls.length).toBeLessThanOrEqual(2 * 32 - 1);
    calls.length = 0;
    await loadAll(32);
    expect(calls[0], 'no cap was learned').toHaveLength(32);
  });

  it('that say nothing of themselves cost others an answer only where both halves and both ends are bad', () =>
    fc.assert(
      fc.asyncProperty(drawn, async ([count, bad]) => {
        const poison = new Set(bad);
        const { calls, loadAll } = setUp(withPoison(poison, kinds.nothing as never));
        const outcomes = await loadAll(count);
        const isTakenForAll = count > 3 && poison.has(0) && poison.has(count - 1);
        for (const [item, outcome] of outcomes.entries()) {
          if (poison.has(item)) expect(outcome).toBeInstanceOf(Error);
          else if (!isTakenForAll) expect(outcome).toBe(`${item}!`);
        }
        expect(calls.length).toBeLessThanOrEqual(isTakenForAll ? 5 : 2 * count - 1);
      }),
      { numRuns: 150 },
    ));
});

describe('an error that is nobody’s fault', () => {
  it.each([
    ['of rights', Object.assign(new Error('no'), { status: 401 })],
    ['of the program', new TypeError('x is undefined')],
    ['of the caller', new DOMException('stop', 'AbortError')],
  ])('%s fails all after one call', async (_, error) => {
    const { calls, loadAll } = setUp(() => error);
    expect(await loadAll(32)).toEqual(Array(32).fill(error));
    expect(calls).toHaveLength(1);
  });

  it.each([
    [1, 1],
    [2, 3],
    [3, 5],
    [4, 5],
    [32, 5],
    [33, 5],
  ])('and says nothing of itself fails %i items after %i calls', async (count, most) => {
    const { calls, loadAll } = setUp((items) => kinds.nothing?.(items));
    for (const outcome of await loadAll(count)) expect(outcome).toBeInstanceOf(Error);
    expect(calls).toHaveLength(most);
  });

  it('is what the classify function says, and else what is known without it', async () => {
    const said: unknown[] = [];
    const { calls, loadAll } = setUp((items) => kinds.words?.(items), {
      classify: (error, items) => {
        said.push([(error as Error).message, items]);
        return 'global';
      },
    });
    await loadAll(3);
    expect(said).toEqual([['input is too long: 0,1,2', [0, 1, 2]]]);
    expect(calls).toHaveLength(1);
    const silent = setUp(withPoison(new Set([1]), kinds.words as never), { classify: () => undefined });
    expect(await silent.loadAll(3)).toMatchObject(['0!', { message: 'input is too long: 1' }, '2!']);
  });

  it('is not hidden by a classify function that fails itself', async () => {
    const warned = new Promise<Error>((resolve) => process.once('warning', resolve));
    const { loadAll } = setUp(withPoison(new Set([1]), kinds.words as never), {
      name: 'embed',
      classify: () => {
        throw new Error('my own');
      },
    });
    expect(await loadAll(2)).toMatchObject(['0!', { message: 'input is too long: 1' }]);
    expect((await warned).message).toContain("classify function of batcher 'embed' failed: Error: my own");
  });
});

describe('a cap', () => {
  const sizesOf = (calls: readonly (readonly number[])[]): number[] => calls.map(({ length }) => length);

  it('that the error states is what the batch is packed under at once, and all later ones', async () => {
    const { calls, loadAll } = setUp((items) =>
      items.length > 10
        ? Object.assign(new Error(`batch size ${items.length} > maximum allowed batch size 10`), { status: 422 })
        : undefined,
    );
    expect(await loadAll(32)).toEqual(answers(32));
    expect(sizesOf(calls)).toEqual([32, 10, 10, 10, 2]);
    calls.length = 0;
    expect(await loadAll(32)).toEqual(answers(32));
    expect(sizesOf(calls)).toEqual([10, 10, 10, 2]);
  });

  it('that the error states in weight counts in weight', async () => {
    const weight = (item: number): number => 1 + (item % 3);
    const heavy = (items: readonly number[]): number => items.reduce((sum, item) => sum + weight(item), 0);
    const { calls, loadAll } = setUp(
      (items) =>
        heavy(items) > 20
          ? Object.assign(new Error(`Requested ${heavy(items)} tokens, max 20 tokens per request`), { status: 400 })
          : undefined,
      { weight },
    );
    expect(await loadAll(32)).toEqual(answers(32));
    expect(
      calls
        .slice(1)
        .map(heavy)
        .every((sum) => sum <= 20),
    ).toBe(true);
    calls.length = 0;
    expect(await loadAll(32)).toEqual(answers(32));
    expect(calls.map(heavy).every((sum) => sum <= 20)).toBe(true);
    expect(calls.length).toBe(4);
  });

  it('that a classify function states counts as well', async () => {
    const { calls, loadAll } = setUp((items) => (items.length > 4 ? new Error('nope') : undefined), {
      classify: () => ({ kind: 'composition', maxItems: 4 }),
    });
    expect(await loadAll(12)).toEqual(answers(12));
    expect(sizesOf(calls)).toEqual([12, 4, 4, 4]);
  });

  it.each(['words', 'nothing'])('that only shows is learned from parts that go well, by %s', async (kind) => {
    const { calls, loadAll } = setUp((items) => (items.length > 8 ? kinds[kind]?.(items) : undefined), {
      maxItems: 32,
    });
    expect(await loadAll(32)).toEqual(answers(32));
    expect(
      sizesOf(calls)
        .toSorted((a, b) => b - a)
        .slice(0, 3),
    ).toEqual([32, 16, 16]);
    calls.length = 0;
    expect(await loadAll(64)).toEqual(answers(64));
    expect(sizesOf(calls)).toEqual(Array(8).fill(8));
  });

  it('that only showed is grown out of where the backend has become better', async () => {
    let most = 8;
    const { calls, loadAll } = setUp((items) => (items.length > most ? kinds.words?.(items) : undefined), {
      maxItems: 32,
    });
    await loadAll(32);
    most = 32;
    for (let round = 0; round < 40; round++) expect(await loadAll(64)).toEqual(answers(64));
    expect(calls.at(-1)).toHaveLength(32);
  });

  it('that only shows is not tried out of again and again', async () => {
    const { events, loadAll } = setUp((items) => (items.length > 8 ? kinds.words?.(items) : undefined), {
      maxItems: 32,
    });
    const troubled: number[] = [];
    for (let round = 0; round < 100; round++) {
      events.length = 0;
      expect(await loadAll(64)).toEqual(answers(64));
      if (events.some(({ type }) => type === 'batch.failed')) troubled.push(round);
    }
    // After 10, 20, 40, ... full batches, of which a round has eight.
    expect(troubled).toHaveLength(7);
    expect(Math.max(...troubled)).toBeGreaterThan(70);
  });

  it('is that of one lane: what may not travel together has caps of its own', async () => {
    const { calls, loadAll } = setUp(
      (items) => (items.length > 4 && (items[0] ?? 0) % 2 === 0 ? kinds.words?.(items) : undefined),
      { apart: (item) => item % 2 },
    );
    await loadAll(16);
    calls.length = 0;
    await loadAll(16);
    expect(sizesOf(calls).toSorted()).toEqual([4, 4, 8]);
  });
});

describe('the budget that callers share', () => {
  const budgetOf = (extra: number) => {
    const budget = {
      left: extra,
      asked: 0,
      deposit: () => {},
      withdraw: () => {
        budget.asked++;
        return budget.left > 0 && budget.left-- > 0;
      },
    };
    return budget satisfies AttemptBudget & object;
  };

  it('pays for every call of a split', async () => {
    const budget = budgetOf(100);
    const { calls, loadAll } = setUp(withPoison(new Set([5]), kinds.words as never));
    expect(await runInContext({ budget }, () => loadAll(16))).toMatchObject(
      answers(16).with(5, expect.objectContaining({ message: 'input is too long: 5' }) as never),
    );
    expect(calls).toHaveLength(9);
    expect(budget).toMatchObject({ left: 92, asked: 8 });
  });

  it.each([0, 1, 2, 3, 4, 5])('ends it when it has paid for %i: what is left fails as its batch did', async (extra) => {
    const budget = budgetOf(extra);
    const { calls, loadAll } = setUp(withPoison(new Set([5]), kinds.words as never));
    const outcomes = await runInContext({ budget }, () => loadAll(16));
    expect(calls).toHaveLength(1 + extra);
    const sent = new Set(calls.filter((items) => !items.includes(5)).flat());
    for (const [item, outcome] of outcomes.entries()) {
      if (sent.has(item)) expect(outcome).toBe(`${item}!`);
      else expect(outcome).toMatchObject({ message: expect.stringMatching(/^input is too long: /) });
    }
  });

  it('pays for repeats: none where it is empty', async () => {
    for (const [extra, count] of [
      [0, 1],
      [1, 2],
      [5, 3],
    ] as const) {
      const { calls, loadAll } = setUp(() => Object.assign(new Error('busy'), { status: 503 }), { attempts: 3 });
      await runInContext({ budget: budgetOf(extra) }, () => loadAll(4));
      expect(calls).toHaveLength(count);
    }
  });

  it('is not asked where no extra call is made', async () => {
    const budget = budgetOf(10);
    const good = setUp(() => undefined);
    await runInContext({ budget }, () => good.loadAll(4));
    const bad = setUp(() => new TypeError('x'));
    await runInContext({ budget }, () => bad.loadAll(4));
    expect(budget.asked).toBe(0);
  });
});
