import { describe, expect, it, vi } from 'vitest';
import { currentContext, runInContext } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import { breaker, bulkhead, type Policy, retry, timeout, wrap } from './index.js';

const clock = createFakeClock();

it.each<[unknown[]]>([[[]], [[undefined]], [[retry(), undefined, timeout('1s')]], [[retry(), {}]], [[[retry()]]]])(
  'wrap refuses %j, of which one is no policy',
  (policies) => {
    expect(() => wrap(...(policies as [Policy]))).toThrow(/^wrap\(\): option 'policies\[\d\]' must be a policy/);
  },
);

describe('wrap', () => {
  it('puts the first policy around the others', async () => {
    const order: string[] = [];
    const noting =
      (name: string): Policy =>
      async (work, call) => {
        order.push(`${name} begins`);
        const value = await work({ attempt: 1, signal: new AbortController().signal, ...call });
        order.push(`${name} ends`);
        return value;
      };
    expect(await wrap(noting('a'), noting('b'), noting('c'))(() => 'done')).toBe('done');
    expect(order).toEqual(['a begins', 'b begins', 'c begins', 'c ends', 'b ends', 'a ends']);
  });

  it('of one policy is that policy', () => {
    const policy = retry();
    expect(wrap(policy)).toBe(policy);
  });

  it('gives all policies the attempt of the one outside', async () => {
    const policy = wrap(retry({ clock, baseDelay: 0 }), breaker({ clock }), bulkhead({ clock }), timeout('1s'));
    const seen: number[] = [];
    const outcome = policy(({ attempt }) => {
      seen.push(attempt);
      if (attempt < 3) throw new Error('not yet');
    });
    await clock.advance(0);
    await outcome;
    expect(seen).toEqual([1, 2, 3]);
  });
});

describe.each<[string, Policy]>([
  ['retry', retry({ clock })],
  ['timeout', timeout({ after: '1s', clock })],
  ['breaker', breaker({ clock })],
  ['bulkhead', bulkhead({ clock })],
  ['breaker in a bulkhead', wrap(bulkhead({ clock }), breaker({ clock }))],
])('%s', (_name, policy) => {
  it('begins nothing for a caller who has left', async () => {
    const work = vi.fn();
    const reason = new Error('closed the tab');
    await expect(policy(work, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await expect(runInContext({ signal: AbortSignal.abort(reason) }, () => policy(work))).rejects.toBe(reason);
    expect(work).not.toHaveBeenCalled();
  });

  it('refuses what is no work, and what is no call', async () => {
    const work = vi.fn();
    await expect(policy('work' as never)).rejects.toThrow(/option 'work' must be a function, as in policy/);
    const { signal } = new AbortController();
    await expect(policy(work, signal as never)).rejects.toThrow("option 'call' must be an object such as { signal }");
    await expect(policy(work, { signal: 5 } as never)).rejects.toThrow("option 'signal' must be");
    expect(work).not.toHaveBeenCalled();
  });

  it('hands its caller’s signal on', async () => {
    const caller = new AbortController();
    const seen = await policy(
      ({ signal }) => {
        signal.throwIfAborted();
        return signal;
      },
      { signal: caller.signal },
    );
    caller.abort(new Error('closed the tab'));
    expect(seen.reason).toMatchObject({ message: 'closed the tab' });
  });

  it('keeps the context of its caller', async () => {
    const context = await runInContext({ tenant: 'a', attributes: { route: '/' } }, () =>
      policy(() => currentContext()),
    );
    expect(context).toMatchObject({ tenant: 'a', attributes: { route: '/' } });
  });
});
