import { Readable } from 'node:stream';
import { describe, expect, it, vi } from 'vitest';
import { wait } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import { createExecutor, type ExecutorOptions, type ItemOutcome } from './index.js';

function setup(options: ExecutorOptions = {}) {
  const clock = createFakeClock();
  return { clock, executor: createExecutor({ name: 'x', clock, maxConcurrent: 2, ...options }) };
}

/** Reads all, and says what it ended with. */
async function read<Item, T>(outcomes: AsyncIterable<ItemOutcome<Item, T>>) {
  const statuses: string[] = [];
  try {
    for await (const { outcome } of outcomes) statuses.push(outcome.status);
    return { statuses, error: undefined };
  } catch (error) {
    return { statuses, error };
  }
}

function* endless(): Generator<number> {
  for (let item = 0; ; item++) yield item;
}

describe('an iteration over a source', () => {
  it('that is a text goes by its letters', async () => {
    const { executor } = setup();
    const letters: string[] = [];
    for await (const { item } of executor.iterate('abc', () => {})) letters.push(item);
    expect(letters).toEqual(['a', 'b', 'c']);
  });

  it('whose results are none ends with that error, and costs nobody else a place', async () => {
    const { clock, executor } = setup({ maxConcurrent: 1 });
    let asked = 0;
    const next = (): IteratorResult<number> => (asked++ === 0 ? { value: 1 } : (undefined as never));
    const all = read(executor.iterate({ [Symbol.iterator]: () => ({ next }) }, () => wait(clock, 10)));
    await clock.settle();
    const other = executor.run(() => 'other');
    await clock.advance(10);
    expect(await all).toEqual({ statuses: ['fulfilled'], error: expect.any(TypeError) });
    expect(await other).toBe('other');
    expect(executor.stats()).toMatchObject({ running: 0, waiting: 0 });
  });

  it('that throws or hangs when it is told keeps back no deadline', async () => {
    const { clock, executor } = setup();
    const throws = (): never => {
      throw new Error('return');
    };
    const hangs = (): Promise<never> => new Promise(() => {});
    for (const returned of [throws, hangs].map((each) => vi.fn(each))) {
      const source = { [Symbol.asyncIterator]: () => ({ next: async () => ({ value: 1 }), return: returned }) };
      const all = read(executor.iterate(source, (_, { signal }) => wait(clock, 99, signal), { timeout: 10 }));
      await clock.advance(10);
      expect(await all).toEqual({
        statuses: ['timed-out', 'timed-out'],
        error: expect.objectContaining({ code: 'WP_DEADLINE' }),
      });
      expect(returned).toHaveBeenCalledOnce();
    }
  });

  it.each(['is left', 'fails at its deadline'])(
    'that is a stream without a chunk closes it when it %s',
    async (how) => {
      const { clock, executor } = setup();
      const stream = new Readable({ objectMode: true, read() {} });
      stream.push('only');
      const timeout = how === 'is left' ? {} : { timeout: 10 };
      const work = async (): Promise<void> => {
        for await (const { item } of executor.iterate(stream, () => {}, timeout)) {
          expect(item).toBe('only');
          await clock.settle();
          if (how === 'is left') break;
        }
      };
      const all = work().catch((error: unknown) => error);
      await clock.advance(10);
      await all;
      expect(stream.destroyed).toBe(true);
    },
  );
});

describe('an iteration', () => {
  it.each([{ maxWaiting: 0 }, { maxWaiting: 1 }])(
    'takes one item from an endless source where %o wait',
    async (options) => {
      const { clock, executor } = setup({ maxConcurrent: 1, ...options });
      const others = Array.from({ length: 1 + options.maxWaiting }, () => executor.run(() => wait(clock, 10)));
      const source = endless();
      const { statuses, error } = await read(executor.iterate(source, () => {}));
      expect(statuses).toEqual(['not-started']);
      expect(error).toMatchObject({ code: 'WP_OVERLOADED' });
      expect(source.next()).toEqual({ done: true, value: undefined });
      await clock.advance(20);
      await Promise.all(others);
    },
  );

  it('lets what runs come to its end when its executor closes', async () => {
    const { clock, executor } = setup();
    const all = read(executor.iterate(endless(), (item) => wait(clock, 10 * item + 10)));
    await clock.settle();
    const closed = executor.close();
    await clock.advance(20);
    await closed;
    expect(await all).toEqual({
      statuses: ['fulfilled', 'fulfilled', 'not-started'],
      error: expect.objectContaining({ code: 'WP_CLOSED' }),
    });
    expect(clock.pending).toBe(0);
  });

  it.each(['works', 'waits for its source'])('that %s ends when its reader leaves in the middle', async (how) => {
    const { clock, executor } = setup();
    const signals: AbortSignal[] = [];
    const silent = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) };
    const source: AsyncIterable<number> | Iterable<number> = how === 'works' ? [1, 2, 3] : silent;
    const work = (_: number, { signal }: { signal: AbortSignal }): Promise<void> => {
      signals.push(signal);
      return wait(clock, 1e6, signal);
    };
    const stream = Readable.from(executor.iterate(source, work));
    stream.resume();
    await clock.settle();
    stream.destroy();
    await clock.settle();
    expect(stream.closed).toBe(true);
    expect(signals.map(({ aborted }) => aborted)).toEqual(how === 'works' ? [true, true] : []);
    expect([clock.pending, executor.stats().running]).toEqual([0, 0]);
  });

  it('gives out two hundred thousand that wait for the first of them', async () => {
    const { executor } = setup();
    const first = Promise.withResolvers<void>();
    const count = 200_000;
    let done = 0;
    const source = Array.from({ length: count }, (_, index) => index);
    const work = (item: number): Promise<void> | undefined => {
      if (++done === count) first.resolve();
      return item === 0 ? first.promise : undefined;
    };
    let next = 0;
    for await (const { index } of executor.iterate(source, work, { window: count })) if (index === next) next++;
    expect(next).toBe(count);
  }, 8_000);
});
