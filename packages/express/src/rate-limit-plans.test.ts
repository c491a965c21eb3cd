import { describe, expect, it } from 'vitest';
import { limited, statuses } from '../test/limited.js';
import { type RateLimitOptions, rateLimit } from './rate-limit.js';

/** What the app knows of its customers. */
const planOf: Readonly<Record<string, string>> = { acme: 'pro', globex: 'free', initech: 'free', hooli: 'gone' };

const byPlan: RateLimitOptions = {
  plans: {
    free: [{ limit: 2, window: '1m' }],
    pro: [
      { limit: 4, window: '1m' },
      { limit: 5, per: 'day' },
    ],
  },
  plan: (req) => planOf[req.get('x-tenant') ?? ''] ?? 'free',
};
const as = (tenant: string) => ({ 'x-tenant': tenant });

describe('a plan for each tenant', () => {
  it('gives each tenant the limits of its plan, and each its own quota', async () => {
    const { url, clock, runtime } = await limited(byPlan);
    const asked = ['globex', 'globex', 'globex', 'initech', 'acme', 'acme', 'acme', 'acme', 'acme'].map(as);
    expect(await statuses(url, ...asked)).toEqual([200, 200, 429, 200, 200, 200, 200, 200, 429]);
    await clock.advance(60_000);
    expect(await statuses(url, as('acme'), as('acme'), as('globex'))).toEqual([200, 429, 200]);
    expect(runtime.snapshot().limiters).toMatchObject({
      'http.free': { allowed: 4, refused: 1, keys: 2 },
      'http.pro': { allowed: 5, refused: 2, keys: 1 },
    });
  });

  it('says which plan it was in the headers', async () => {
    const { url } = await limited({ ...byPlan, name: 'api' });
    expect((await fetch(url)).headers.get('ratelimit-policy')).toBe('"api.free";q=2;w=60');
    expect((await fetch(url, { headers: as('acme') })).headers.get('ratelimit-policy')).toBe(
      '"api.pro:requests/1m";q=4;w=60, "api.pro:requests/day";q=5;w=86400',
    );
  });

  it('fails, rather than passes, for a plan that does not exist', async () => {
    const { url } = await limited(byPlan);
    expect(await statuses(url, as('hooli'))).toEqual([500]);
  });

  it.each<[unknown, RegExp]>([
    [{ plans: byPlan.plans }, /option 'plan' must be given beside 'plans'/],
    [{ plan: byPlan.plan }, /option 'plans' must be given beside 'plan'/],
    [{ ...byPlan, plans: {} }, /option 'plans' must be a list of limits for each plan/],
    [{ ...byPlan, plans: { free: { limit: 1, window: '1s' } } }, /option 'plans' must be a list of limits for each/],
    [{ ...byPlan, plans: { free: [] } }, /option 'plans' must be a list of limits for each/],
    [{ ...byPlan, plans: { free: [{ limit: 1 }] } }, /option 'window' must be/],
    [{ ...byPlan, limit: 5, window: '1s' }, /option 'limit' must be left out beside 'limits'/],
  ])('refuses %j', (options, message) => {
    expect(() => rateLimit(options as RateLimitOptions)).toThrow(message);
  });
});
