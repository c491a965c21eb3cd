import { AsyncLocalStorage } from 'node:async_hooks';
import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createLedger, currentContext, runInContext } from '../../kernel/index.js';
import { createFakeClock } from '../../testing/index.js';
import { type PipelineEvent, pipeline } from './index.js';

const unhandled = vi.fn();
beforeEach(() => void process.on('unhandledRejection', unhandled));
afterEach(() => {
  process.off('unhandledRejection', unhandled);
  expect(unhandled).not.toHaveBeenCalled();
});

const never = (): Promise<never> => new Promise(() => {});

describe('a pipeline', () => {
  it('gives each step what it named, and runs the same steps again for another input', async () => {
    const sum = pipeline<number>('sum')
      .step('double', { run: ({ input }) => input * 2 })
      .step('triple', { run: async ({ input }) => input * 3 })
      .step('sum', { after: ['double', 'triple'], run: ({ results }) => results.double + results.triple });
    const runs = await Promise.all([sum.run(1), sum.run(10)]);
    expect(runs.map(({ results }) => results)).toEqual([
      { double: 2, triple: 3, sum: 5 },
      { double: 20, triple: 30, sum: 50 },
    ]);
  });

  it('stays as it is when a step is added', async () => {
    const one = pipeline('one').step('a', { run: () => 1 });
    one.step('b', { run: () => 2 });
    expect((await one.run()).results).toEqual({ a: 1 });
    expect((await one.step('b', { run: () => 3 }).run()).results).toEqual({ a: 1, b: 3 });
  });

  it('tells its story, step by step', async () => {
    const clock = createFakeClock();
    const events: PipelineEvent[] = [];
    const error = new Error('down');
    const done = pipeline('story', { clock, onEvent: (event) => events.push(event) })
      .step('a', { run: () => new Promise<void>((resolve) => clock.schedule(5, resolve)) })
      .step('b', { after: ['a'], optional: true, run: () => Promise.reject(error) })
      .step('c', { after: ['b'], when: ({ results }) => results.b !== undefined, run: () => 1 })
      .run();
    await clock.advance(5);
    const step = { type: 'pipeline.step', pipeline: 'story', optional: false };
    expect(events).toEqual([
      { ...step, step: 'a', outcome: 'ok', ms: 5 },
      { ...step, step: 'b', outcome: 'failed', ms: 0, optional: true, error },
      { ...step, step: 'c', outcome: 'skipped', ms: 0 },
      { type: 'pipeline.done', pipeline: 'story', endedBy: 'done', ms: 5, timeline: (await done).timeline },
    ]);
  });

  it('skips a chain of five thousand steps without a deep stack', async () => {
    const names = Array.from({ length: 5_000 }, (_, index) => `s${index}`);
    let chain = pipeline('chain').step('first' as string, { when: () => true, run: () => 1 });
    let previous = 'first';
    for (const name of names) {
      chain = chain.step(name, { after: [previous], when: () => false, run: () => 1 });
      previous = name;
    }
    expect((await chain.run()).timeline.steps.at(-1)).toMatchObject({ outcome: 'skipped', waitedFor: 's4998' });
  });

  it('keeps results under any name', async () => {
    const { results } = await pipeline('p')
      .step('__proto__', { run: () => 1 })
      .run();
    expect(Object.entries(results)).toEqual([['__proto__', 1]]);
  });
});

describe('a pipeline that fails', () => {
  it('rejects at once with the error of the step as it came, and aborts the others with it', async () => {
    const error = new TypeError('bad answer');
    const events: PipelineEvent[] = [];
    const signals: AbortSignal[] = [];
    const later = vi.fn();
    const failing = pipeline('failing', { onEvent: (event) => events.push(event) })
      .step('deaf', {
        run: ({ signal }) => {
          signals.push(signal);
          return never();
        },
      })
      .step('bad', { run: () => Promise.reject(error) })
      .step('later', { after: ['bad'], run: later });
    await expect(failing.run()).rejects.toBe(error);
    expect(signals[0]?.reason).toBe(error);
    expect(later).not.toHaveBeenCalled();
    expect(events.at(-1)).toMatchObject({ type: 'pipeline.done', endedBy: 'failure', step: 'bad', error });
    const report = await failing.runSettled();
    expect(report).toMatchObject({ endedBy: 'failure', step: 'bad', error, results: {} });
  });

  it('names pipeline and step where a step was late', async () => {
    const clock = createFakeClock();
    const late = pipeline('answer', { clock }).step('search', { timeout: '2s', run: never }).run();
    const rejected = expect(late).rejects.toMatchObject({
      code: 'WP_DEADLINE',
      message: "Step 'search' of pipeline 'answer' took longer than the 2000 ms that it has.",
    });
    await clock.advance(2_000);
    await rejected;
    expect(clock.pending).toBe(0);
  });

  it('gives what is ready when its own time or the deadline of the call is over', async () => {
    for (const inContext of [true, false]) {
      const clock = createFakeClock();
      const steps = pipeline('answer', { clock })
        .step('a', { run: () => 1 })
        .step('b', { after: ['a'], run: never })
        .step('c', { after: ['b'], run: () => 3 });
      const report = runInContext(inContext ? { deadline: 500 } : {}, () =>
        steps.runSettled(undefined, { timeout: inContext ? '2s' : '500ms' }),
      );
      await clock.advance(500);
      expect(await report).toMatchObject({
        endedBy: 'timeout',
        error: { code: 'WP_DEADLINE', message: "Pipeline 'answer' took longer than the 500 ms that it has." },
        step: undefined,
        results: { a: 1 },
      });
      expect((await report).timeline.steps.map(({ outcome }) => outcome)).toEqual(['ok', 'aborted', 'not-started']);
      expect(clock.pending).toBe(0);
    }
  });

  it('resolves when its time is over and only optional steps are missing', async () => {
    const clock = createFakeClock();
    const run = pipeline('answer', { clock })
      .step('a', { run: () => 1 })
      .step('b', { optional: true, run: never })
      .run(undefined, { timeout: 100 });
    await clock.advance(100);
    expect((await run).results).toEqual({ a: 1, b: undefined });
    expect(String((await run).timeline)).toMatch(/\* b .* timed-out/);
  });

  it('begins nothing once its time is over, even where the timer has not run yet', async () => {
    const clock = createFakeClock();
    let now = 0;
    const stalled = { ...clock, now: () => now };
    const next = vi.fn();
    const run = pipeline('p', { clock: stalled })
      .step('blocks', {
        run: () => {
          now = 1_000;
        },
      })
      .step('next', { after: ['blocks'], run: next })
      .run(undefined, { timeout: 500 });
    await expect(run).rejects.toMatchObject({ code: 'WP_DEADLINE' });
    expect(next).not.toHaveBeenCalled();
  });

  it('counts what a condition throws, or answers but with true or false, as a failure of its step', async () => {
    const error = new Error('no idea');
    const throws = (): boolean => {
      throw error;
    };
    const step = { run: () => 1 };
    await expect(
      pipeline('p')
        .step('a', { ...step, when: throws })
        .run(),
    ).rejects.toBe(error);
    const { results } = await pipeline('p')
      .step('a', { ...step, optional: true, when: throws })
      .run();
    expect(results).toEqual({ a: undefined });
    for (const promised of [async () => false, () => Promise.reject(error)] as unknown[]) {
      const later = pipeline('p').step('a', { ...step, when: promised as () => boolean });
      await expect(later.run()).rejects.toMatchObject({
        code: 'WP_BAD_OPTION',
        message: expect.stringContaining("'when' must be a function that gives true or false"),
      });
    }
    await new Promise((resolve) => setImmediate(resolve)); // nor is the failure of a promise left unheard
  });
});

describe('a pipeline whose caller leaves', () => {
  it('begins nothing when the caller has left before', async () => {
    const run = vi.fn();
    const reason = new Error('gone');
    const steps = pipeline('p').step('a', { run });
    await expect(steps.run(undefined, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const inContext = runInContext({ signal: AbortSignal.abort(reason) }, () => steps.run());
    await expect(inContext).rejects.toBe(reason);
    await expect(runInContext({ deadline: 0 }, () => steps.run())).rejects.toMatchObject({ code: 'WP_DEADLINE' });
    expect(run).not.toHaveBeenCalled();
  });

  it('begins no step that was ready as well', async () => {
    const caller = new AbortController();
    const next = vi.fn();
    const run = pipeline('p')
      .step('leaves', { run: () => caller.abort() })
      .step('next', { run: next })
      .run(undefined, { signal: caller.signal });
    await expect(run).rejects.toMatchObject({ name: 'AbortError' });
    expect(next).not.toHaveBeenCalled();
  });

  it('has ended once when the caller leaves because of that', async () => {
    const caller = new AbortController();
    const error = new Error('down');
    const ends: string[] = [];
    const onEvent = (event: PipelineEvent): void => void (event.type === 'pipeline.done' && ends.push(event.endedBy));
    const run = pipeline('p', { onEvent })
      .step('other', {
        run: ({ signal }) => {
          signal.addEventListener('abort', () => caller.abort());
          return never();
        },
      })
      .step('fails', { run: () => Promise.reject(error) })
      .run(undefined, { signal: caller.signal });
    await expect(run).rejects.toBe(error);
    expect(ends).toEqual(['failure']);
  });

  it.each(['in a condition', 'in a step', 'in a listener', 'when another is aborted'])(
    'goes no further, and leaves nothing behind, when that happens %s',
    async (where) => {
      const clock = createFakeClock();
      const caller = new AbortController();
      const reason = new Error('gone');
      const leave = (here: string): void => void (here === where && caller.abort(reason));
      const later = vi.fn();
      const ends = vi.fn();
      const onEvent = (event: PipelineEvent): void =>
        event.type === 'pipeline.step' ? leave('in a listener') : ends(event.endedBy);
      const run = pipeline('p', { clock, onEvent })
        .step('late', {
          optional: true,
          timeout: 10,
          run: ({ signal }) => {
            signal.addEventListener('abort', () => leave('when another is aborted'));
            return never();
          },
        })
        .step('asks', {
          after: ['late'],
          timeout: '1s',
          when: () => {
            leave('in a condition');
            return true;
          },
          run: () => {
            expect(where).toBe('in a step');
            leave('in a step');
          },
        })
        .step('later', { after: ['asks'], run: later })
        .run(undefined, { signal: caller.signal, timeout: '1m' });
      const rejected = expect(run).rejects.toBe(reason);
      await clock.advance(10);
      await rejected;
      expect(later).not.toHaveBeenCalled();
      expect(ends.mock.calls).toEqual([['abort']]);
      expect([clock.pending, getEventListeners(caller.signal, 'abort').length]).toEqual([0, 0]);
    },
  );
});

describe('the context of a pipeline', () => {
  it('is that of its caller for each step, with the signal and the deadline of the step', async () => {
    const clock = createFakeClock();
    const ledger = createLedger();
    const own = new AsyncLocalStorage<string>();
    const look = ({ signal }: { signal: AbortSignal }) => {
      const context = currentContext();
      const isSignal = context?.signal === signal;
      return [context?.tenant, context?.ledger === ledger, isSignal, context?.deadline, own.getStore()];
    };
    const steps = pipeline('p', { clock })
      .step('a', { timeout: 20, run: look })
      .step('late', { optional: true, timeout: 10, run: never })
      .step('b', { after: ['late'], when: () => own.getStore() === 'mine', run: look })
      .step('c', { after: ['late'], timeout: '1h', run: look });
    const run = own.run('mine', () =>
      runInContext({ tenant: 'acme', ledger, deadline: 500 }, () => steps.run(undefined, { timeout: 100 })),
    );
    await own.run('somebody else', () => runInContext({ tenant: 'else' }, () => clock.advance(10)));
    expect((await run).results).toEqual({
      a: ['acme', true, true, 20, 'mine'],
      late: undefined,
      b: ['acme', true, true, 100, 'mine'],
      c: ['acme', true, true, 100, 'mine'],
    });
  });
});
