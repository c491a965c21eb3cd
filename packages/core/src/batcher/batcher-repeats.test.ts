import { describe, expect, it } from 'vitest';
import { type CallContext, runInContext, seededRandom } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import { type BatchCall, type BatcherOptions, createBatcher } from './index.js';

interface Sent {
  readonly items: readonly number[];
  readonly attempt: number;
  readonly at: number;
}

const seed = 7;

const busy = (more: object = {}): Error => Object.assign(new Error('busy'), { status: 503, ...more });

/** Each call in turn fails with what is given for it, if anything; the last of them counts for all that follow. */
function setUp(
  troubles: readonly ((call: BatchCall<string>, items: readonly number[]) => unknown)[],
  options: BatcherOptions<number> = {},
) {
  const clock = createFakeClock();
  const sent: Sent[] = [];
  const batcher = createBatcher<number, string>(
    (items, call) => {
      const trouble = troubles[Math.min(sent.length, troubles.length - 1)];
      sent.push({ items, attempt: call.attempt, at: clock.now() });
      const error = trouble?.(call, items);
      if (error !== undefined) throw error;
      return items.map((item) => `${item}!`);
    },
    { clock, random: seededRandom(seed), ...options },
  );
  return { clock, sent, batcher };
}

const fine = (): undefined => undefined;

/** Full jitter: what is drawn from the seeded source, of 200 ms, 400 ms, 800 ms, ... */
function drawnPauses(count: number): number[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, (_, index) => random() * Math.min(10_000, 200 * 2 ** index));
}

describe('an error that may pass', () => {
  it.each([
    ['a status', busy()],
    ['too many requests', Object.assign(new Error('slow down'), { statusCode: 429 })],
    ['the network', new TypeError('fetch failed', { cause: Object.assign(new Error('x'), { code: 'ECONNRESET' }) })],
  ])('has all items sent again after a pause, in one call: %s', async (_, error) => {
    const { batcher, clock, sent } = setUp([() => error, fine]);
    const loads = batcher.loadMany([1, 2, 3]);
    await clock.advance(200);
    expect(await loads).toEqual(['1!', '2!', '3!']);
    expect(sent.map(({ items, attempt }) => [items, attempt])).toEqual([
      [[1, 2, 3], 1],
      [[1, 2, 3], 2],
    ]);
    expect(batcher.stats()).toMatchObject({ batches: 2, items: 6, repeats: 1, splits: 0 });
    expect(clock.pending).toBe(0);
  });

  it('has only those sent again that have no answer yet', async () => {
    const { batcher, clock, sent } = setUp([
      ({ settle }) => {
        settle(0, 'early');
        settle(2, new Error('bad'));
        return busy();
      },
      fine,
    ]);
    const loads = batcher.loadSettled([1, 2, 3, 4]);
    await clock.advance(200);
    expect(await loads).toEqual(['early', '2!', new Error('bad'), '4!']);
    expect(sent.map(({ items }) => items)).toEqual([
      [1, 2, 3, 4],
      [2, 4],
    ]);
  });

  it.each([1, 2, 3, 5])('is the outcome after %i attempts, which are all that there may be', async (attempts) => {
    const errors: Error[] = [];
    const { batcher, clock, sent } = setUp(
      [
        () => {
          errors.push(busy());
          return errors.at(-1);
        },
      ],
      { attempts },
    );
    const load = batcher.loadSettled([1, 2]);
    await clock.advance(60_000);
    expect(sent.map(({ attempt }) => attempt)).toEqual(Array.from({ length: attempts }, (_, index) => index + 1));
    for (const outcome of await load) expect(outcome).toBe(errors.at(-1));
    expect(clock.pending).toBe(0);
  });

  it('is waited out with full jitter, twice as long each time', async () => {
    const { batcher, clock, sent } = setUp([() => busy()], { attempts: 5 });
    const load = batcher.loadSettled([1]);
    await clock.advance(60_000);
    await load;
    let at = 0;
    const instants = [0, ...drawnPauses(4).map((pauseMs) => (at += pauseMs))];
    for (const [index, instant] of instants.entries()) expect(sent[index]?.at).toBeCloseTo(instant, 6);
  });

  it('is waited out as long as the server asks, and a little more', async () => {
    const { batcher, clock, sent } = setUp([() => busy({ retryAfterMs: 3_000 }), fine]);
    const load = batcher.load(1);
    await clock.advance(2_999);
    expect(sent).toHaveLength(1);
    await clock.advance(201);
    expect(await load).toBe('1!');
    expect(sent[1]?.at).toBeCloseTo(3_000 + (drawnPauses(1)[0] ?? 0), 6);
  });

  it('is the outcome at once where the server asks for more than 10 s', async () => {
    const { batcher, clock, sent } = setUp([() => busy({ retryAfterMs: 10_001 }), fine]);
    const load = batcher.loadSettled([1]);
    await clock.settle();
    expect(await load).toMatchObject([{ status: 503 }]);
    expect(sent).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });

  it('is the outcome at once for those whose time is over by then', async () => {
    const { batcher, clock, sent } = setUp([() => busy({ retryAfterMs: 3_000 }), fine]);
    const hurried = runInContext({ deadline: 2_000 }, () => batcher.loadSettled([1]));
    const patient = runInContext({ deadline: 20_000 }, () => batcher.loadSettled([2]));
    await clock.settle();
    expect(await hurried).toMatchObject([{ status: 503 }]);
    await clock.advance(3_200);
    expect(await patient).toEqual(['2!']);
    expect(sent.map(({ items }) => items)).toEqual([[1, 2], [2]]);
    expect(clock.pending).toBe(0);
  });

  it('in a part of a split has that part sent again', async () => {
    let failures = 0;
    const { batcher, clock, sent } = setUp([
      (_, items) => {
        if (items.includes(3)) return Object.assign(new Error('bad'), { status: 400 });
        return items.length === 2 && failures++ === 0 ? busy() : undefined;
      },
    ]);
    const loads = batcher.loadSettled([1, 2, 3, 4]);
    await clock.advance(1_000);
    expect(await loads).toMatchObject(['1!', '2!', { message: 'bad' }, '4!']);
    expect(sent.map(({ items, attempt }) => [items, attempt])).toEqual([
      [[1, 2, 3, 4], 1],
      [[1, 2], 1],
      [[3, 4], 1],
      [[3], 1],
      [[4], 1],
      [[1, 2], 2],
    ]);
  });

  it('that turns into one of the composition is split then', async () => {
    const bad = (items: readonly number[]): unknown =>
      items.includes(2) ? Object.assign(new Error('bad'), { status: 400 }) : undefined;
    const { batcher, clock } = setUp([() => busy(), (_, items) => bad(items)]);
    const loads = batcher.loadSettled([1, 2, 3]);
    await clock.advance(1_000);
    expect(await loads).toMatchObject(['1!', { message: 'bad' }, '3!']);
  });

  it('holds nobody else up: others go while it is waited out, even through the only place', async () => {
    const { batcher, clock, sent } = setUp([() => busy({ retryAfterMs: 5_000 }), fine], { maxConcurrent: 1 });
    const first = batcher.load(1);
    await clock.settle();
    const second = batcher.load(2);
    await clock.advance(100);
    expect(await second).toBe('2!');
    await clock.advance(6_000);
    expect(await first).toBe('1!');
    expect(sent.map(({ items }) => items)).toEqual([[1], [2], [1]]);
  });
});

describe('a caller inside a layer that tries again', () => {
  const inRetry: Partial<CallContext> = { running: { kind: 'first', waitedMs: 0, isRetried: true, claimed: false } };

  it('has the error at once: attempts are not multiplied', async () => {
    const { batcher, clock, sent } = setUp([() => busy()], { attempts: 5 });
    const load = runInContext(inRetry, () => batcher.loadSettled([1, 2]));
    await clock.settle();
    expect(await load).toMatchObject([{ status: 503 }, { status: 503 }]);
    expect(sent).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });

  it('does not keep others from theirs', async () => {
    const { batcher, clock, sent } = setUp([() => busy(), fine]);
    const retried = runInContext(inRetry, () => batcher.loadSettled([1, 2]));
    const others = batcher.loadSettled([3, 4]);
    await clock.settle();
    expect(await retried).toMatchObject([{ status: 503 }, { status: 503 }]);
    await clock.advance(200);
    expect(await others).toEqual(['3!', '4!']);
    expect(sent.map(({ items }) => items)).toEqual([
      [1, 2, 3, 4],
      [3, 4],
    ]);
  });

  it('has the answer of the repeat where somebody else wishes for the same', async () => {
    const { batcher, clock, sent } = setUp([() => busy(), fine]);
    const retried = runInContext(inRetry, () => batcher.load(1));
    const other = batcher.load(1);
    await clock.advance(200);
    expect(await Promise.all([retried, other])).toEqual(['1!', '1!']);
    expect(sent.map(({ items }) => items)).toEqual([[1], [1]]);
  });

  it('has its items split all the same: that is no attempt at the same again', async () => {
    const { batcher, clock } = setUp([
      (_, items) => (items.includes(2) ? Object.assign(new Error('bad'), { status: 400 }) : undefined),
    ]);
    const loads = runInContext(inRetry, () => batcher.loadSettled([1, 2, 3]));
    await clock.settle();
    expect(await loads).toMatchObject(['1!', { message: 'bad' }, '3!']);
  });
});

describe('a 500, which may be an item’s fault, when trying again has not helped', () => {
  const broken = (): Error => Object.assign(new Error('internal error'), { status: 500 });
  const poisonous = (_: unknown, items: readonly number[]) => (items.includes(5) ? broken() : undefined);
  const items = Array.from({ length: 16 }, (_, item) => item);
  const answers = items.map((item) => (item === 5 ? broken() : `${item}!`));

  it('is looked into: the culprit fails alone', async () => {
    const { batcher, clock, sent } = setUp([poisonous]);
    const loads = batcher.loadSettled(items);
    await clock.advance(200);
    expect(await loads).toEqual(answers);
    expect(sent.length).toBeLessThanOrEqual(2 + 2 * 4);
    expect(clock.pending).toBe(0);
  });

  it('costs four calls more in an outage, each of which fails once', async () => {
    const { batcher, clock, sent } = setUp([broken]);
    const loads = batcher.loadSettled(items);
    await clock.advance(200);
    expect(await loads).toEqual(items.map(broken));
    expect(sent.map((call) => call.items.length)).toEqual([16, 16, 8, 8, 1, 1]);
  });

  it('is looked into at once where others try again', async () => {
    const { batcher, clock, sent } = setUp([poisonous]);
    const loads = runInContext({ running: { kind: 'first', waitedMs: 0, isRetried: true, claimed: true } }, () =>
      batcher.loadSettled(items),
    );
    await clock.settle();
    expect(await loads).toEqual(answers);
    expect(sent.every(({ attempt }) => attempt === 1)).toBe(true);
  });
});
