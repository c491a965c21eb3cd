import { describe, expect, expectTypeOf, it, vi } from 'vitest';
import { createLedger, currentContext, isRetryable, nonRetryable, runInContext } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import { createExecutor, type ExecutorOptions } from './index.js';

function setup(options: ExecutorOptions = {}) {
  const clock = createFakeClock();
  return { clock, executor: createExecutor({ name: 'x', clock, maxConcurrent: 1, ...options }) };
}

const bad = new Error('bad');
const fails = (): Promise<never> => Promise.reject(bad);
const never = (): Promise<never> => new Promise(() => {});

describe('runWithFallback', () => {
  it('stays with the first that works', async () => {
    const { executor } = setup();
    const spare = vi.fn(() => 1);
    const result = await executor.runWithFallback({ name: 'model', run: async () => 'a' }, spare);
    expectTypeOf(result.value).toEqualTypeOf<string | number>();
    expect(result).toEqual({ value: 'a', step: 'model', failures: [] });
    expect(spare).not.toHaveBeenCalled();
  });

  it('goes on step by step, each with its own time from its start, and says what failed', async () => {
    const { clock, executor } = setup({ maxConcurrent: 2, taskTimeout: 30 });
    let reason: unknown;
    const slow = {
      name: 'slow',
      timeout: 20,
      run: ({ signal }: { signal: AbortSignal }) => {
        signal.addEventListener('abort', () => {
          reason = signal.reason;
        });
        return never();
      },
    };
    const all = executor.runWithFallback(slow, fails, () => clock.now());
    await clock.advance(20);
    expect(await all).toEqual({
      value: 20,
      step: 'fallback-2',
      failures: [
        { step: 'slow', error: expect.objectContaining({ code: 'WP_DEADLINE', details: { timeoutMs: 20 } }) },
        { step: 'fails', error: bad },
      ],
    });
    expect(reason).toMatchObject({ code: 'WP_DEADLINE' });
    expect(clock.pending).toBe(0);
  });

  it('names every step and its reason when all have failed', async () => {
    const { executor } = setup();
    const final = nonRetryable(new Error('final'));
    const throws = (): never => {
      throw final;
    };
    const error = await executor.runWithFallback(fails, { name: 'b', run: throws }).catch((each: unknown) => each);
    expect(error).toBeInstanceOf(AggregateError);
    expect(error).toMatchObject({
      message: "2 of 2 steps of executor 'x' were tried, and failed. 'fails': bad; 'b': final",
      errors: [
        { message: "'fails': bad", cause: bad },
        { message: "'b': final", cause: final },
      ],
    });
    expect(isRetryable(error)).toBe(true);
    expect(isRetryable(await executor.runWithFallback(throws).catch((each: unknown) => each))).toBe(false);
  });

  it('ends with the caller, with its reason, and begins nothing after that', async () => {
    const { executor } = setup();
    const caller = new AbortController();
    const spare = vi.fn();
    const reason = new Error('left');
    const run = () => runInContext({ signal: caller.signal }, () => executor.runWithFallback(never, spare));
    const running = expect(run()).rejects.toBe(reason);
    caller.abort(reason);
    await running;
    await expect(run()).rejects.toBe(reason);
    expect(spare).not.toHaveBeenCalled();
  });

  it('ends with the caller also where the step fails because of that', async () => {
    const { executor } = setup();
    const caller = new AbortController();
    const reason = new Error('left');
    const leaves = async (): Promise<never> => {
      // After the step has failed, and before that is heard of.
      queueMicrotask(() => queueMicrotask(() => caller.abort(reason)));
      throw bad;
    };
    const all = runInContext({ signal: caller.signal }, () => executor.runWithFallback(leaves));
    await expect(all).rejects.toBe(reason);
  });

  it("ends at the call's deadline, and where the executor takes no task", async () => {
    const { clock, executor } = setup({ maxWaiting: 0 });
    const spare = vi.fn();
    const late = runInContext({ deadline: 10 }, () => executor.runWithFallback(never));
    const told = expect(late).rejects.toMatchObject({ code: 'WP_DEADLINE' });
    await clock.advance(10);
    await told;
    await expect(executor.runWithFallback(spare, spare)).rejects.toMatchObject({ code: 'WP_OVERLOADED' });
    void executor.close();
    await expect(executor.runWithFallback(spare, spare)).rejects.toMatchObject({ code: 'WP_CLOSED' });
    expect(spare).not.toHaveBeenCalled();
  });

  it('ends by the deadline of the call also where a step fails after it, and the timer is late', async () => {
    const fake = createFakeClock();
    let lateMs = 0;
    const executor = createExecutor({ name: 'x', clock: { ...fake, now: () => fake.now() + lateMs } });
    const spare = vi.fn();
    const failsLate = (): never => {
      lateMs = 20;
      throw bad;
    };
    const all = runInContext({ deadline: 10 }, () => executor.runWithFallback(failsLate, spare));
    await expect(all).rejects.toMatchObject({ code: 'WP_DEADLINE', details: { timeoutMs: 10 } });
    expect(spare).not.toHaveBeenCalled();
    expect(fake.pending).toBe(0);
  });

  it('begins no other step once the attempts of the call are spent', async () => {
    const { executor } = setup();
    const ledger = createLedger(2);
    const attempt = vi.fn(() => {
      currentContext()?.ledger?.begin();
      throw bad;
    });
    const all = runInContext({ ledger }, () => executor.runWithFallback(attempt, attempt, attempt));
    await expect(all).rejects.toThrow("2 of 3 steps of executor 'x' were tried");
    expect(attempt).toHaveBeenCalledTimes(2);
  });

  it('refuses what is no step', async () => {
    const { executor } = setup();
    const run = (...steps: unknown[]): Promise<unknown> => Reflect.apply(executor.runWithFallback, executor, steps);
    await expect(run()).rejects.toThrow("runWithFallback(): option 'primary' must be a function");
    await expect(run(fails, 5)).rejects.toThrow("option 'fallback-1' must be a function, or an object with a name");
    await expect(run([fails])).rejects.toThrow("runWithFallback(): option 'primary' must be a function");
    await expect(run(fails, { run: fails })).rejects.toThrow("runWithFallback() fallback-1: option 'name' must be");
    await expect(run(fails, { name: 'a', run: fails, timeout: 0 })).rejects.toThrow("option 'timeout' must be");
  });

  it('takes further steps from the budget of the call, and none where that refuses', async () => {
    const { executor } = setup();
    for (const isLeft of [true, false]) {
      const withdraw = vi.fn((_kind: string) => isLeft);
      const down = vi.fn(() => Promise.reject(new Error('down')));
      const all = runInContext({ budget: { deposit() {}, withdraw } }, () => executor.runWithFallback(down, down));
      await expect(all).rejects.toThrow('were tried, and failed');
      expect(withdraw.mock.calls).toEqual([['fallback']]);
      expect(down).toHaveBeenCalledTimes(isLeft ? 2 : 1);
    }
  });
});
