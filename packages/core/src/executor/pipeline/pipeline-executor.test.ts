import { describe, expect, it, vi } from 'vitest';
import { createFakeClock } from '../../testing/index.js';
import { createExecutor } from '../index.js';
import { pipeline, type StepExecutor } from './index.js';

/** One after the other; it does not look at signals. */
function oneByOne(): StepExecutor & { readonly begun: number } {
  let last: Promise<unknown> = Promise.resolve();
  let begun = 0;
  return {
    run(task) {
      const next = last.then(() => {
        begun++;
        return task();
      });
      last = next.catch(() => {});
      return next;
    },
    get begun() {
      return begun;
    },
  };
}

describe('a pipeline on an executor', () => {
  const clock = createFakeClock();
  const slow = (): Promise<void> => new Promise((resolve) => clock.schedule(100, resolve));

  it('waits for places, and says for how long', async () => {
    const run = pipeline('p', { clock, executor: oneByOne() })
      .step('a', { run: slow })
      .step('b', { run: slow })
      .step('c', { after: ['a'], run: slow })
      .run();
    await clock.advance(300);
    const times = (await run).timeline.steps.map(({ readyMs, startMs, endMs }) => [readyMs, startMs, endMs]);
    expect(times).toEqual([
      [0, 0, 100],
      [0, 100, 200],
      [100, 200, 300],
    ]);
  });

  it('does not begin a step that was late or aborted before it had a place', async () => {
    const executor = oneByOne();
    const later = vi.fn();
    const run = pipeline('p')
      .step('a', { run: slow })
      .step('late', { optional: true, timeout: 50, run: later })
      .step('bad', { after: ['late'], when: () => true, run: later })
      .runSettled(undefined, { clock, executor, timeout: 80 });
    await clock.advance(200);
    expect((await run).timeline.steps.map(({ outcome }) => outcome)).toEqual(['aborted', 'timed-out', 'aborted']);
    expect(executor.begun).toBe(3);
    expect(later).not.toHaveBeenCalled();
  });

  it('fails as a place is refused, and tells a step when its place is taken away', async () => {
    const full = new Error('full');
    const refusing: StepExecutor = { run: () => Promise.reject(full) };
    await expect(pipeline('p', { executor: refusing }).step('a', { run: slow }).run()).rejects.toBe(full);
    const closing: StepExecutor = { run: (task) => task({ signal: AbortSignal.abort('closing') }) };
    const { results } = await pipeline('p', { executor: closing })
      .step('a', { run: ({ signal }) => signal.reason })
      .run();
    expect(results).toEqual({ a: 'closing' });
  });

  it('shares the places of one between all runs, and leaves its queue with its caller', async () => {
    const executor = createExecutor({ maxConcurrent: 2, clock });
    const caller = new AbortController();
    let running = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      most = Math.max(most, ++running);
      await slow();
      running--;
    };
    const steps = pipeline('p', { clock, executor }).step('a', { run: work }).step('b', { run: work });
    const runs = Promise.all([steps.run(), steps.run()]);
    const left = steps.run(undefined, { signal: caller.signal });
    expect(executor.stats()).toMatchObject({ running: 2, waiting: 4 });
    caller.abort(new Error('gone'));
    await expect(left).rejects.toThrow('gone');
    expect(executor.stats()).toMatchObject({ running: 2, waiting: 2 });
    await clock.advance(200);
    expect((await runs).map(({ timeline }) => timeline.totalMs)).toEqual([100, 200]);
    expect([most, clock.pending]).toEqual([2, 0]);
  });
});
