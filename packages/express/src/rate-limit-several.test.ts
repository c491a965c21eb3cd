import { describe, expect, it } from 'vitest';
import { limited, statuses } from '../test/limited.js';
import type { RateLimitOptions } from './rate-limit.js';

const limits: RateLimitOptions['limits'] = [
  { limit: 3, window: '1m' },
  { unit: 'tokens', limit: 1_000, window: '1h' },
  { limit: 5, per: 'day', timeZone: 'Europe/Berlin' },
];
const cost: RateLimitOptions['cost'] = (req) => ({ tokens: Number(req.get('x-tokens') ?? 0) });
const tokens = (count: number) => ({ 'x-tokens': String(count) });

describe('several limits', () => {
  it('are policies of their own in the headers, with their units', async () => {
    const { url } = await limited({ limits, cost });
    const { headers } = await fetch(url, { headers: tokens(400) });
    expect(headers.get('ratelimit-policy')?.split(', ')).toEqual([
      '"http:requests/1m";q=3;w=60',
      '"http:tokens/1h";q=1000;qu="warmpath-tokens";w=3600',
      '"http:requests/day";q=5;w=86400',
    ]);
    expect(headers.get('ratelimit')?.split(', ')).toEqual([
      '"http:requests/1m";r=2;t=60',
      '"http:tokens/1h";r=600;t=3600',
      '"http:requests/day";r=4;t=82800', // Berlin is an hour ahead
    ]);
  });

  it('refuse together, name the one that is violated and charge none of them', async () => {
    const { url, clock } = await limited({ limits, cost });
    expect(await statuses(url, tokens(900), tokens(200), tokens(200), tokens(200))).toEqual([200, 429, 429, 429]);
    const refused = await fetch(url, { headers: tokens(200) });
    expect(refused.headers.get('retry-after')).toBe('3600');
    expect(refused.headers.get('ratelimit')).toContain('"http:requests/1m";r=2;t=60, "http:tokens/1h";r=100;t=3600');
    expect(await refused.json()).toEqual({
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      title: 'Too many requests',
      status: 429,
      detail: "'http' allows 1000 tokens in 3600 s. Try again in 3600 s.",
      'violated-policies': ['http:tokens/1h'],
    });
    expect(await statuses(url, {}, {}, {})).toEqual([200, 200, 429]);
    await clock.advance(60_000);
    expect(await statuses(url, {}, {}, {})).toEqual([200, 200, 429]);
    expect(await (await fetch(url)).json()).toMatchObject({ 'violated-policies': ['http:requests/day'] });
  });

  it('say of one that holds for requests at the same time how many, and no window', async () => {
    const { url } = await limited({ limits: [{ limit: 60, window: '1m' }, { concurrent: 2 }] });
    const { headers } = await fetch(url);
    expect(headers.get('ratelimit-policy')).toBe(
      '"http:requests/1m";q=60;w=60, "http:concurrency";q=2;qu="concurrent-requests"',
    );
    expect(headers.get('ratelimit')).toMatch(/^"http:requests\/1m";r=59;t=60, "http:concurrency";r=1/);
  });

  it('refuse for good what is above one of them', async () => {
    const { url } = await limited({ limits, cost });
    const refused = await fetch(url, { headers: tokens(1_001) });
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, null]);
    expect(await refused.json()).toMatchObject({
      detail: "This request costs more than 'http' ever allows at once.",
      'violated-policies': ['http:tokens/1h'],
    });
  });
});
