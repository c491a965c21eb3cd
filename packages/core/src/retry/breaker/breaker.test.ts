import { describe, expect, it, vi } from 'vitest';
import type { WarmpathError } from '../../kernel/index.js';
import { createFakeClock } from '../../testing/index.js';
import { type BreakerEvent, type BreakerOptions, breaker } from './index.js';

/** A breaker on a clock of its own, whose pauses are not shortened by chance. */
function setUp(options: BreakerOptions = {}) {
  const clock = createFakeClock();
  const events: BreakerEvent[] = [];
  const policy = breaker({ name: 'gpt', clock, random: () => 0, onEvent: (event) => events.push(event), ...options });
  const fail = (error: unknown = new Error('no luck')) => policy(() => Promise.reject(error)).catch(() => {});
  const succeed = () => policy(() => 'ok');
  const failTimes = async (times: number) => {
    for (let left = times; left > 0; left--) await fail();
  };
  return { clock, events, policy, fail, failTimes, succeed };
}

describe('breaker', () => {
  it('passes through what the work gives, and its errors as they come', async () => {
    const { policy } = setUp();
    expect(await policy(({ attempt }) => attempt)).toBe(1);
    const error = new Error('as it is');
    await expect(policy(() => Promise.reject(error))).rejects.toBe(error);
    await expect(
      policy(() => {
        throw error;
      }),
    ).rejects.toBe(error);
    expect(policy.stats()).toMatchObject({ state: 'closed', calls: 3, failures: 2, consecutive: 2, opened: 0 });
    expect(policy.name).toBe('gpt');
  });

  it('opens after failures in a row, refuses without a call, and says why and until when', async () => {
    const { policy, failTimes, clock } = setUp();
    await failTimes(5);
    await clock.advance(1_568.5);
    const work = vi.fn();
    await expect(policy(work)).rejects.toMatchObject({
      code: 'WP_BREAKER_OPEN',
      message: "'gpt' is left alone: 5 calls in a row have failed. It is tried again in 8432 ms.",
      details: { name: 'gpt', why: 'consecutive', retryAfterMs: 8_431.5, retryable: false },
    });
    expect(work).not.toHaveBeenCalled();
    expect(policy.allows()).toBe(false);
    expect(policy.stats()).toMatchObject({ state: 'open', rejected: 1, opened: 1, pauseLeftMs: 8_431.5 });
  });

  it.each<[string, BreakerOptions, string]>([
    ['of a while', { consecutive: 99, minCalls: 8 }, '63 % of 8 calls in 30 s have failed'],
    ['of calls', { consecutive: 99, minCalls: 8, window: { calls: 8 } }, '63 % of the last 8 calls have failed'],
  ])('opens at its rate of failures in a window %s, once there are calls enough', async (_, options, why) => {
    const { policy, fail, succeed, failTimes } = setUp(options);
    for (let pair = 0; pair < 3; pair++) await Promise.all([fail(), succeed()]);
    await failTimes(1);
    expect(policy.state).toBe('closed');
    await failTimes(1);
    expect(policy.state).toBe('open');
    await expect(policy(vi.fn())).rejects.toThrow(why);
  });

  it('opens at exactly its rate, whatever the rounding of numbers', async () => {
    const { policy } = setUp({ consecutive: 99, minCalls: 100, failureRate: 0.07 });
    for (let call = 0; call < 100; call++) policy.record(call < 7 ? { ok: false } : { ok: true });
    expect(policy.state).toBe('open');
  });

  it('opens when too many calls are slow, though they work', async () => {
    const { policy, clock } = setUp({ slowCall: '2s', minCalls: 4 });
    const callOf = async (ms: number) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const done = policy(() => promise);
      await clock.advance(ms);
      resolve();
      await done;
    };
    for (const ms of [1_999, 2_000, 100]) await callOf(ms);
    expect(policy.stats()).toMatchObject({ state: 'closed', calls: 3, slow: 1 });
    await callOf(3_000);
    await expect(policy(vi.fn())).rejects.toThrow('50 % of 4 calls in 30 s took 2000 ms or longer');
  });

  it('tells its story in events', async () => {
    const { policy, failTimes, succeed, events, clock } = setUp({ probes: 1 });
    await failTimes(5);
    await policy(vi.fn()).catch(() => {});
    await clock.advance(10_000);
    await failTimes(1);
    await clock.advance(20_000);
    await succeed();
    const name = 'gpt';
    expect(events).toEqual([
      { type: 'breaker.opened', name, why: 'consecutive', calls: 5, failures: 5, slow: 0, pauseMs: 10_000 },
      { type: 'breaker.rejected', name, retryAfterMs: 10_000 },
      { type: 'breaker.halfOpened', name },
      { type: 'breaker.opened', name, why: 'probes', calls: 1, failures: 1, slow: 0, pauseMs: 20_000 },
      { type: 'breaker.halfOpened', name },
      { type: 'breaker.closed', name, openMs: 30_000 },
    ]);
    expect(clock.pending).toBe(0);
  });

  it('shortens pauses by up to a fifth, by chance', async () => {
    const pauseAt = async (random: number) => {
      const { policy, failTimes } = setUp({ random: () => random });
      await failTimes(5);
      return policy.stats().pauseLeftMs;
    };
    expect(await Promise.all([0, 0.5, 1].map(pauseAt))).toEqual([10_000, 9_000, 8_000]);
  });

  it('doubles its pause each time up to the longest, and begins anew after it has stayed closed', async () => {
    const { failTimes, succeed, events, clock } = setUp({ probes: 1, maxPause: '35s' });
    await failTimes(5);
    for (const ms of [10_000, 20_000, 35_000]) {
      await clock.advance(ms);
      await failTimes(1);
    }
    await clock.advance(35_000);
    await succeed();
    await clock.advance(34_999);
    await failTimes(5);
    await clock.advance(35_000);
    await succeed();
    await clock.advance(35_000);
    await failTimes(5);
    const pauses = events.flatMap((event) => (event.type === 'breaker.opened' ? [event.pauseMs] : []));
    expect(pauses).toEqual([10_000, 20_000, 35_000, 35_000, 35_000, 10_000]);
  });
});

describe('a breaker that is half-open', () => {
  const halfOpen = async (options: BreakerOptions = {}) => {
    const set = setUp(options);
    await set.failTimes(5);
    await set.clock.advance(10_000);
    const begin = () => {
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      return { outcome: set.policy(() => promise).catch((error: Error) => error), resolve, reject };
    };
    return { ...set, begin };
  };

  it('lets as many probes through as it may, and no more', async () => {
    const { policy, begin, clock } = await halfOpen();
    expect([policy.state, policy.allows()]).toEqual(['half-open', true]);
    const probes = [begin(), begin(), begin()];
    expect(policy.allows()).toBe(false);
    await expect(policy(vi.fn())).rejects.toThrow('It is being tried again right now.');
    await clock.advance(4_000);
    await expect(policy(vi.fn())).rejects.toMatchObject({ details: { retryAfterMs: 6_000 } });
    probes[0]?.resolve('well');
    await probes[0]?.outcome;
    expect(policy.state).toBe('half-open');
    expect(policy.allows()).toBe(false);
    probes[1]?.resolve('well');
    await probes[1]?.outcome;
    expect(policy.state).toBe('closed');
  });

  it('opens again as soon as too many probes have failed to change that', async () => {
    const { policy, begin } = await halfOpen();
    for (const probe of [begin(), begin()]) {
      probe.reject(new Error('still down'));
      await probe.outcome;
    }
    expect(policy.stats()).toMatchObject({ state: 'open', pauseLeftMs: 20_000 });
    await expect(policy(vi.fn())).rejects.toThrow('2 of 2 probes have failed. It is tried again in 20000 ms.');
  });

  it('counts a slow probe as a bad one', async () => {
    const { policy, begin, clock } = await halfOpen({ probes: 1, slowCall: '1s' });
    const probe = begin();
    await clock.advance(1_000);
    probe.resolve('late');
    expect(await probe.outcome).toBe('late');
    await expect(policy(vi.fn())).rejects.toThrow('0 of 1 probes have failed, 1 took 1000 ms or longer');
  });

  it('gives the permit of a probe that says nothing to the next one', async () => {
    const { policy, begin } = await halfOpen({ probes: 1 });
    const probe = begin();
    expect(policy.allows()).toBe(false);
    probe.reject(Object.assign(new Error('x'), { status: 404 }));
    await probe.outcome;
    expect([policy.state, policy.allows()]).toEqual(['half-open', true]);
  });

  it('is not stuck when a probe never ends, and hears of it when it does', async () => {
    const { policy, begin, clock } = await halfOpen({ probes: 1 });
    const lost = begin();
    await clock.advance(9_999);
    expect(policy.allows()).toBe(false);
    await expect(policy(vi.fn())).rejects.toMatchObject({ details: { retryAfterMs: 1 } });
    await clock.advance(1);
    const next = begin();
    lost.resolve('after all');
    await lost.outcome;
    expect(policy.state).toBe('closed');
    next.reject(new Error('down'));
    await next.outcome;
    expect(policy.stats()).toMatchObject({ state: 'closed', failures: 1 });
  });

  it('is not closed or opened by calls that began before', async () => {
    const { policy, failTimes, clock } = setUp({ probes: 1 });
    const early = [true, false].map((isOk) => {
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      const outcome = policy(() => promise).catch((error: Error) => error);
      return { outcome, end: () => (isOk ? resolve('ok') : reject(new Error('down'))) };
    });
    await failTimes(5);
    await clock.advance(10_000);
    const probe = Promise.withResolvers<string>();
    const probing = policy(() => probe.promise);
    for (const { end, outcome } of early) {
      end();
      await outcome;
    }
    expect([policy.state, policy.allows()]).toEqual(['half-open', false]);
    probe.resolve('well');
    await probing;
    expect(policy.stats()).toMatchObject({ state: 'closed', calls: 0, opened: 1 });
  });
});

describe('a breaker by hand', () => {
  it('learns nothing from a call whose time was over before it began', async () => {
    const { policy } = setUp({ consecutive: 1 });
    const signal = AbortSignal.abort(new DOMException('too late', 'TimeoutError'));
    const work = vi.fn();
    await expect(policy(work, { signal })).rejects.toBe(signal.reason);
    expect(work).not.toHaveBeenCalled();
    expect(policy.stats()).toMatchObject({ state: 'closed', calls: 0 });
  });

  it('is held open until it is closed', async () => {
    const { policy, clock, succeed, events } = setUp();
    policy.open();
    policy.open();
    await clock.advance(1e9);
    const refusal = await policy(vi.fn()).catch((error: WarmpathError) => error);
    expect(refusal).toMatchObject({ message: "'gpt' is left alone: it is held open. Nobody knows until when." });
    expect((refusal as WarmpathError).details).not.toHaveProperty('retryAfterMs');
    expect(policy.stats()).toMatchObject({ state: 'open', pauseLeftMs: Number.POSITIVE_INFINITY, opened: 1 });
    policy.close();
    expect(await succeed()).toBe('ok');
    expect(events.map(({ type }) => type)).toEqual(['breaker.opened', 'breaker.rejected', 'breaker.closed']);
  });

  it('forgets failures and long pauses when it is closed', async () => {
    const { policy, failTimes, clock } = setUp({ probes: 1 });
    await failTimes(5);
    await clock.advance(10_000);
    await failTimes(1);
    policy.close();
    await failTimes(4);
    policy.close();
    await failTimes(4);
    expect(policy.state).toBe('closed');
    await failTimes(1);
    expect(policy.stats().pauseLeftMs).toBe(10_000);
  });

  it.each<[BreakerOptions, RegExp]>([
    [{ consecutive: 0 }, /'consecutive' must be a whole number from 1 up, got 0/],
    [{ failureRate: 0 }, /'failureRate' must be a share above 0 and up to 1/],
    [{ window: { calls: 0 } }, /'window' must be a duration above 0/],
    [{ window: { calls: 5 }, minCalls: 6 }, /'minCalls' must be no more than the window holds \(5\), got 6/],
    [{ pause: '2s', maxPause: '1s' }, /'pause' must be no longer than 'maxPause' \(1s\), got '2s'/],
    [{ slowRate: 0.2 }, /'slowRate' must be left out without 'slowCall'/],
    [{ halfOpen: 3 } as BreakerOptions, /there is no option 'halfOpen'/],
  ])('refuses bad options (%#)', (options, message) => {
    expect(() => breaker(options)).toThrow(message);
  });
});
