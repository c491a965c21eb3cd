import { AsyncLocalStorage } from 'node:async_hooks';
import { getEventListeners } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import { currentContext, runInContext } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import { createExecutor, type ExecutorEvent, type ExecutorOptions, type ExecutorTask } from './index.js';

function setup(options: ExecutorOptions = {}) {
  const clock = createFakeClock();
  const events: ExecutorEvent[] = [];
  const onEvent = (event: ExecutorEvent): unknown => events.push(event);
  return { clock, events, executor: createExecutor({ name: 'x', clock, maxConcurrent: 1, onEvent, ...options }) };
}

/** Runs until it is told to end. */
function held<T>() {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  return { task: vi.fn<ExecutorTask<T>>(() => promise), resolve, reject };
}

describe('a task', () => {
  it('begins within the call when a place is free, and gives its value or its error', async () => {
    const { executor } = setup();
    const began = vi.fn(() => 1);
    const value = executor.run(began);
    expect(began).toHaveBeenCalledOnce();
    expect(await value).toBe(1);
    expect(await executor.run(async () => 'later')).toBe('later');
    // biome-ignore lint/suspicious/noThenProperty: it is what is tested
    const thenable: PromiseLike<string> = { then: (resolve) => Promise.resolve('foreign').then(resolve) };
    expect(await executor.run(() => thenable)).toBe('foreign');
    const error = new Error('own');
    await expect(executor.run(() => Promise.reject(error))).rejects.toBe(error);
    const throws = (): never => {
      throw error;
    };
    await expect(executor.run(throws)).rejects.toBe(error);
    const hostile = Object.defineProperty({}, 'then', { get: throws });
    await expect(executor.run(() => hostile)).rejects.toBe(error);
    expect(executor.stats()).toMatchObject({ done: 3, failed: 3, running: 0 });
  });

  it('waits for a place behind what is more urgent, and rises by waiting', async () => {
    const { executor, clock } = setup({ aging: 10 });
    const first = held<void>();
    const began: string[] = [];
    void executor.run(first.task);
    const add = (name: string, priority: number) => executor.run(() => void began.push(name), { priority });
    const all = [add('patient', 9)];
    await clock.advance(45);
    all.push(add('late', 5), add('urgent', 0));
    first.resolve();
    await Promise.all(all);
    expect(began).toEqual(['urgent', 'patient', 'late']);
  });

  it('takes turns with those of other tenants, by their weights', async () => {
    const { executor } = setup();
    const first = held<void>();
    const began: string[] = [];
    const add = (tenant: string, weight: number) =>
      runInContext({ tenant }, () => executor.run(() => void began.push(tenant), { weight }));
    const all = [executor.run(first.task)];
    for (let count = 0; count < 6; count++) all.push(add('a', 1));
    for (let count = 0; count < 4; count++) all.push(add('b', 2));
    first.resolve();
    await Promise.all(all);
    expect(began.join('')).toBe('ababbabaaa');
  });

  it('runs in the context of whoever asked for it, however long it has waited', async () => {
    const { executor } = setup();
    const storage = new AsyncLocalStorage<string>();
    const first = held<void>();
    const seen: unknown[] = [];
    const look = (): unknown => seen.push([storage.getStore(), currentContext()?.tenant]);
    const all = [storage.run('first', () => executor.run(first.task))];
    for (const name of ['a', 'b'])
      all.push(storage.run(name, () => runInContext({ tenant: name }, () => executor.run(async () => void look()))));
    first.resolve();
    await Promise.all(all);
    expect(seen).toEqual([
      ['a', 'a'],
      ['b', 'b'],
    ]);
  });

  it('has a signal and a deadline of its own, which its call context has as well', async () => {
    const { executor, clock } = setup();
    const caller = new AbortController();
    await runInContext({ deadline: 500, signal: caller.signal }, () =>
      executor.run(
        ({ signal }) => {
          expect(currentContext()?.deadline).toBe(300);
          expect(currentContext()?.signal?.aborted).toBe(false);
          expect(signal).not.toBe(caller.signal);
        },
        { timeout: 400, taskTimeout: 300 },
      ),
    );
    expect([clock.pending, getEventListeners(caller.signal, 'abort').length]).toEqual([0, 0]);
  });

  it('keeps its place until what it returned has settled, also where that is a function with a then', async () => {
    const { clock, executor } = setup({ maxConcurrent: 1 });
    const later: PromiseLike<number> = new Promise((resolve) => void clock.schedule(10, () => resolve(1)));
    // biome-ignore lint/suspicious/noThenProperty: a thenable is what this is about
    const value = executor.run(() => Object.assign(() => {}, { then: later.then.bind(later) }));
    expect(executor.stats().running).toBe(1);
    await clock.advance(10);
    expect([await value, executor.stats().running]).toEqual([1, 0]);
  });

  it('that runs out of time is told by its signal and keeps its place until it has ended', async () => {
    const { executor, clock, events } = setup();
    const { promise, resolve } = Promise.withResolvers<void>();
    let seen: unknown;
    const late = executor.run(
      ({ signal }) => {
        signal.addEventListener('abort', () => {
          seen = signal.reason;
        });
        return promise;
      },
      { taskTimeout: 20 },
    );
    const next = vi.fn();
    const after = executor.run(next);
    const told = expect(late).rejects.toMatchObject({ code: 'WP_DEADLINE', details: { timeoutMs: 20 } });
    await clock.advance(20);
    await told;
    expect(seen).toMatchObject({ code: 'WP_DEADLINE' });
    expect(executor.stats()).toMatchObject({ running: 1, lingering: 1, waiting: 1, failed: 1 });
    expect(next).not.toHaveBeenCalled();
    resolve();
    await after;
    expect(executor.stats()).toMatchObject({ running: 0, lingering: 0, done: 1 });
    expect(events.map((event) => event.type === 'task.done' && [event.outcome, event.ms, event.waitedMs])).toEqual([
      ['timed-out', 20, 0],
      ['fulfilled', 0, 20],
    ]);
  });

  it('sees that it was given up, also when it looks at its signal only afterwards', async () => {
    const { executor } = setup();
    const caller = new AbortController();
    const gone = held<void>();
    let seen: AbortSignal | undefined;
    const left = runInContext({ signal: caller.signal }, () =>
      executor.run(async (call) => {
        await gone.task(call);
        seen = call.signal;
      }),
    );
    const reason = new Error('left');
    caller.abort(reason);
    await expect(left).rejects.toBe(reason);
    gone.resolve();
    await executor.onIdle();
    expect(seen?.reason).toBe(reason);
  });

  it('leaves the queue at its deadline or with its caller, who is told why', async () => {
    const { executor, clock } = setup();
    const first = held<void>();
    const running = executor.run(first.task);
    const caller = new AbortController();
    const never = vi.fn();
    const late = expect(executor.run(never, { timeout: 10 })).rejects.toMatchObject({ code: 'WP_DEADLINE' });
    const reason = new Error('left');
    const left = expect(executor.run(never, { signal: caller.signal })).rejects.toBe(reason);
    caller.abort(reason);
    await left;
    await clock.advance(10);
    await late;
    first.resolve();
    await running;
    expect(never).not.toHaveBeenCalled();
    expect(executor.stats()).toMatchObject({ failed: 1, aborted: 1, done: 1, waiting: 0 });
    await expect(executor.run(never, { signal: caller.signal })).rejects.toBe(reason);
    await expect(executor.run(never, { timeout: 0 })).rejects.toMatchObject({ code: 'WP_DEADLINE' });
  });

  it('does not begin after its deadline, also when the timer is late', async () => {
    const fake = createFakeClock();
    let lateMs = 0;
    const executor = createExecutor({ clock: { ...fake, now: () => fake.now() + lateMs }, maxConcurrent: 1 });
    const never = vi.fn();
    const first = held<void>();
    const running = executor.run(first.task);
    const late = expect(executor.run(never, { timeout: 10 })).rejects.toMatchObject({ code: 'WP_DEADLINE' });
    lateMs = 10;
    first.resolve();
    await running;
    await late;
    expect(never).not.toHaveBeenCalled();
    expect(fake.pending).toBe(0);
  });

  it('is told once where one abort sets off another', async () => {
    const { executor } = setup({ maxConcurrent: 2 });
    const [one, two] = [new AbortController(), new AbortController()];
    const never = ({ signal }: { signal: AbortSignal }) => {
      signal.addEventListener('abort', () => two.abort(new Error('second')));
      return new Promise<void>(() => {});
    };
    const run = () =>
      runInContext({ signal: two.signal }, () => executor.run(never, { signal: one.signal }).catch((error) => error));
    const both = Promise.all([run(), run()]);
    one.abort(new Error('first'));
    expect((await both).map(({ message }) => message)).toEqual(['first', 'second']);
    expect(executor.stats()).toMatchObject({ aborted: 2, lingering: 2 });
  });

  it('is refused with numbers when too many wait', async () => {
    const { executor, events } = setup({ maxWaiting: 1 });
    const first = held<void>();
    const all = [executor.run(first.task), executor.run(() => {})];
    await expect(executor.run(() => {})).rejects.toMatchObject({
      code: 'WP_OVERLOADED',
      message: "Executor 'x' takes no task: 1 run, and as many wait as may, 1.",
      details: { executor: 'x', running: 1, waiting: 1, maxWaiting: 1 },
    });
    expect(events).toEqual([{ type: 'task.refused', executor: 'x', reason: 'overloaded', running: 1, waiting: 1 }]);
    first.resolve();
    await Promise.all(all);
  });

  it('may ask for others, and a hundred thousand that give their values at once do not nest', async () => {
    const { executor } = setup({ maxConcurrent: 2 });
    expect(await executor.run(() => executor.run(() => 'inner'))).toBe('inner');
    const first = [held<void>(), held<void>()];
    const all: Promise<unknown>[] = first.map(({ task }) => executor.run(task));
    for (let count = 0; count < 100_000; count++) all.push(executor.run(() => {}));
    for (const { resolve } of first) resolve();
    await Promise.all(all);
    expect(executor.stats().done).toBe(100_004);
  });
});

describe('an executor', () => {
  it('says when it is idle', async () => {
    const { executor } = setup();
    await executor.onIdle();
    const first = held<void>();
    const idle = vi.fn();
    const all = [executor.run(first.task), executor.run(() => {})];
    const waiting = executor.onIdle().then(idle);
    await Promise.resolve();
    expect(idle).not.toHaveBeenCalled();
    first.resolve();
    await Promise.all(all);
    await waiting;
    expect(executor.stats()).toMatchObject({ running: 0, waiting: 0, done: 2 });
  });

  it('knows how long tasks have waited', async () => {
    const { executor, clock } = setup();
    expect(executor.stats().waitedMsP50).toBe(0);
    for (let round = 0; round < 3; round++) {
      const first = held<void>();
      const all = [executor.run(first.task), executor.run(() => {}), executor.run(() => {})];
      await clock.advance(10 * (round + 1));
      first.resolve();
      await Promise.all(all);
    }
    expect(executor.stats().waitedMsP50).toBe(10);
  });

  it.each([
    [{ maxConcurrent: 0 }, "option 'maxConcurrent' must be a whole number from 1 up, got 0"],
    [{ taskTimeout: 0 }, "option 'taskTimeout' must be a duration above 0"],
    [{ concurrency: 3 }, "there is no option 'concurrency'"],
  ] as [ExecutorOptions, string][])('refuses %o', (options, message) => {
    expect(() => createExecutor(options)).toThrow(`createExecutor(): ${message}`);
  });

  it('refuses bad tasks and options', async () => {
    const { executor } = setup();
    const run = (...given: unknown[]): Promise<unknown> => Reflect.apply(executor.run, executor, given);
    await expect(run('task')).rejects.toThrow("run(): option 'task' must be a function, got 'task' (string).");
    await expect(run(() => {}, { priority: 10 })).rejects.toThrow(
      "option 'priority' must be a whole number from 0 to 9",
    );
    await expect(run(() => {}, { weight: 0 })).rejects.toThrow("option 'weight' must be a number above 0");
    await expect(run(() => {}, { signal: {} })).rejects.toThrow("option 'signal' must be an AbortSignal");
  });
});
