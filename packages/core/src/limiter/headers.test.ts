import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../testing/index.js';
import { type Cost, createLimiter, type LimiterOptions, rateLimitHeaders } from './index.js';

/** Of the last decision. */
function headersOf(options: Partial<LimiterOptions>, take: readonly Cost[]) {
  const single = options.limits ? {} : { limit: 10, window: 60_000 };
  const limiter = createLimiter({ name: 'burst', ...single, ...options, clock: createFakeClock() });
  return take.map((cost) => rateLimitHeaders(limiter, limiter.tryTake('', cost))).at(-1);
}

describe('rateLimitHeaders', () => {
  it('tells the policy, what is left and when all of it is there again, on an answer that passes', () => {
    expect(headersOf({}, [1])).toEqual({
      'RateLimit-Policy': '"burst";q=10;w=60',
      RateLimit: '"burst";r=9;t=60',
    });
  });

  it('tells a refused client when to come back, in whole seconds, rounded up', () => {
    expect(headersOf({}, [10, 1])).toEqual({
      'RateLimit-Policy': '"burst";q=10;w=60',
      RateLimit: '"burst";r=0;t=60',
      'Retry-After': '60',
    });
    expect(headersOf({ limit: 10, window: 1_500 }, [10, 1])).toMatchObject({
      'RateLimit-Policy': '"burst";q=10;w=2',
      'Retry-After': '2',
    });
    expect(headersOf({ limit: 1, window: 1_001 }, [1, 1])).toMatchObject({ 'Retry-After': '2' });
    expect(headersOf({ limit: 1, window: 3_000 }, [1, 1])).toMatchObject({ 'Retry-After': '3' });
  });

  it('says when a request of the same cost passes, which may be before all of it is there again', () => {
    expect(headersOf({ limit: 60, burst: 2 }, [2, 1])).toEqual({
      'RateLimit-Policy': '"burst";q=60;w=60',
      RateLimit: '"burst";r=0;t=1',
      'Retry-After': '1',
    });
  });

  it('gives each of several limits a policy of its own, with its unit', () => {
    const limits: LimiterOptions['limits'] = [
      { limit: 10, window: '1m' },
      { unit: 'tokens', limit: 1_000, window: '10s' },
      { name: 'daily', unit: 'usd', limit: 5, per: 'day' },
    ];
    const cost = { tokens: 600, usd: 1.5 };
    expect(headersOf({ limits }, [cost])).toEqual({
      'RateLimit-Policy':
        '"burst:requests/1m";q=10;w=60, "burst:tokens/10s";q=1000;qu="warmpath-tokens";w=10, "burst:daily";q=5;qu="warmpath-usd";w=86400',
      RateLimit: '"burst:requests/1m";r=9;t=60, "burst:tokens/10s";r=400;t=10, "burst:daily";r=3;t=86400',
    });
    // Of those that have room `t` says when all is there again, of the one that has none when the request fits.
    expect(headersOf({ limits }, [cost, cost])).toMatchObject({
      RateLimit: '"burst:requests/1m";r=9;t=60, "burst:tokens/10s";r=400;t=10, "burst:daily";r=3;t=86400',
      'Retry-After': '10',
    });
  });

  it('says of a limit on concurrency how many requests, and of no window', () => {
    const limiter = createLimiter({ name: 'burst', limits: [{ concurrent: 3 }], clock: createFakeClock() });
    expect(rateLimitHeaders(limiter, limiter.tryReserve())).toMatchObject({
      'RateLimit-Policy': '"burst";q=3;qu="concurrent-requests"',
      RateLimit: expect.stringMatching(/^"burst";r=2(;|$)/),
    });
  });

  it('never lets Retry-After lie before t', () => {
    for (const window of [1, 10, 999, 1_000, 1_001, 59_999.5]) {
      const { RateLimit = '', 'Retry-After': after } = headersOf({ limit: 1, window }, [1, 1]) ?? {};
      expect(Number(after)).toBeGreaterThanOrEqual(Number(/;t=(\d+)/.exec(RateLimit)?.[1]));
      expect(Number(after) * 1_000).toBeGreaterThanOrEqual(window);
    }
  });

  it('names no instant for what would never pass', () => {
    expect(headersOf({ limit: 10, burst: 5 }, [6])).toEqual({
      'RateLimit-Policy': '"burst";q=10;w=60',
      RateLimit: '"burst";r=5',
    });
  });

  it('writes any name as a Structured Field String', () => {
    expect(headersOf({ name: 'a "quoted" \\ name' }, [1])?.RateLimit).toBe('"a \\"quoted\\" \\\\ name";r=9;t=60');
    expect(headersOf({ name: 'Größe\r\nSet-Cookie: x' }, [1])?.RateLimit).toBe('"Gr??e??Set-Cookie: x";r=9;t=60');
  });

  it('writes whole numbers only, of 15 digits at the most', () => {
    expect(headersOf({ limit: 2.5, window: 500 }, [0.25])).toEqual({
      'RateLimit-Policy': '"burst";q=2;w=1',
      RateLimit: '"burst";r=2;t=1',
    });
    expect(headersOf({ limit: 1e21, window: 1e30 }, [1])).toEqual({
      'RateLimit-Policy': '"burst";q=999999999999999;w=999999999999999',
      RateLimit: expect.stringMatching(/^"burst";r=999999999999999;t=\d{1,15}$/),
    });
  });
});
