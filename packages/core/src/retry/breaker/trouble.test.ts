import { describe, expect, it } from 'vitest';
import { nonRetryable, runInContext, WarmpathError } from '../../kernel/index.js';
import { createFakeClock } from '../../testing/index.js';
import { firstChunk } from '../first-chunk.js';
import { wrap } from '../policy.js';
import { timeout } from '../timeout.js';
import { type BreakerOptions, breaker } from './index.js';

function setUp(options: BreakerOptions = {}) {
  const clock = createFakeClock();
  const policy = breaker({ name: 'gpt', clock, ...options });
  const fail = (error: unknown) => policy(() => Promise.reject(error)).catch(() => {});
  return { clock, policy, fail };
}

describe('what a breaker counts', () => {
  const status = (code: number) => Object.assign(new Error('x'), { status: code });
  const failing = (code: number, headers: object) =>
    Object.assign(new Error('x'), { response: { status: code, headers } });
  const own = (...[code, details]: [WarmpathError['code'], object?]) =>
    new WarmpathError(code, 'x', { details: { ...details } });
  it.each<[string, unknown, number]>([
    ['any error', new Error('x'), 1],
    ['status 500', status(500), 1],
    ['status 503', status(503), 1],
    ['status 500 that forbids to try again', nonRetryable(status(500)), 1],
    ['status 503 that forbids it, as axios has it', failing(503, { 'x-should-retry': 'false' }), 1],
    ['status 503 of a limiter before it, which was not sent', Object.assign(status(503), { phase: 'not-sent' }), 0],
    ['status 400 that asks for it', failing(400, { 'x-should-retry': 'true' }), 0],
    ['a refused connection', Object.assign(new Error('x'), { code: 'ECONNREFUSED' }), 1],
    ['a POST that was reset', own('WP_HTTP_FAILED', { phase: 'sent', retryable: false }), 1],
    ['a timeout', own('WP_DEADLINE', { retryable: false }), 1],
    ['status 400', status(400), 0],
    ['status 404', status(404), 0],
    ['status 429', status(429), 0],
    ['status 529', status(529), 0],
    ['a mistake in the program', new TypeError('x is not a function'), 0],
    ['a full bulkhead inside', own('WP_OVERLOADED', { phase: 'not-sent' }), 0],
    ['a breaker inside', own('WP_BREAKER_OPEN'), 0],
    ['a limiter inside', own('WP_RATE_LIMITED'), 0],
    ['an abort', new DOMException('x', 'AbortError'), 0],
  ])('%s', async (_, error, calls) => {
    const { policy, fail } = setUp();
    await fail(error);
    expect(policy.stats()).toMatchObject({ calls, failures: calls, consecutive: calls });
  });

  it('is what `isFailure` says, where there is one; other errors are no calls at all', async () => {
    const { policy, fail } = setUp({ isFailure: (error) => (error as Error).message === 'bad' });
    await fail(new Error('bad'));
    await fail(new Error('good'));
    expect(policy.stats()).toMatchObject({ calls: 1, failures: 1, consecutive: 1 });
  });

  it('is not a caller who leaves, whatever the work makes of it', async () => {
    const { policy } = setUp({ isFailure: () => true });
    for (const isAmbient of [true, false]) {
      const caller = new AbortController();
      const { promise, reject } = Promise.withResolvers<never>();
      const call = () => policy(() => promise, isAmbient ? undefined : { signal: caller.signal });
      const outcome = isAmbient ? runInContext({ signal: caller.signal }, call) : call();
      caller.abort(new Error('closed the tab'));
      reject(new Error('socket hang up'));
      await expect(outcome).rejects.toThrow('socket hang up');
    }
    expect(policy.stats().calls).toBe(0);
  });

  it.each(['inside', 'outside'])('is a call that took longer than a timeout %s allows', async (where) => {
    const { policy, clock } = setUp();
    const limit = timeout({ after: '5s', clock });
    const ask = where === 'inside' ? wrap(policy, limit) : wrap(limit, policy);
    const work = ({ signal }: { signal: AbortSignal }) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('hung up'))));
    const outcome = ask(work).catch((error) => error);
    await clock.advance(5_000);
    expect(await outcome).toMatchObject({ code: 'WP_DEADLINE' });
    expect(policy.stats()).toMatchObject({ calls: 1, failures: 1 });
  });

  it('is a stream once for its first chunk, and once more when it breaks off', async () => {
    const { policy, clock } = setUp();
    const produce = async function* () {
      yield 'a';
      throw new Error('reset');
    };
    const chunks = await policy(firstChunk(produce, { clock }));
    expect(policy.stats()).toMatchObject({ calls: 1, failures: 0 });
    await expect(Array.fromAsync(chunks)).rejects.toThrow('reset');
    expect(policy.stats()).toMatchObject({ calls: 2, failures: 1 });
  });

  it('is not a stream that breaks off because its caller has left', async () => {
    const { policy, clock } = setUp();
    const caller = new AbortController();
    const produce = async function* ({ signal }: { signal: AbortSignal }) {
      yield 'a';
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    };
    const chunks = await policy(firstChunk(produce, { clock }), caller);
    const all = Array.fromAsync(chunks);
    await clock.settle();
    caller.abort(new Error('closed the tab'));
    await expect(all).rejects.toThrow('closed the tab');
    await clock.settle();
    expect(policy.stats()).toMatchObject({ calls: 1, failures: 0 });
  });

  it('is not a stream that its reader leaves', async () => {
    const { policy, clock } = setUp();
    const produce = async function* () {
      yield 'a';
      yield 'b';
    };
    for await (const chunk of await policy(firstChunk(produce, { clock }))) if (chunk === 'a') break;
    await clock.settle();
    expect(policy.stats()).toMatchObject({ calls: 1, failures: 0 });
  });

  it('is what it is told of', () => {
    const { policy } = setUp({ slowCall: '1s' });
    policy.record({ ok: true, ms: 1_000 });
    policy.record({ ok: false, ms: 10 });
    policy.record({ ok: false, error: new Error('x') });
    policy.record({ ok: false, error: Object.assign(new Error('x'), { status: 404 }) });
    expect(policy.stats()).toMatchObject({ calls: 3, failures: 2, slow: 1, consecutive: 2 });
  });
});
