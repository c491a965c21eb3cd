import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, expectTypeOf, it, vi } from 'vitest';
import { currentContext, runInContext } from '../kernel/index.js';
import { createFakeClock, type FakeClock } from '../testing/index.js';
import { createExecutor, type ExecutorTask, type RunProgress, type TaskOutcome } from './index.js';

function setup(maxConcurrent = 8) {
  const clock = createFakeClock();
  return { clock, executor: createExecutor({ name: 'x', clock, maxConcurrent }) };
}

/** Gives a value, or fails, after a while; whatever its signal says. */
function after<T>(clock: FakeClock, ms: number, value: T | Error): () => Promise<T> {
  return () =>
    new Promise((resolve, reject) => {
      clock.schedule(ms, () => (value instanceof Error ? reject(value) : resolve(value)));
    });
}

describe('runAll', () => {
  it('gives an outcome for each, in the order of the tasks', async () => {
    const { clock, executor } = setup(2);
    const error = new Error('bad');
    const all = executor.runAll([after(clock, 30, 'slow'), after<string>(clock, 10, error), () => 3]);
    await clock.advance(30);
    const report = await all;
    expectTypeOf(report.values).returns.toEqualTypeOf<[string, string, number]>();
    expect(report).toMatchObject({ endedBy: 'done', isComplete: false, failed: [1], unfinished: [] });
    expect(report.outcomes).toEqual([
      { status: 'fulfilled', value: 'slow', ms: 30 },
      { status: 'rejected', error, ms: 10 },
      { status: 'fulfilled', value: 3, ms: 0 },
    ]);
    expect(() => report.values()).toThrow('1 of 3 tasks have no value. 1: bad');
    expect(clock.pending).toBe(0);
  });

  it('types and names what was named', async () => {
    const { executor } = setup();
    const report = await executor.runAll({ text: async () => 'a', count: () => 1 });
    expectTypeOf(report.values()).toEqualTypeOf<{ text: string; count: number }>();
    expectTypeOf(report.outcomes.text).toEqualTypeOf<TaskOutcome<string>>();
    expectTypeOf(report.unfinished).toEqualTypeOf<readonly ('text' | 'count')[]>();
    expect(report.isComplete).toBe(true);
    expect(report.values()).toEqual({ text: 'a', count: 1 });
    const list = await executor.runAll([() => 'a', async () => 1]);
    expectTypeOf(list.values()).toEqualTypeOf<[string, number]>();
    const many: (() => Promise<number>)[] = [];
    expectTypeOf((await executor.runAll(many)).values()).toEqualTypeOf<number[]>();
    expect(await executor.runAll([])).toMatchObject({ endedBy: 'done', isComplete: true, outcomes: [] });
  });

  it('gives what is ready the moment the deadline strikes, and names what is not', async () => {
    const { clock, executor } = setup(2);
    let signal: AbortSignal | undefined;
    const never: ExecutorTask<never> = (call) => {
      signal = call.signal;
      return new Promise(() => {});
    };
    const later = vi.fn();
    const all = executor.runAll({ ready: after(clock, 10, 1), never, brief: never, later }, { timeout: 50 });
    await clock.advance(50);
    const report = await all;
    expect(report).toMatchObject({ endedBy: 'timeout', unfinished: ['never', 'brief', 'later'], failed: [] });
    expect(report.outcomes).toMatchObject({
      ready: { status: 'fulfilled', value: 1 },
      never: { status: 'timed-out', ms: 50, error: { code: 'WP_DEADLINE' } },
      brief: { status: 'timed-out', ms: 40 },
      later: { status: 'not-started', reason: { code: 'WP_DEADLINE' } },
    });
    expect(signal?.aborted).toBe(true);
    expect(later).not.toHaveBeenCalled();
    expect(() => report.values()).toThrow("3 of 4 tasks have no value. 'never': What was asked of executor 'x' took");
    expect(executor.stats()).toMatchObject({ running: 2, lingering: 2, waiting: 0 });
  });

  it('times each task from its own start', async () => {
    const { clock, executor } = setup(1);
    const all = executor.runAll([after(clock, 15, 1), after(clock, 25, 2), after(clock, 10, 3)], { taskTimeout: 20 });
    await clock.advance(60);
    const { outcomes, endedBy } = await all;
    expect(endedBy).toBe('done');
    expect(outcomes.map((outcome) => [outcome.status, 'ms' in outcome && outcome.ms])).toEqual([
      ['fulfilled', 15],
      ['timed-out', 20],
      ['fulfilled', 10],
    ]);
  });

  it('begins no other in the place of one that runs on after its time', async () => {
    const { clock, executor } = setup(8);
    const next = vi.fn();
    const all = executor.runAll([after(clock, 50, 1), next], { taskTimeout: 10, maxConcurrent: 1 });
    await clock.advance(49);
    expect(next).not.toHaveBeenCalled();
    await clock.advance(1);
    expect(await all).toMatchObject({
      endedBy: 'done',
      outcomes: [{ status: 'timed-out', ms: 10 }, { status: 'fulfilled' }],
    });
  });

  it('ends all with the first failure where that was asked for', async () => {
    const { clock, executor } = setup(2);
    const error = new Error('bad');
    const later = vi.fn();
    const tasks = [after(clock, 20, 'slow'), after(clock, 10, error), later] as const;
    const all = executor.runAll(tasks, { mode: 'fail-fast' });
    await clock.advance(10);
    const report = await all;
    expect(report).toMatchObject({ endedBy: 'failure', failed: [1], unfinished: [0, 2] });
    expect(report.outcomes).toMatchObject([
      { status: 'aborted', ms: 10, reason: { name: 'AbortError', cause: error } },
      { status: 'rejected', error },
      { status: 'not-started', reason: { name: 'AbortError', cause: error } },
    ]);
    expect(() => report.values()).toThrow(error);
    await clock.advance(10);
    expect([later.mock.calls.length, clock.pending]).toEqual([0, 0]);
  });

  it('ends at once when the caller leaves', async () => {
    const { clock, executor } = setup(1);
    const [own, outer] = [new AbortController(), new AbortController()];
    const later = vi.fn();
    const run = () =>
      runInContext({ signal: outer.signal }, () =>
        executor.runAll([after(clock, 10, 1), later], { signal: own.signal, timeout: '1m' }),
      );
    const all = run();
    const reason = new Error('left');
    outer.abort(reason);
    const report = await all;
    expect(report).toMatchObject({ endedBy: 'abort', outcomes: [{ status: 'aborted', reason }, { reason }] });
    expect(() => report.values()).toThrow(reason);
    expect(await run()).toMatchObject({
      endedBy: 'abort',
      unfinished: [0, 1],
      outcomes: [{ status: 'not-started' }, {}],
    });
    expect(later).not.toHaveBeenCalled();
    for (const { signal } of [own, outer]) expect(getEventListeners(signal, 'abort')).toEqual([]);
    await clock.advance(10);
    expect(clock.pending).toBe(0);
  });

  it('is done where the caller leaves, or the time is up, when every value is there', async () => {
    const { executor } = setup();
    const caller = new AbortController();
    const onProgress = ({ done, total }: RunProgress): void => {
      if (done === total) caller.abort();
    };
    const report = await executor.runAll([() => 'a', () => 1], { signal: caller.signal, onProgress });
    expect(report).toMatchObject({ endedBy: 'done', isComplete: true });
    expect(report.values()).toEqual(['a', 1]);
    const none = await executor.runAll([], { timeout: 0, mode: 'fail-fast' });
    expect([none.endedBy, none.isComplete, none.values()]).toEqual(['done', true, []]);
    const failing = [() => 1, () => Promise.reject(new Error('bad'))];
    const last = new AbortController();
    const leaves = ({ failed }: RunProgress): void => {
      if (failed > 0) last.abort();
    };
    const cut = await executor.runAll(failing, { signal: last.signal, onProgress: leaves, mode: 'fail-fast' });
    expect(cut).toMatchObject({ endedBy: 'abort', failed: [1] });
  });

  it('says how far it has come', async () => {
    const { clock, executor } = setup();
    const told: unknown[] = [];
    const onProgress = ({ done, failed, total, task, outcome }: RunProgress): void => {
      told.push([done, failed, total, task, outcome.status]);
    };
    const tasks = { slow: after(clock, 20, 1), quick: after(clock, 10, new Error('bad')), never: after(clock, 99, 1) };
    const all = executor.runAll(tasks, { onProgress, timeout: 50 });
    await clock.advance(50);
    await all;
    expect(told).toEqual([
      [1, 1, 3, 'quick', 'rejected'],
      [2, 1, 3, 'slow', 'fulfilled'],
      [3, 2, 3, 'never', 'timed-out'],
    ]);
  });

  it('ends by its deadline also when the timer is late', async () => {
    const fake = createFakeClock();
    let lateMs = 0;
    const executor = createExecutor({ clock: { ...fake, now: () => fake.now() + lateMs } });
    const first = Promise.withResolvers<number>();
    const caller = new AbortController();
    const next = vi.fn();
    const bounds = { timeout: 10, maxConcurrent: 1 };
    const all = runInContext({ signal: caller.signal }, () => executor.runAll([() => first.promise, next], bounds));
    lateMs = 10;
    first.resolve(1);
    expect(await all).toMatchObject({ endedBy: 'timeout', unfinished: [1], outcomes: [{ value: 1 }, {}] });
    expect(next).not.toHaveBeenCalled();
    expect([getEventListeners(caller.signal, 'abort').length, fake.pending]).toEqual([0, 0]);
  });

  it('lets go of a caller that stays', async () => {
    const { clock, executor } = setup();
    const [own, outer] = [new AbortController(), new AbortController()];
    await runInContext({ signal: outer.signal }, () =>
      executor.runAll([async () => 1], { signal: own.signal, timeout: '1m' }),
    );
    for (const { signal } of [own, outer]) expect(getEventListeners(signal, 'abort')).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('does not keep others waiting behind a long list, nor nest where values come at once', async () => {
    const { clock, executor } = setup(2);
    const order: unknown[] = [];
    const tasks = Array.from({ length: 6 }, (_, index) => async () => {
      order.push(index);
      await after(clock, 10, 1)();
    });
    const all = executor.runAll(tasks);
    const other = executor.run(() => order.push('other'));
    await clock.advance(30);
    await Promise.all([all, other]);
    expect(order.indexOf('other')).toBe(2);
    const many = await executor.runAll(Array.from({ length: 100_000 }, (_, index) => () => index));
    expect(many.values()[99_999]).toBe(99_999);
  });

  it('runs in the context of the caller, each task with its own signal there', async () => {
    const { executor } = setup(1);
    const other = runInContext({ tenant: 'other' }, () => executor.run(async () => {}));
    const look = () => [currentContext()?.tenant, currentContext()?.signal !== undefined] as const;
    const report = await runInContext({ tenant: 't' }, () => executor.runAll([look, async () => look(), look]));
    await other;
    expect(report.values()).toEqual(Array.from({ length: 3 }, () => ['t', true]));
  });

  it('reports what the executor refuses as not started', async () => {
    const { executor } = setup();
    await executor.close();
    expect((await executor.runAll(Array.from({ length: 100 }, () => () => 1))).unfinished).toHaveLength(100);
    const report = await executor.runAll({ a: () => 1 });
    expect(report).toMatchObject({
      endedBy: 'done',
      outcomes: { a: { status: 'not-started', reason: { code: 'WP_CLOSED' } } },
    });
  });

  it('refuses what are no tasks', async () => {
    const { executor } = setup();
    const runAll = (...given: unknown[]): Promise<unknown> => Reflect.apply(executor.runAll, executor, given);
    const task = (): number => 1;
    for (const none of [1, undefined, new Map([['a', task]]), new Set([task]), Promise.resolve([task])])
      await expect(runAll(none)).rejects.toThrow("runAll(): option 'tasks' must be a list of functions, or an object");
    await expect(runAll([task, 1])).rejects.toThrow("runAll(): option 'tasks.1' must be a function, got 1 (number)");
    await expect(runAll(Object.assign([], { 1: task }))).rejects.toThrow(
      "option 'tasks.0' must be a function, got undefined",
    );
    await expect(runAll({ a: Promise.resolve(1) })).rejects.toThrow("'tasks.a' must be a function, got {} (Promise)");
    await expect(runAll([], { mode: 'race' })).rejects.toThrow("option 'mode' must be one of 'collect', 'fail-fast'");
  });

  it('never runs more than it may, and has one outcome for each task, whatever they do', async () => {
    const task = fc.record({ ms: fc.nat(40), fails: fc.boolean() });
    const options = fc.record({
      maxConcurrent: fc.integer({ min: 1, max: 6 }),
      timeout: fc.option(fc.integer({ min: 1, max: 80 }), { nil: undefined }),
      mode: fc.constantFrom('collect' as const, 'fail-fast' as const),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(task, { maxLength: 20 }), options, async (shapes, { timeout, ...rest }) => {
        const { clock, executor } = setup(4);
        let running = 0;
        const tasks = shapes.map(({ ms, fails }, index) => async () => {
          expect(++running).toBeLessThanOrEqual(Math.min(4, rest.maxConcurrent));
          await after(clock, ms + (index + 1) / 64, 0)();
          running--;
          if (fails) throw new Error('bad');
          return index;
        });
        const bounds = timeout === undefined ? rest : { ...rest, timeout };
        const told = vi.fn();
        const all = executor.runAll(tasks, { ...bounds, onProgress: told });
        await clock.advance(timeout ?? 2_000);
        const { outcomes, endedBy, isComplete, failed, unfinished } = await all;
        expect(told).toHaveBeenCalledTimes(shapes.length);
        expect(outcomes).toHaveLength(shapes.length);
        expect(isComplete).toBe(failed.length + unfinished.length === 0);
        const values = outcomes.filter((outcome) => outcome.status === 'fulfilled');
        expect(values.length + failed.length + unfinished.length).toBe(shapes.length);
        if (endedBy === 'done') expect(unfinished).toEqual([]);
        await clock.advance(2_000);
        expect([clock.pending, running, executor.stats().running]).toEqual([0, 0, 0]);
      }),
      { numRuns: 200 },
    );
  });
});
