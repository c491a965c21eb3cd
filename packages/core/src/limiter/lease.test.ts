import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../testing/index.js';
import { createLimiter, type Lease, type LimiterEvent, type LimiterOptions, type ReserveCall } from './index.js';

function setUp(options: Partial<LimiterOptions> = {}) {
  const clock = createFakeClock();
  const settled: LimiterEvent[] = [];
  const limits = [{ unit: 'tokens', limit: 1_000_000, window: '1m' as const }];
  const onEvent = (event: LimiterEvent): void => {
    if (event.type === 'limiter.settled') settled.push(event);
  };
  const limiter = createLimiter({ name: 'test', limits, clock, onEvent, ...options });
  const reserve = (cost?: Parameters<typeof limiter.tryReserve>[1], call?: ReserveCall): Lease => {
    const reservation = limiter.tryReserve('', cost, call);
    if (!reservation.ok) throw new Error('No room');
    return reservation.lease;
  };
  return { clock, limiter, reserve, settled };
}

const used = (limiter: ReturnType<typeof setUp>['limiter']): number | undefined => limiter.status().dimensions[0]?.used;

describe('a lease', () => {
  it('leaves the input as reserved where but the output is named, also for a limit on both, and the other way round', () => {
    const { limiter, reserve } = setUp();
    reserve({ inputTokens: 900, outputTokens: 100 }).settle({ outputTokens: 40 });
    expect(used(limiter)).toBe(940);
    reserve({ inputTokens: 900, outputTokens: 100 }).settle({ inputTokens: 800 });
    expect(used(limiter)).toBe(940 + 900);
  });

  it('tells what was used in the end, however that is written', () => {
    const { reserve, settled } = setUp();
    reserve({ tokens: 10 }).settle({ inputTokens: 3, outputTokens: 4 });
    reserve({ tokens: 10 }).settle(6);
    reserve({ tokens: 10 }).settle(0);
    reserve({ tokens: 10 }).settle();
    expect(settled).toMatchObject([
      { reserved: { tokens: 10 }, actual: { tokens: 7, inputTokens: 3, outputTokens: 4 } },
      { actual: { tokens: 6 } },
      { actual: { tokens: 0 } },
      { actual: { tokens: 10 } },
    ]);
  });

  it('teaches nothing about answers that nobody has counted: calls never sent, and ends of `using` blocks', () => {
    const { reserve } = setUp({ limits: [{ unit: 'outputTokens', limit: 1_000_000, window: '1m' }] });
    const call = { estimate: { model: 'm', maxOutputTokens: 1_000 } };
    for (let turn = 0; turn < 260; turn++) {
      reserve({ inputTokens: 1 }, call).settle({ outputTokens: 10 });
      reserve({ inputTokens: 1 }, call).settle(0);
      reserve({ inputTokens: 1 }, call)[Symbol.dispose]();
    }
    expect(reserve({ inputTokens: 1 }, call).reserved.outputTokens).toBeLessThan(20);
  });

  it('is settled at no endless cost, which would never be paid off', () => {
    const { limiter, reserve } = setUp();
    const lease = reserve({ tokens: 10 });
    const endless = Number.POSITIVE_INFINITY;
    expect(() => lease.settle({ tokens: endless })).toThrow("'actual.tokens' must be a finite number");
    expect(() => lease.settle(endless)).toThrow("'actual' must be a finite number");
    lease.settle(5);
    expect(used(limiter)).toBe(5);
  });

  it('counts as open until it is settled or has expired', async () => {
    const { clock, limiter, reserve } = setUp({ leaseTtl: '1s' });
    const [first, second] = [reserve(1), reserve(1), reserve(1)];
    expect(limiter.status().reserved).toBe(3);
    first?.settle();
    second?.extend('3s');
    expect(limiter.status().reserved).toBe(2);
    await clock.advance(1_000);
    expect(limiter.status().reserved).toBe(1);
    await clock.advance(2_000);
    expect(limiter.status().reserved).toBe(0);
  });
});

describe('a limiter', () => {
  it.each(['5', true, 5n])('refuses amounts that are no numbers: %s would be added to others as it is', (tokens) => {
    const { limiter } = setUp();
    const cost = { tokens } as unknown as { tokens: number };
    expect(() => limiter.tryTake('', cost)).toThrow("option 'cost.tokens' must be a number from 0 up");
    expect(used(limiter)).toBe(0);
  });

  it('refuses a signal that is none, before anybody waits', async () => {
    const { limiter } = setUp({ limits: [{ limit: 1, window: '1m' }] });
    limiter.tryTake();
    const call: object = { signal: new AbortController() };
    await expect(limiter.take('', 1, call)).rejects.toThrow("option 'signal' must be an AbortSignal");
    expect(limiter.status().waiting).toBe(0);
  });

  it('tells of a refusal in the name of its provider how its own limits stand, and the longer of both waits', () => {
    const tokens = { unit: 'tokens', limit: 1_000, window: '1m' as const };
    const { limiter } = setUp({ limits: [tokens, { limit: 2, window: '1m' }] });
    limiter.tryTake('', { tokens: 1 });
    limiter.observe({
      status: 200,
      headers: { 'x-ratelimit-remaining-tokens': '100', 'x-ratelimit-reset-tokens': '30' },
    });
    expect(limiter.tryTake('', { tokens: 200 }).dimensions).toMatchObject([
      { waitMs: 30_000, remaining: 0 },
      { waitMs: 0, remaining: 1 },
    ]);
    limiter.tryTake('', { tokens: 1 });
    expect(limiter.tryTake('', { tokens: 200 })).toMatchObject({ waitMs: 60_000, dimension: 'requests/1m' });
  });

  it('predicts waits by the rate that feedback has left', async () => {
    const { clock, limiter } = setUp({ limits: [{ limit: 10, window: '1m' }] });
    limiter.observe({ status: 429 });
    for (let turn = 0; turn < 5; turn++) limiter.tryTake();
    await expect(limiter.take('', 1, { timeout: '1s' })).resolves.toMatchObject({ reason: 'deadline', waitMs: 60_000 });
    expect(clock.now()).toBe(0);
  });
});
