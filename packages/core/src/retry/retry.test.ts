import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import {
  type AttemptBudget,
  type CallContext,
  createLedger,
  isSpent,
  runInContext,
  seededRandom,
} from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import {
  type AttemptCall,
  type AttemptEvent,
  nonRetryable,
  type RetryOptions,
  retry,
  sharedBudget,
  timeout,
  wrap,
} from './index.js';

/** Runs a retry on a clock of its own; `random` gives 1 - a hair, so that each delay is the whole step. */
function setUp({ signal, ...options }: RetryOptions & { readonly signal?: AbortSignal } = {}) {
  const clock = createFakeClock();
  const events: AttemptEvent[] = [];
  const policy = retry({
    clock,
    random: () => 1 - 1e-12,
    onEvent: (event) => events.push(event),
    ...options,
  });
  const run = <T>(attempt: (call: AttemptCall) => T | Promise<T>): Promise<T> => {
    const outcome = policy(attempt, { signal });
    outcome.catch(() => {});
    return outcome;
  };
  return { clock, events, run };
}

const failing = (times: number, error: unknown = new Error('no luck')) =>
  vi.fn(async ({ attempt }: AttemptCall) => {
    if (attempt <= times) throw error;
    return attempt;
  });

describe('retry', () => {
  it('tries until it works, numbering the attempts', async () => {
    const { run, clock, events } = setUp();
    const attempt = failing(2);
    const outcome = run(attempt);
    await clock.advance(600);
    expect(await outcome).toBe(3);
    expect(events.map(({ number: n, outcome: o, delayMs }) => [n, o, delayMs && Math.round(delayMs)])).toEqual([
      [1, 'failed', 200],
      [2, 'failed', 400],
      [3, 'ok', undefined],
    ]);
    expect(clock.pending).toBe(0);
  });

  it('gives up after its attempts, with the last error as it came', async () => {
    const { run, clock } = setUp({ attempts: 4 });
    const errors = [1, 2, 3, 4].map((n) => new Error(`${n}`));
    const attempt = vi.fn(({ attempt: n }: AttemptCall) => Promise.reject(errors[n - 1]));
    const outcome = run(attempt);
    await clock.advance(60_000);
    await expect(outcome).rejects.toBe(errors[3]);
    expect(attempt).toHaveBeenCalledTimes(4);
    expect(clock.pending).toBe(0);
  });

  it('counts an attempt that throws before it gives a promise', async () => {
    const { run, clock } = setUp();
    const outcome = run(({ attempt }) => {
      if (attempt === 1) throw new Error('at once');
      return Promise.resolve('ok');
    });
    await clock.advance(200);
    expect(await outcome).toBe('ok');
  });

  it('refuses a first step that is longer than the longest', () => {
    expect(() => setUp({ baseDelay: '10s', maxDelay: '1s' })).toThrow(
      "option 'baseDelay' must be no longer than 'maxDelay' (1s), got '10s'",
    );
  });

  it('waits between nothing and the whole step, doubled each time up to the longest', () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer(),
        fc.integer({ min: 1, max: 1_000 }),
        fc.integer({ min: 1, max: 5_000 }),
        async (seed, base, max) => {
          fc.pre(base <= max);
          const { run, clock, events } = setUp({
            attempts: 6,
            baseDelay: base,
            maxDelay: max,
            random: seededRandom(seed),
          });
          const outcome = run(failing(9));
          await clock.advance(6 * max);
          await expect(outcome).rejects.toThrow();
          for (const { number, delayMs } of events.slice(0, -1)) {
            expect(delayMs).toBeGreaterThanOrEqual(0);
            expect(delayMs).toBeLessThan(Math.min(max, base * 2 ** (number - 1)));
          }
          expect(events).toHaveLength(6);
        },
      ),
      { numRuns: 30 },
    ));

  it('repeats itself under the same seed', async () => {
    const delays = async (seed: number) => {
      const { run, clock, events } = setUp({ attempts: 5, random: seededRandom(seed) });
      const outcome = run(failing(9));
      await clock.advance(60_000);
      await outcome.catch(() => {});
      return events.map(({ delayMs }) => delayMs);
    };
    expect(await delays(1)).toEqual(await delays(1));
    expect(await delays(1)).not.toEqual(await delays(2));
  });
});

describe('what is worth another attempt', () => {
  it('is nothing that was marked, even deep inside of another retry', async () => {
    const { run } = setUp();
    const error = nonRetryable(new Error('never again'));
    const inner = vi.fn(() => Promise.reject(error));
    await expect(run(() => retry()(inner))).rejects.toBe(error);
    expect(inner).toHaveBeenCalledTimes(1);
  });

  it('may be decided by the caller', async () => {
    const { run } = setUp({ retryable: () => false });
    const attempt = failing(1);
    await expect(run(attempt)).rejects.toThrow('no luck');
    expect(attempt).toHaveBeenCalledTimes(1);
  });
});

describe('time', () => {
  it('waits for the server’s Retry-After, and a little longer', async () => {
    const { run, clock, events } = setUp({ baseDelay: 100 });
    const outcome = run(failing(1, Object.assign(new Error('busy'), { status: 429, retryAfterMs: 5_000 })));
    await clock.advance(4_999);
    expect(events).toHaveLength(1);
    await clock.advance(101);
    expect(await outcome).toBe(2);
    expect(events[0]?.delayMs).toBeCloseTo(5_100);
  });

  it('waits until the date that the server names', async () => {
    const { run, clock } = setUp({ baseDelay: 0 });
    const headers = { 'retry-after': new Date(clock.wall() + 5_000).toUTCString() };
    const outcome = run(failing(1, Object.assign(new Error('busy'), { status: 503, headers })));
    let isOver = false;
    outcome.then(() => {
      isOver = true;
    });
    await clock.advance(4_999);
    expect(isOver).toBe(false);
    await clock.advance(1);
    expect(await outcome).toBe(2);
  });

  it('gives up at once when the server asks for more than the longest wait', async () => {
    const { run, clock } = setUp({ maxDelay: '10s' });
    const error = Object.assign(new Error('quota'), { status: 429, retryAfterMs: 10_001 });
    await expect(run(failing(1, error))).rejects.toBe(error);
    expect(clock.pending).toBe(0);
  });

  it('gives up at once when the wait is longer than the deadline', async () => {
    const { run, clock } = setUp();
    const error = Object.assign(new Error('busy'), { retryAfterMs: 5_000 });
    const attempt = failing(1, error);
    await expect(runInContext({ deadline: 5_000 }, () => run(attempt))).rejects.toBe(error);
    expect(attempt).toHaveBeenCalledTimes(1);
    expect(clock.pending).toBe(0);
  });

  it('gives each attempt its timeout and a signal of its own', async () => {
    const { run, clock, events } = setUp({ timeout: '1s', name: 'slow model' });
    const signals: AbortSignal[] = [];
    const outcome = run(({ attempt, signal }) => {
      signals.push(signal);
      return attempt === 2 ? Promise.resolve('ok') : new Promise<string>(() => {});
    });
    await clock.advance(999);
    expect(signals[0]?.aborted).toBe(false);
    await clock.advance(1);
    expect(signals[0]?.reason).toMatchObject({ code: 'WP_DEADLINE', message: expect.stringContaining('slow model') });
    await clock.advance(200);
    expect(await outcome).toBe('ok');
    expect(signals[1]?.aborted).toBe(false);
    expect(events[0]).toMatchObject({ outcome: 'failed', ms: 1_000 });
    expect(clock.pending).toBe(0);
  });

  it('ends an attempt at the call’s deadline, whatever its own timeout, and begins none after it', async () => {
    for (const timeout of [undefined, '1h'] as const) {
      const { run, clock } = setUp(timeout ? { timeout } : {});
      const attempt = vi.fn(() => new Promise<never>(() => {}));
      const outcome = runInContext({ deadline: 300 }, () => run(attempt));
      await clock.advance(300);
      await expect(outcome).rejects.toMatchObject({ code: 'WP_DEADLINE' });
      expect(attempt).toHaveBeenCalledTimes(1);
      await expect(runInContext({ deadline: 300 }, () => run(attempt))).rejects.toMatchObject({ code: 'WP_DEADLINE' });
      expect(attempt).toHaveBeenCalledTimes(1);
      expect(clock.pending).toBe(0);
    }
  });

  it('keeps the signal quiet after success, so that a body can be read, until the caller leaves', async () => {
    const caller = new AbortController();
    const { run, clock } = setUp({ signal: caller.signal, timeout: '1s' });
    const { signal } = await run(async (call) => {
      call.signal.throwIfAborted();
      return call;
    });
    await clock.advance(10_000);
    expect(signal.aborted).toBe(false);
    caller.abort(new Error('closed the tab'));
    expect(signal.reason).toMatchObject({ message: 'closed the tab' });
  });

  it('ends all attempts and waits after `maxElapsed`', async () => {
    const { run, clock } = setUp({ attempts: 100, baseDelay: '1s', maxDelay: '1s', maxElapsed: '3500ms' });
    const attempt = failing(100);
    const outcome = run(attempt);
    await clock.advance(3_000);
    await expect(outcome).rejects.toThrow('no luck');
    expect(attempt).toHaveBeenCalledTimes(4);
    const hanging = run(() => new Promise<never>(() => {}));
    await clock.advance(3_500);
    await expect(hanging).rejects.toMatchObject({ code: 'WP_DEADLINE' });
    expect(clock.pending).toBe(0);
  });
});

describe('the caller’s leaving', () => {
  it('during an attempt ends it with the caller’s own reason, and there is no other', async () => {
    const caller = new AbortController();
    const { run, clock, events } = setUp({ signal: caller.signal });
    const attempt = vi.fn(
      ({ signal }: AttemptCall) =>
        new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(new Error('socket hang up')))),
    );
    const outcome = run(attempt);
    await clock.settle();
    const reason = new Error('closed the tab');
    caller.abort(reason);
    await expect(outcome).rejects.toBe(reason);
    await clock.advance(60_000);
    expect(attempt).toHaveBeenCalledTimes(1);
    expect(events).toMatchObject([{ outcome: 'aborted' }]);
  });

  it('during the backoff ends it at once with the caller’s own reason and leaves no timer', async () => {
    const caller = new AbortController();
    const { run, clock } = setUp();
    const outcome = runInContext({ signal: caller.signal }, () => run(failing(9)));
    await clock.advance(100);
    expect(clock.pending).toBe(1);
    const reason = new Error('closed the tab');
    caller.abort(reason);
    await expect(outcome).rejects.toBe(reason);
    expect(clock.pending).toBe(0);
  });

  it('before the first attempt begins none', async () => {
    const attempt = failing(0);
    const { run } = setUp({ signal: AbortSignal.abort(new Error('gone')) });
    await expect(run(attempt)).rejects.toThrow('gone');
    expect(attempt).not.toHaveBeenCalled();
  });

  it('leaves no listener on a signal that lives longer than 500 calls', async () => {
    const shutdown = new AbortController();
    const { run, clock } = setUp({
      signal: shutdown.signal,
      timeout: '1s',
      baseDelay: 0,
      budget: { deposit() {}, withdraw: () => true },
    });
    for (let call = 0; call < 500; call++) {
      const outcome = run(failing(1));
      await clock.advance(0);
      await outcome;
    }
    expect(getEventListeners(shutdown.signal, 'abort')).toHaveLength(0);
    expect(clock.pending).toBe(0);
  });
});

describe('a retry inside another', () => {
  it('stands back: it makes one attempt of each of the one outside', async () => {
    const { run, clock, events } = setUp({ baseDelay: 0, name: 'outer' });
    const own: AttemptEvent[] = [];
    const inner = retry({ clock, attempts: 5, baseDelay: 0, name: 'inner', onEvent: (event) => own.push(event) });
    const physical = vi.fn(() => Promise.reject(new Error('down')));
    const outcome = run(() => inner(physical));
    await clock.advance(1_000);
    await expect(outcome).rejects.toThrow('down');
    expect(physical).toHaveBeenCalledTimes(3);
    expect(events.map(({ name, number, kind }) => [name, number, kind])).toEqual([
      ['outer', 1, 'first'],
      ['outer', 2, 'retry'],
      ['outer', 3, 'retry'],
    ]);
    expect(own).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('does so through a timeout as well', async () => {
    const { run, clock } = setUp({ baseDelay: 0, attempts: 2 });
    const inner = wrap(timeout({ after: '1s', clock }), retry({ clock, attempts: 5, baseDelay: 0 }));
    const physical = vi.fn(() => Promise.reject(new Error('down')));
    const outcome = run((call) => inner(physical, call));
    await clock.advance(1_000);
    await expect(outcome).rejects.toThrow('down');
    expect(physical).toHaveBeenCalledTimes(2);
  });

  it('keeps its own time all the same', async () => {
    const { run, clock } = setUp({ attempts: 1 });
    const inner = retry({ clock, name: 'inner', timeout: '1s' });
    const outcome = run((call) => inner(() => new Promise<never>(() => {}), call));
    await clock.advance(1_000);
    await expect(outcome).rejects.toThrow("'inner' took longer than the 1000 ms that it has.");
    expect(clock.pending).toBe(0);
  });

  it.each([1, 2, 3])('makes no more attempts than the ledger of the call has: %i', async (limit) => {
    const { run, clock } = setUp({ baseDelay: 0, attempts: 3 });
    const physical = vi.fn(() => Promise.reject(new Error('down')));
    const outcome = runInContext({ ledger: createLedger(limit) }, () => run(physical));
    await clock.advance(1_000);
    await expect(outcome).rejects.toThrow('down');
    expect(physical).toHaveBeenCalledTimes(limit);
  });
});

describe('what is told', () => {
  it('of each attempt: its number, why it was made, how long was waited before it, and why none follows', async () => {
    const { run, clock, events } = setUp({ attempts: 2, baseDelay: 100, name: 'work' });
    const outcome = run(failing(9));
    await clock.advance(100);
    await expect(outcome).rejects.toThrow();
    expect(events.map(({ error: _, ...event }) => event)).toEqual([
      {
        type: 'attempt.ended',
        name: 'work',
        number: 1,
        kind: 'first',
        outcome: 'failed',
        waitedMs: 0,
        ms: 0,
        delayMs: expect.closeTo(100),
      },
      {
        type: 'attempt.ended',
        name: 'work',
        number: 2,
        kind: 'retry',
        outcome: 'failed',
        waitedMs: expect.closeTo(100),
        ms: 0,
        stop: 'attempts',
      },
    ]);
  });

  it.each<[string, RetryOptions, object, Partial<CallContext>]>([
    ['not-retryable', {}, { status: 400 }, {}],
    ['retry-after', { maxDelay: '1s' }, { retryAfterMs: 2_000 }, {}],
    ['retry-after', {}, { retryAfterMs: 2_000 }, { deadline: 1_000 }],
    ['deadline', { baseDelay: '1s' }, {}, { deadline: 999 }],
    ['budget', { budget: { deposit() {}, withdraw: () => false } }, {}, {}],
  ])('why there is no other: %s', async (stop, options, fields, context) => {
    const { run, events } = setUp(options);
    const outcome = runInContext(context, () => run(failing(9, Object.assign(new Error('no luck'), fields))));
    await expect(outcome).rejects.toThrow('no luck');
    expect(events).toMatchObject([{ stop, outcome: 'failed' }]);
  });

  it('marks the error that the trying ended with, so that clients do not go on in its place', async () => {
    const { run, clock } = setUp({ baseDelay: 0 });
    const error = new Error('down');
    const outcome = run(failing(9, error));
    await clock.advance(1_000);
    await outcome.catch(() => {});
    expect(isSpent(error)).toBe(true);
    expect(isSpent(new Error('down'))).toBe(false);
  });

  it('passes over what a listener throws', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const { run, clock } = setUp({
      onEvent: () => {
        throw new Error('full disk');
      },
    });
    const outcome = run(failing(1));
    await clock.advance(200);
    expect(await outcome).toBe(2);
    expect(warned).toHaveBeenCalledTimes(1);
    warned.mockRestore();
  });

  it('in the ledger too', async () => {
    const { run, clock } = setUp({ name: 'work' });
    const ledger = createLedger();
    const outcome = runInContext({ ledger }, () => run(failing(1)));
    await clock.advance(200);
    await outcome;
    expect(ledger.attempts).toEqual([
      { kind: 'first', target: 'work', ms: 0, outcome: 'failed' },
      { kind: 'retry', target: 'work', ms: 0, outcome: 'ok' },
    ]);
    expect(ledger.used).toBe(2);
  });

  it('of what was never sent that it was refused, and the budget is not asked', async () => {
    const withdraw = vi.fn(() => true);
    const budget = { deposit: vi.fn(), withdraw };
    const { run, clock, events } = setUp({ baseDelay: 0, budget });
    const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
    const outcome = run(failing(1, refused));
    outcome.catch(() => {});
    await clock.advance(1_000);
    expect(await outcome).toBe(2);
    expect(events.map(({ outcome: each, number }) => [each, number])).toEqual([
      ['refused', 1],
      ['ok', 2],
    ]);
    expect([budget.deposit, withdraw].map(({ mock }) => mock.calls.length)).toEqual([0, 0]);
  });
});

describe('the budget', () => {
  it('is earned by first attempts, unless the caller itself tries again, and spent by further ones', async () => {
    const budget = { deposit: vi.fn(), withdraw: vi.fn(() => true) };
    const { run, clock } = setUp({ attempts: 3, baseDelay: 0, budget });
    for (const callerRetries of [0, 2]) {
      const outcome = runInContext({ callerRetries }, () => run(failing(9)));
      await clock.advance(1_000);
      await outcome.catch(() => {});
    }
    expect([budget.deposit.mock.calls.length, budget.withdraw.mock.calls.length]).toEqual([1, 4]);
  });

  it('of the context is taken where the policy has none', async () => {
    const budget: AttemptBudget = { deposit() {}, withdraw: () => false };
    const { run } = setUp({ baseDelay: 0 });
    const attempt = failing(9);
    await expect(runInContext({ budget }, () => run(attempt))).rejects.toThrow('no luck');
    expect(attempt).toHaveBeenCalledTimes(1);
  });

  it('is one for all on a clock where nobody has given any', async () => {
    const clock = createFakeClock();
    const [a, b] = [retry({ clock, baseDelay: 0, attempts: 100 }), retry({ clock, baseDelay: 0, attempts: 100 })];
    const attempt = vi.fn(() => Promise.reject(new Error('down')));
    for (const policy of [a, b]) {
      const outcome = policy(attempt);
      outcome.catch(() => {});
      await clock.advance(0);
      await expect(outcome).rejects.toThrow('down');
    }
    // 10 from the floor of a second each, and a fifth for each first one.
    expect(attempt).toHaveBeenCalledTimes(2 + 10);
    expect(sharedBudget(clock).stats()).toMatchObject({ firsts: 2, extras: 10, refused: 2 });
  });
});

describe('options', () => {
  it.each([
    [{ attempts: 0 }, 'attempts'],
    [{ attempts: 1.5 }, 'attempts'],
    [{ baseDelay: 'soon' }, 'baseDelay'],
    [{ maxDelay: -1 }, 'maxDelay'],
    [{ timeout: 0 }, 'timeout'],
    [{ retryable: true }, 'retryable'],
    [{ retries: 3 }, 'retries'],
    [{ jitter: 'none' }, 'jitter'],
    [{ maxElapsed: 0 }, 'maxElapsed'],
    [{ budget: 3 }, 'budget'],
  ])('refuses %j, naming %s', (options, name) => {
    expect(() => retry(options as RetryOptions)).toThrow(`'${name}'`);
  });
});

it('never waits for longer than it may, what a server asks for and the chance behind it together', async () => {
  const clock = createFakeClock();
  const events: AttemptEvent[] = [];
  const busy = Object.assign(new Error('busy'), { status: 429, headers: { 'retry-after': '29' } });
  const ask = retry({
    clock,
    random: () => 0.999,
    baseDelay: '10s',
    maxDelay: '30s',
    onEvent: (event) => events.push(event),
  });
  const outcome = expect(ask(() => Promise.reject(busy))).rejects.toBe(busy);
  await clock.advance(60_000);
  await outcome;
  expect(events.map(({ delayMs }) => delayMs)).toEqual([30_000, 30_000, undefined]);
});
