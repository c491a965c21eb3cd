import { describe, expect, it, vi } from 'vitest';
import { createLedger, runInContext } from '../kernel/index.js';
import { type FallbackEvent, type FallbackStep, retry, withFallback } from './index.js';

const works = (name: string): FallbackStep<string> => ({ name, run: vi.fn(async () => `from ${name}`) });
const fails = (name: string): FallbackStep<string> => ({
  name,
  run: vi.fn(() => Promise.reject(new Error(`${name} failed`))),
});

describe('withFallback', () => {
  it('stays with the first step that works', async () => {
    const spare = works('b');
    expect(await withFallback([works('a'), spare])).toEqual({ value: 'from a', step: 'a' });
    expect(spare.run).not.toHaveBeenCalled();
  });

  it('goes on step by step, in order, and says so', async () => {
    const events: FallbackEvent[] = [];
    const steps = [fails('a'), fails('b'), works('c'), works('d')];
    expect(await withFallback(steps, { name: 'answer', onEvent: (event) => events.push(event) })).toEqual({
      value: 'from c',
      step: 'c',
    });
    expect(events).toEqual([
      { type: 'fallback.used', name: 'answer', failed: 'a', next: 'b', error: new Error('a failed') },
      { type: 'fallback.used', name: 'answer', failed: 'b', next: 'c', error: new Error('b failed') },
    ]);
    expect(steps[3]?.run).not.toHaveBeenCalled();
  });

  it('begins no step once the attempts of the call are spent', async () => {
    const ledger = createLedger(4);
    const once = vi.fn(() => Promise.reject(new Error('down')));
    const step = (name: string): FallbackStep<never> => ({
      name,
      run: () => retry(once, { attempts: 2, baseDelay: 0 }),
    });
    const outcome = runInContext({ ledger }, () => withFallback(['a', 'b', 'c', 'd'].map(step)));
    await expect(outcome).rejects.toThrow('down');
    expect(once).toHaveBeenCalledTimes(4);
  });

  it('throws the last error when all have failed', async () => {
    await expect(withFallback([fails('a'), fails('b')])).rejects.toThrow('b failed');
  });

  it('counts a step that throws before it gives a promise', async () => {
    const throws: FallbackStep<string> = {
      name: 'a',
      run: () => {
        throw new Error('at once');
      },
    };
    expect((await withFallback([throws, works('b')])).step).toBe('b');
  });

  it('goes on for the errors that `when` names and for no others', async () => {
    const when = (error: unknown): boolean => (error as Error).message.startsWith('a');
    const last = works('c');
    await expect(withFallback([fails('a'), fails('b'), last], { when })).rejects.toThrow('b failed');
    expect(last.run).not.toHaveBeenCalled();
  });

  it('ends with the caller’s own reason when the caller leaves, whatever the step makes of it', async () => {
    const caller = new AbortController();
    const reason = new Error('closed the tab');
    const next = works('b');
    const leaving: FallbackStep<string> = {
      name: 'a',
      run: async ({ signal }) => {
        expect(signal).toBe(caller.signal);
        caller.abort(reason);
        throw new Error('socket hang up');
      },
    };
    await expect(runInContext({ signal: caller.signal }, () => withFallback([leaving, next]))).rejects.toBe(reason);
    await expect(withFallback([next], { signal: caller.signal })).rejects.toBe(reason);
    expect(next.run).not.toHaveBeenCalled();
  });

  it('ends with that reason at the last step too, and calls nothing a fallback that is none', async () => {
    const events: FallbackEvent[] = [];
    for (const steps of [1, 2]) {
      const caller = new AbortController();
      const reason = new Error('closed the tab');
      const leaving: FallbackStep<string> = {
        name: 'a',
        run: async () => {
          caller.abort(reason);
          throw new Error('socket hang up');
        },
      };
      const run = [leaving, works('b')].slice(0, steps);
      const outcome = withFallback(run, { signal: caller.signal, onEvent: (event) => events.push(event) });
      await expect(outcome).rejects.toBe(reason);
    }
    expect(events).toEqual([]);
  });

  it('has no outcome without a step', async () => {
    await expect(withFallback([])).rejects.toMatchObject({ code: 'WP_NO_BACKEND' });
  });

  it.each([
    [[{ name: 'a' }], {}, /'steps' must be/],
    [[works('a')], { when: true }, /'when' must be a function/],
    [[works('a')], { onevent: () => {} }, /did you mean 'onEvent'/],
  ])('refuses bad steps and options (%#)', async (steps, options, message) => {
    await expect(withFallback(steps as FallbackStep<string>[], options as never)).rejects.toMatchObject({
      code: 'WP_BAD_OPTION',
      message: expect.stringMatching(message),
    });
  });
});
