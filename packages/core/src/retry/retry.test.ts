import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { type AttemptBudget, createLedger, runInContext, seededRandom, WarmpathError } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import { type AttemptCall, isRetryable, nonRetryable, type RetryEvent, type RetryOptions, retry } from './index.js';

/** Runs a retry on a clock of its own; `random` gives 1 - a hair, so that each delay is the whole step. */
function setUp(options: RetryOptions = {}) {
  const clock = createFakeClock();
  const events: RetryEvent[] = [];
  const all: RetryOptions = { clock, random: () => 1 - 1e-12, onEvent: (event) => events.push(event), ...options };
  const run = <T>(attempt: (call: AttemptCall) => Promise<T>): Promise<T> => {
    const outcome = retry(attempt, all);
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
    expect(events.map(({ attempt: n, outcome: o, delayMs }) => [n, o, delayMs && Math.round(delayMs)])).toEqual([
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

  it('refuses a first step that is longer than the longest', async () => {
    const { run } = setUp({ baseDelay: '10s', maxDelay: '1s' });
    await expect(run(failing(0))).rejects.toThrow(
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
          for (const { attempt, delayMs } of events.slice(0, -1)) {
            expect(delayMs).toBeGreaterThanOrEqual(0);
            expect(delayMs).toBeLessThan(Math.min(max, base * 2 ** (attempt - 1)));
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
  const withFields = (fields: object) => Object.assign(new Error('x'), fields);
  it.each<[string, unknown, boolean]>([
    ['any error', new Error('x'), true],
    ['something thrown that is no error', 'text', true],
    ['a network failure of fetch', new TypeError('fetch failed', { cause: new Error('ECONNRESET') }), true],
    ['a bug', new TypeError('x is not a function'), false],
    ['a RangeError', new RangeError('x'), false],
    ['a marked error', nonRetryable(new Error('x')), false],
    ['an abort', new DOMException('x', 'AbortError'), false],
    ['status 400', withFields({ status: 400 }), false],
    ['status 404', withFields({ statusCode: 404 }), false],
    ['status 408', withFields({ status: 408 }), true],
    ['status 429', withFields({ status: 429 }), true],
    ['status 503', withFields({ statusCode: 503 }), true],
    ['status 501', withFields({ status: 501 }), false],
    ['one that says so', withFields({ status: 400, retryable: true }), true],
    ['one that says no', withFields({ status: 503, retryable: false }), false],
    ['a deadline', new WarmpathError('WP_DEADLINE', 'x'), true],
    ['a bad option', new WarmpathError('WP_BAD_OPTION', 'x'), false],
    [
      'a model’s refusal that says no',
      new WarmpathError('WP_MODEL_REQUEST', 'x', { details: { retryable: false } }),
      false,
    ],
    ['a model that could not be reached', new WarmpathError('WP_MODEL_REQUEST', 'x'), true],
    ['a model’s 401', new WarmpathError('WP_MODEL_REQUEST', 'x', { details: { status: 401 } }), false],
  ])('%s: see the table', (_, error, worth) => {
    expect(isRetryable(error)).toBe(worth);
  });

  it('is nothing that was marked, even deep inside of another retry', async () => {
    const { run } = setUp();
    const error = nonRetryable(new Error('never again'));
    const inner = vi.fn(() => Promise.reject(error));
    await expect(run(() => retry(inner))).rejects.toBe(error);
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

  it('keeps the signal quiet after success, whatever the caller does later', async () => {
    const caller = new AbortController();
    const { run, clock } = setUp({ signal: caller.signal, timeout: '1s' });
    const { signal } = await run(async (call) => call);
    caller.abort();
    await clock.advance(10_000);
    expect(signal.aborted).toBe(false);
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
    const { run, clock } = setUp({ signal: shutdown.signal, timeout: '1s', baseDelay: 0 });
    for (let call = 0; call < 500; call++) {
      const outcome = run(failing(1));
      await clock.advance(0);
      await outcome;
    }
    expect(getEventListeners(shutdown.signal, 'abort')).toHaveLength(0);
    expect(clock.pending).toBe(0);
  });
});

describe('what nested retries share', () => {
  it.each([1, 2, 4, 5, 9, 16])('is a ledger: three times three attempts never become more than %i', async (limit) => {
    const { run, clock } = setUp({ baseDelay: 0 });
    const physical = vi.fn(() => Promise.reject(new Error('down')));
    const outcome = runInContext({ ledger: createLedger(limit) }, () =>
      run(() => retry(physical, { clock, baseDelay: 0 })),
    );
    outcome.catch(() => {});
    await clock.advance(1_000);
    await expect(outcome).rejects.toThrow('down');
    expect(physical).toHaveBeenCalledTimes(Math.min(limit, 9));
    expect(clock.pending).toBe(0);
  });

  it('is a ledger of the outer one’s attempts where there is no context', async () => {
    const { run, clock } = setUp({ baseDelay: 0, attempts: 3 });
    const physical = vi.fn(() => Promise.reject(new Error('down')));
    const outcome = run(() => retry(physical, { clock, baseDelay: 0, attempts: 3 }));
    await clock.advance(1_000);
    await expect(outcome).rejects.toThrow('down');
    expect(physical).toHaveBeenCalledTimes(3);
  });

  it('counts an attempt once, however many retries stand around it', async () => {
    const { run, clock } = setUp({ attempts: 2, baseDelay: 0 });
    const ledger = createLedger();
    const physical = failing(1);
    const outcome = runInContext({ ledger }, () => run(() => retry(physical, { clock, baseDelay: 0, attempts: 2 })));
    await clock.advance(1_000);
    expect(await outcome).toBe(2);
    expect(ledger.used).toBe(2);
    expect(ledger.attempts.map(({ outcome: each }) => each)).toEqual(['failed', 'ok']);
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

  it('writes each attempt into the ledger', async () => {
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

  it('is a budget, which first attempts earn and only extra ones spend', async () => {
    const { run, clock } = setUp({ attempts: 5, baseDelay: 0 });
    let balance = 1;
    const budget: AttemptBudget = {
      deposit: () => {
        balance += 0.25;
      },
      withdraw: () => {
        if (balance < 1) return false;
        balance -= 1;
        return true;
      },
    };
    const attempt = failing(9);
    const outcome = runInContext({ budget }, () => run(attempt));
    outcome.catch(() => {});
    await clock.advance(1_000);
    await expect(outcome).rejects.toThrow('no luck');
    expect(attempt).toHaveBeenCalledTimes(2);
    expect(balance).toBe(0.25);
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
  ])('refuses %j, naming %s', async (options, name) => {
    await expect(retry(async () => 1, options as unknown as RetryOptions)).rejects.toMatchObject({
      code: 'WP_BAD_OPTION',
      message: expect.stringContaining(`'${name}'`),
    });
  });
});
