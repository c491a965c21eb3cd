import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../testing/index.js';
import { createLimiter, rateLimitHeaders } from './index.js';

function headersOf(options: { name?: string; limit?: number; window?: number; burst?: number }, take: number[]) {
  const limiter = createLimiter({ name: 'burst', limit: 10, window: 60_000, ...options, clock: createFakeClock() });
  return take.map((weight) => rateLimitHeaders(limiter, limiter.tryTake('', weight))).at(-1);
}

describe('rateLimitHeaders', () => {
  it('tells the policy, what is left and when the bucket is full, on an answer that passes', () => {
    expect(headersOf({}, [1])).toEqual({
      'RateLimit-Policy': '"burst";q=10;w=60',
      RateLimit: '"burst";r=9;t=6',
    });
  });

  it('tells a refused client when to come back, in whole seconds, rounded up', () => {
    expect(headersOf({}, [10, 1])).toEqual({
      'RateLimit-Policy': '"burst";q=10;w=60',
      RateLimit: '"burst";r=0;t=6',
      'Retry-After': '6',
    });
    expect(headersOf({ limit: 10, window: 1_500 }, [10, 1])).toMatchObject({
      'RateLimit-Policy': '"burst";q=10;w=2',
      'Retry-After': '1',
    });
    expect(headersOf({ limit: 1, window: 1_001 }, [1, 1])).toMatchObject({ 'Retry-After': '2' });
    expect(headersOf({ limit: 1, window: 3_000 }, [1, 1])).toMatchObject({ 'Retry-After': '3' });
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
    expect(headersOf({ name: 'a "quoted" \\ name' }, [1])?.RateLimit).toBe('"a \\"quoted\\" \\\\ name";r=9;t=6');
    expect(headersOf({ name: 'Größe\r\nSet-Cookie: x' }, [1])?.RateLimit).toBe('"Gr??e??Set-Cookie: x";r=9;t=6');
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
