import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { runInContext, seededRandom } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import { type BatchCall, type BatcherOptions, createBatcher } from './index.js';

interface HeldCall {
  readonly items: readonly number[];
  readonly call: BatchCall<string>;
  answer(): void;
  fail(error: unknown): void;
}

/** A batcher whose calls the test ends by hand, and callers who can leave. */
function setUp(options: BatcherOptions<number> = {}) {
  const clock = createFakeClock();
  const calls: HeldCall[] = [];
  const batcher = createBatcher<number, string>(
    (items, call) => {
      const { promise, resolve, reject } = Promise.withResolvers<string[]>();
      calls.push({ items, call, answer: () => resolve(items.map((item) => `${item}!`)), fail: reject });
      return promise;
    },
    { clock, random: seededRandom(7), ...options },
  );
  const callers = new Map<number, AbortController>();
  const outcomes = new Map<number, unknown>();
  const load = (item: number): void => {
    const leaving = new AbortController();
    callers.set(item, leaving);
    batcher.load(item, { signal: leaving.signal }).then(
      (result) => outcomes.set(item, result),
      (error) => outcomes.set(item, error.message),
    );
  };
  const leave = (...items: number[]): void => {
    for (const item of items) callers.get(item)?.abort(new Error(`left ${item}`));
  };
  /** What was sent since it was last asked. */
  const sent = (): string[] => {
    const items = calls.slice(asked).map((each) => each.items.join());
    asked = calls.length;
    return items;
  };
  let asked = 0;
  const expectNothingLeft = (): void => {
    expect(clock.pending).toBe(0);
    for (const { signal } of callers.values()) expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    expect(batcher.stats()).toMatchObject({ waiting: 0, underWay: 0 });
  };
  return { clock, batcher, calls, outcomes, load, leave, sent, expectNothingLeft };
}

const bad = (): Error => Object.assign(new Error('bad input'), { status: 400 });
const busy = (): Error => Object.assign(new Error('busy'), { status: 503 });

describe('leaving', () => {
  it('while the whole is under way takes the culprit along: the one that is left is asked for again', async () => {
    for (const error of [bad(), new Error('boom')]) {
      const { clock, calls, outcomes, load, leave, sent, expectNothingLeft } = setUp();
      for (const item of [1, 2]) load(item);
      await clock.settle();
      leave(1);
      calls[0]?.fail(error);
      await clock.settle();
      expect(sent()).toEqual(['1,2', '2']);
      calls[1]?.answer();
      await clock.settle();
      expect([...outcomes]).toEqual([
        [1, 'left 1'],
        [2, '2!'],
      ]);
      expectNothingLeft();
    }
  });

  it('in the middle of a split spares its part: nothing is sent that nobody waits for', async () => {
    const { clock, calls, outcomes, load, leave, sent, expectNothingLeft } = setUp({ maxConcurrent: 1 });
    for (const item of [1, 2, 3, 4]) load(item);
    await clock.settle();
    calls[0]?.fail(bad());
    await clock.settle();
    expect(sent()).toEqual(['1,2,3,4', '1,2']);
    leave(3, 4);
    calls[1]?.answer();
    await clock.settle();
    expect(sent()).toEqual([]);
    expect(outcomes).toEqual(
      new Map([
        [3, 'left 3'],
        [4, 'left 4'],
        [1, '1!'],
        [2, '2!'],
      ]),
    );
    expectNothingLeft();
  });

  it('of one while a part waits for a place takes that item out of it', async () => {
    const { clock, calls, outcomes, load, leave, sent, expectNothingLeft } = setUp({ maxConcurrent: 1 });
    for (const item of [1, 2, 3, 4]) load(item);
    await clock.settle();
    calls[0]?.fail(bad());
    await clock.settle();
    leave(3);
    calls[1]?.answer();
    await clock.settle();
    expect(sent()).toEqual(['1,2,3,4', '1,2', '4']);
    calls[2]?.answer();
    await clock.settle();
    expect(outcomes.get(4)).toBe('4!');
    expectNothingLeft();
  });

  it('of all in one part aborts its call, and goes on with the other', async () => {
    const { clock, calls, outcomes, load, leave, expectNothingLeft } = setUp();
    for (const item of [1, 2, 3, 4]) load(item);
    await clock.settle();
    calls[0]?.fail(bad());
    await clock.settle();
    leave(1, 2);
    expect(calls.map(({ call }) => call.signal.aborted)).toEqual([false, true, false]);
    expect(calls[1]?.call.signal.reason).toMatchObject({ message: 'left 2' });
    calls[1]?.fail(calls[1]?.call.signal.reason);
    calls[2]?.answer();
    await clock.settle();
    expect([outcomes.get(3), outcomes.get(4)]).toEqual(['3!', '4!']);
    expectNothingLeft();
  });

  it('of all in a pause ends it at once, and nothing is sent again', async () => {
    const { clock, calls, load, leave, sent, expectNothingLeft } = setUp();
    for (const item of [1, 2]) load(item);
    await clock.settle();
    calls[0]?.fail(busy());
    await clock.settle();
    expect(clock.pending).toBe(1);
    leave(1, 2);
    await clock.settle();
    expectNothingLeft();
    await clock.advance(1_000);
    expect(sent()).toEqual(['1,2']);
  });

  it('of some in a pause has the others sent again', async () => {
    const { clock, calls, outcomes, load, leave, sent, expectNothingLeft } = setUp();
    for (const item of [1, 2, 3]) load(item);
    await clock.settle();
    calls[0]?.fail(busy());
    await clock.settle();
    leave(2);
    await clock.settle();
    expect(sent()).toEqual(['1,2,3']);
    await clock.advance(200);
    expect(sent()).toEqual(['1,3']);
    calls[1]?.answer();
    await clock.settle();
    expect(outcomes).toEqual(
      new Map([
        [2, 'left 2'],
        [1, '1!'],
        [3, '3!'],
      ]),
    );
    expectNothingLeft();
  });

  it('is no matter for the other parts, and neither is how long one takes', async () => {
    const { clock, calls, outcomes, load, sent } = setUp();
    for (const item of [1, 2, 3, 4]) load(item);
    await clock.settle();
    calls[0]?.fail(bad());
    await clock.settle();
    calls[2]?.fail(bad());
    await clock.settle();
    expect(sent()).toEqual(['1,2,3,4', '1,2', '3,4', '3', '4']);
    calls[3]?.fail(bad());
    calls[4]?.answer();
    await clock.settle();
    expect(outcomes).toEqual(
      new Map([
        [3, 'bad input'],
        [4, '4!'],
      ]),
    );
    calls[1]?.answer();
    await clock.settle();
    expect(outcomes.get(1)).toBe('1!');
  });

  it('by a deadline counts in a pause and in a split as well', async () => {
    const { batcher, clock, calls, expectNothingLeft } = setUp({ maxConcurrent: 1, attempts: 9 });
    const late = runInContext({ deadline: 900 }, () => batcher.loadSettled([1, 2, 3]));
    await clock.settle();
    calls[0]?.fail(bad());
    await clock.settle();
    calls[1]?.fail(busy());
    await clock.advance(900);
    for (const outcome of await late) expect(outcome).toMatchObject({ code: 'WP_DEADLINE' });
    for (const { fail } of calls) fail(busy());
    await clock.advance(5_000);
    expect(calls.length).toBeLessThan(5);
    expectNothingLeft();
  });

  it.each([1, 16])(
    'does not teach a cap, whoever takes the culprit along, with %i at a time',
    async (maxConcurrent) => {
      const random = seededRandom(3);
      const sizes: number[] = [];
      const clock = createFakeClock();
      const batcher = createBatcher<{ isBad: boolean }, boolean>(
        async (items) => {
          sizes.push(items.length);
          await new Promise<void>((resolve) => void clock.schedule(20, resolve));
          if (items.some(({ isBad }) => isBad)) throw bad();
          return items.map(() => true);
        },
        { clock, random, maxConcurrent },
      );
      for (let round = 0; round < 200; round++) {
        const loads = Array.from({ length: 32 }, (_, index) => {
          const leaving = new AbortController();
          const isBad = index === round % 32;
          if (isBad) clock.schedule(random() * 200, () => leaving.abort());
          return batcher.loadSettled([{ isBad }], { signal: leaving.signal });
        });
        await clock.advance(1_000);
        await Promise.all(loads);
      }
      sizes.length = 0;
      const all = batcher.loadMany(Array.from({ length: 32 }, () => ({ isBad: false })));
      await clock.advance(500);
      await all;
      expect(sizes).toEqual([32]);
      expect(clock.pending).toBe(0);
    },
  );
});

describe('a call that takes too long', () => {
  it('is aborted, and its items are sent again once it has ended', async () => {
    const { clock, calls, outcomes, load, sent, expectNothingLeft } = setUp({ timeout: 100, maxConcurrent: 1 });
    load(1);
    await clock.advance(99);
    expect(calls[0]?.call.signal.aborted).toBe(false);
    await clock.advance(1);
    expect(calls[0]?.call.signal.reason).toMatchObject({ code: 'WP_DEADLINE', details: { timeoutMs: 100 } });
    calls[0]?.fail(calls[0]?.call.signal.reason);
    await clock.advance(200);
    expect(sent()).toEqual(['1', '1']);
    calls[1]?.answer();
    await clock.settle();
    expect(outcomes.get(1)).toBe('1!');
    expectNothingLeft();
  });

  it('and does not listen keeps its place for five seconds more, and no longer', async () => {
    const { batcher, clock, calls, outcomes, load, sent, expectNothingLeft } = setUp({
      timeout: 100,
      maxConcurrent: 1,
    });
    load(1);
    await clock.advance(5_099);
    expect(sent()).toEqual(['1']);
    expect(batcher.stats().underWay).toBe(1);
    await clock.advance(1);
    expect(sent()).toEqual(['1']);
    expect(calls[1]?.call.attempt).toBe(2);
    calls[1]?.answer();
    await clock.settle();
    expect(outcomes.get(1)).toBe('1!');
    calls[0]?.answer();
    await clock.settle();
    expectNothingLeft();
  });

  it('may settle an item late: that counts, and it is not sent again', async () => {
    const { clock, calls, outcomes, load, sent } = setUp({ timeout: 100 });
    for (const item of [1, 2]) load(item);
    await clock.advance(100);
    calls[0]?.call.settle(0, 'late');
    await clock.advance(200);
    expect(outcomes.get(1)).toBe('late');
    expect(sent()).toEqual(['1,2', '2']);
  });

  it('has no say any more once it has failed', async () => {
    const { clock, calls, outcomes, load, sent } = setUp();
    for (const item of [1, 2]) load(item);
    await clock.settle();
    calls[0]?.fail(busy());
    await clock.settle();
    calls[0]?.call.settle(0, 'late');
    await clock.advance(200);
    expect(sent()).toEqual(['1,2', '1,2']);
    expect(outcomes.size).toBe(0);
  });

  it('is the outcome when no attempt is left', async () => {
    const { clock, calls, outcomes, load, expectNothingLeft } = setUp({ timeout: 100, attempts: 2, name: 'embed' });
    load(1);
    await clock.advance(400);
    expect(outcomes.get(1)).toBe("A call of batcher 'embed' took longer than its timeout of 100 ms.");
    expect(calls).toHaveLength(2);
    await clock.advance(5_000);
    expectNothingLeft();
  });
});

describe('closing', () => {
  /** Each leaves the batcher in the middle of something, with items 1 to 4 unanswered. */
  const middles: Record<string, (held: ReturnType<typeof setUp>) => Promise<void>> = {
    'a split': async ({ clock, calls }) => {
      calls[0]?.fail(bad());
      await clock.settle();
    },
    'a pause': async ({ clock, calls }) => {
      calls[0]?.fail(busy());
      await clock.settle();
    },
    'a repeat': async ({ clock, calls }) => {
      calls[0]?.fail(busy());
      await clock.advance(200);
    },
    'a timeout': async ({ clock }) => {
      await clock.advance(1_000);
    },
    'the first call': async () => {},
  };

  it.each(Object.entries(middles))('in the middle of %s waits for it', async (_, reach) => {
    const held = setUp({ maxConcurrent: 1, timeout: 1_000 });
    const { batcher, clock, calls, outcomes, load, expectNothingLeft } = held;
    for (const item of [1, 2, 3, 4]) load(item);
    await clock.settle();
    await reach(held);
    let isClosed = false;
    const closing = batcher.close().then(() => {
      isClosed = true;
    });
    for (let step = 0; step < 8; step++) {
      await clock.settle();
      for (const { answer } of calls) answer();
      if (outcomes.size < 4) expect(isClosed).toBe(false);
      await clock.advance(200);
    }
    await closing;
    expect(outcomes).toEqual(new Map([1, 2, 3, 4].map((item) => [item, `${item}!`])));
    expectNothingLeft();
  });

  it.each(Object.entries(middles))('in the middle of %s gives up after five seconds', async (_, reach) => {
    const held = setUp({ maxConcurrent: 1, timeout: 60_000 });
    const { batcher, clock, calls, outcomes, load, expectNothingLeft } = held;
    for (const item of [1, 2, 3, 4]) load(item);
    await clock.settle();
    await reach(held);
    const closing = batcher.close();
    await clock.advance(4_999);
    expect(outcomes.size).toBe(0);
    const sent = calls.length;
    await clock.advance(1);
    await closing;
    expect(outcomes).toEqual(new Map([1, 2, 3, 4].map((item) => [item, "Batcher 'batcher' is closed."])));
    expect(calls.at(-1)?.call.signal.reason).toMatchObject({ code: 'WP_CLOSED' });
    for (const { fail } of calls) fail(bad());
    await clock.advance(10_000);
    expect(calls).toHaveLength(sent);
    expectNothingLeft();
  });
});
