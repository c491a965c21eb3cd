import { getEventListeners } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import { runInContext, wasNotSent } from '../../kernel/index.js';
import { createFakeClock } from '../../testing/index.js';
import { breaker } from '../breaker/index.js';
import { firstChunk } from '../first-chunk.js';
import { wrap } from '../policy.js';
import { timeout } from '../timeout.js';
import { type BulkheadEvent, type BulkheadOptions, bulkhead } from './index.js';

function setUp(options: BulkheadOptions = {}) {
  const clock = createFakeClock();
  const events: BulkheadEvent[] = [];
  const policy = bulkhead({ name: 'gpt', clock, onEvent: (event) => events.push(event), ...options });
  const started: string[] = [];
  const ends = new Map<string, PromiseWithResolvers<string>>();
  /** Work that ends when it is told to. */
  const begin = (name: string, call?: { signal?: AbortSignal }) => {
    const end = Promise.withResolvers<string>();
    ends.set(name, end);
    const work = () => {
      started.push(name);
      return end.promise;
    };
    const outcome = policy(work, call);
    outcome.catch(() => {});
    return outcome;
  };
  const end = async (name: string) => {
    ends.get(name)?.resolve(name);
    await clock.settle();
  };
  return { clock, events, policy, begin, end, started };
}

describe('bulkhead', () => {
  it('lets as many run as it may, and refuses the next one with its numbers, unsent', async () => {
    const { policy, begin, end, started, events } = setUp({ maxConcurrent: 2 });
    const first = begin('a');
    begin('b');
    const refusal = await begin('c').catch((error) => error);
    expect(refusal).toMatchObject({
      code: 'WP_OVERLOADED',
      message: "'gpt' takes no more: 2 of 2 run, and 0 wait of the 0 that may.",
      details: { name: 'gpt', running: 2, waiting: 0, limit: 2, maxWaiting: 0, phase: 'not-sent' },
    });
    expect(wasNotSent(refusal)).toBe(true);
    expect(events).toEqual([
      { type: 'bulkhead.rejected', name: 'gpt', reason: 'full', running: 2, waiting: 0, limit: 2 },
    ]);
    await end('a');
    expect(await first).toBe('a');
    begin('d');
    expect(started).toEqual(['a', 'b', 'd']);
    expect(policy.stats()).toEqual({ limit: 2, running: 2, waiting: 0, rejected: 1, waited: 0, waitedMs: 0 });
    expect(policy.name).toBe('gpt');
  });

  it('frees the place of work that fails, at once or later', async () => {
    const { policy } = setUp({ maxConcurrent: 1 });
    const failures = [
      () => Promise.reject(new Error('later')),
      () => {
        throw new Error('at once');
      },
    ];
    for (const work of failures) await expect(policy(work)).rejects.toThrow(/later|at once/);
    expect(policy.stats().running).toBe(0);
  });

  it('serves those who wait in the order in which they came', async () => {
    const { begin, end, started, clock, policy } = setUp({ maxConcurrent: 1, maxWaiting: 3 });
    for (const name of ['a', 'b', 'c']) begin(name);
    await clock.advance(70);
    await end('a');
    await clock.advance(30);
    await end('b');
    expect(started).toEqual(['a', 'b', 'c']);
    expect(policy.stats()).toMatchObject({ running: 1, waiting: 0, waited: 2, waitedMs: 170 });
  });

  it('serves tenants in turn, however many of one wait', async () => {
    const { begin, end, started } = setUp({ maxConcurrent: 1, maxWaiting: 9 });
    const as = (tenant: string, name: string) => runInContext({ tenant }, () => begin(name));
    for (const name of ['a1', 'a2', 'a3', 'a4', 'a5']) as('a', name);
    as('b', 'b1');
    as('b', 'b2');
    for (const name of ['a1', 'a2', 'a3', 'b1', 'a4']) await end(name);
    expect(started).toEqual(['a1', 'a2', 'a3', 'b1', 'a4', 'b2']);
  });

  it('serves the earliest deadline of one tenant first', async () => {
    const { begin, end, started } = setUp({ maxConcurrent: 1, maxWaiting: 9 });
    begin('a');
    begin('whenever');
    runInContext({ deadline: 500 }, () => begin('late'));
    runInContext({ deadline: 100 }, () => begin('soon'));
    for (const name of ['a', 'soon', 'late']) await end(name);
    expect(started).toEqual(['a', 'soon', 'late', 'whenever']);
  });

  it('lets whoever leaves out of the line at once, with their own reason and without a trace', async () => {
    const { begin, end, started, policy, clock } = setUp({ maxConcurrent: 1, maxWaiting: 9, timeout: '1m' });
    begin('a');
    const callers = [new AbortController(), new AbortController()];
    const waiting = [begin('b', callers[0]), runInContext({ signal: callers[1]?.signal }, () => begin('c'))];
    begin('d');
    expect(policy.stats().waiting).toBe(3);
    for (const [index, caller] of callers.entries()) {
      const reason = new Error('closed the tab');
      caller.abort(reason);
      await expect(waiting[index]).rejects.toBe(reason);
      expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
    }
    expect(policy.stats()).toMatchObject({ waiting: 1, rejected: 0 });
    expect(clock.pending).toBe(1);
    await end('a');
    expect(started).toEqual(['a', 'd']);
    expect(clock.pending).toBe(0);
  });

  it('refuses who has left before there is a place', async () => {
    const { begin, started } = setUp({ maxConcurrent: 1, maxWaiting: 9 });
    begin('a');
    const reason = new Error('gone');
    await expect(begin('b', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(started).toEqual(['a']);
  });

  it('passes the place on when its caller leaves in the very turn that gives it', async () => {
    const begun: boolean[] = [];
    for (let jobs = 0; jobs < 8; jobs++) {
      const { begin, end, started, policy } = setUp({ maxConcurrent: 1, maxWaiting: 9 });
      begin('a');
      const caller = new AbortController();
      const left = begin('b', caller);
      begin('c');
      const ended = end('a');
      for (let job = 0; job < jobs; job++) await Promise.resolve();
      const hasBegun = started.includes('b');
      caller.abort(new Error('gone'));
      await ended;
      begun.push(hasBegun);
      expect(policy.stats()).toMatchObject({ running: 1, waiting: hasBegun ? 1 : 0 });
      expect(started).toEqual(['a', hasBegun ? 'b' : 'c']);
      if (!hasBegun) await expect(left).rejects.toThrow('gone');
    }
    expect(new Set(begun)).toEqual(new Set([false, true]));
  });

  it.each<[string, BulkheadOptions, number | undefined, boolean | undefined]>([
    ['its timeout', { timeout: '100ms' }, undefined, undefined],
    ["the caller's deadline", {}, 100, false],
  ])('refuses whoever has found no place within %s', async (_, options, deadline, retryable) => {
    const { begin, clock, events, policy } = setUp({ maxConcurrent: 1, maxWaiting: 9, ...options });
    begin('a');
    const refusal = runInContext({ deadline }, () => begin('b')).catch((error) => error);
    await clock.advance(99);
    expect(policy.stats().waiting).toBe(1);
    await clock.advance(1);
    expect(await refusal).toMatchObject({
      code: 'WP_OVERLOADED',
      message: "No place of 'gpt' has become free in time: 1 of 1 run, and 0 wait.",
    });
    expect((await refusal).details.retryable).toBe(retryable);
    expect(events).toMatchObject([{ reason: 'late' }]);
    expect(clock.pending).toBe(0);
  });

  it('refuses at once whoever has no time to wait', async () => {
    const { begin, clock, policy } = setUp({ maxConcurrent: 1, maxWaiting: 9 });
    begin('a');
    await expect(runInContext({ deadline: 0 }, () => begin('b'))).rejects.toMatchObject({ code: 'WP_OVERLOADED' });
    expect(policy.stats()).toMatchObject({ waiting: 0, rejected: 1 });
    expect(clock.pending).toBe(0);
  });

  it('has one timer for all who wait', async () => {
    const { begin, clock } = setUp({ maxConcurrent: 1, maxWaiting: 1_000, timeout: '1m' });
    for (let index = 0; index < 1_000; index++) begin(`${index}`);
    expect(clock.pending).toBe(1);
    await clock.advance(60_000);
    expect(clock.pending).toBe(0);
  });

  it('keeps the place of a stream until the stream ends, is left or breaks off', async () => {
    const { policy, clock } = setUp({ maxConcurrent: 1 });
    const produce = async function* () {
      yield 'a';
      yield 'b';
      throw new Error('reset');
    };
    const running = () => policy.stats().running;
    for (const isLeft of [true, false]) {
      const chunks = await policy(firstChunk(produce, { clock }));
      await chunks.next();
      expect(running()).toBe(1);
      if (isLeft) await chunks.return();
      else await expect(Array.fromAsync(chunks)).rejects.toThrow('reset');
      await clock.settle();
      expect(running()).toBe(0);
    }
  });

  it('says nothing of the backend to a breaker outside', async () => {
    const { policy } = setUp({ maxConcurrent: 1 });
    const outer = breaker({ consecutive: 1 });
    const ask = wrap(outer, policy);
    const end = Promise.withResolvers<void>();
    const first = ask(() => end.promise);
    await expect(ask(vi.fn())).rejects.toMatchObject({ code: 'WP_OVERLOADED' });
    expect(outer.state).toBe('closed');
    end.resolve();
    await first;
  });

  it('says nothing of the backend either where an attempt outside is over before there is a place', async () => {
    const { policy, begin, clock, events } = setUp({ maxConcurrent: 1, maxWaiting: 9 });
    begin('a');
    const guard = breaker({ clock, consecutive: 2 });
    const ask = wrap(timeout({ after: '1s', clock }), guard, policy);
    const outcomes = Promise.allSettled([ask(() => 1), ask(() => 1), ask(() => 1)]);
    await clock.advance(1_000);
    for (const each of await outcomes) expect(each).toMatchObject({ reason: { code: 'WP_DEADLINE' } });
    expect(guard.stats()).toMatchObject({ state: 'closed', calls: 0 });
    expect(events).toMatchObject(Array.from({ length: 3 }, () => ({ type: 'bulkhead.rejected', reason: 'late' })));
  });

  it('lets a timeout outside end the waiting', async () => {
    const { policy, begin, clock } = setUp({ maxConcurrent: 1, maxWaiting: 1 });
    begin('a');
    const work = vi.fn();
    const outcome = wrap(timeout({ after: '1s', clock }), policy)(work).catch((error) => error);
    await clock.advance(1_000);
    expect(await outcome).toMatchObject({ code: 'WP_DEADLINE' });
    expect(policy.stats()).toMatchObject({ waiting: 0, running: 1 });
    expect(work).not.toHaveBeenCalled();
  });

  it.each<[BulkheadOptions, RegExp]>([
    [{ maxConcurrent: 0 }, /'maxConcurrent' must be a whole number from 1 up, or an object/],
    [{ maxConcurrent: { min: 0 } }, /'min' must be a whole number from 1 up/],
    [{ maxConcurrent: { min: 9, max: 8 } }, /'min' must be no more than 'max' \(8\), got 9/],
    [{ maxConcurrent: { max: 8, initial: 9 } }, /'initial' must be from 1 to 8, got 9/],
    [{ maxConcurrent: { measure: 'ttft' as 'chunk' } }, /'measure' must be one of 'duration', 'chunk'/],
    [{ maxWaiting: -1 }, /'maxWaiting' must be a whole number from 0 up/],
    [{ limit: 3 } as BulkheadOptions, /there is no option 'limit'/],
  ])('refuses bad options (%#)', (options, message) => {
    expect(() => bulkhead(options)).toThrow(message);
  });
});
