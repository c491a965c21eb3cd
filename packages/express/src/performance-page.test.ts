import { createWarmpath, type PerformanceSnapshot } from '@warmpath/core';
import { createFakeClock, memoryStore } from '@warmpath/core/testing';
import { describe, expect, it } from 'vitest';
import { serve } from '../test/serve.js';
import { performancePage } from './performance-page.js';
import { type WarmpathMiddlewareOptions, warmpath } from './warmpath.js';

/** An app in which everything that passes by warmpath() is answered with 299. */
function served(options: WarmpathMiddlewareOptions, mountedAt = '/'): Promise<string> {
  return serve((app) => {
    app.use(mountedAt, warmpath(options));
    app.use((_req, res) => {
      res.status(299).send('passed by');
    });
  });
}

async function statusOf(url: string, method = 'GET'): Promise<number> {
  const answer = await fetch(url, { method });
  await answer.text();
  return answer.status;
}

describe('the performance page', () => {
  it('shows what the runtime has done, as JSON that nobody keeps', async () => {
    const runtime = createWarmpath();
    const url = await served({ runtime, rateLimit: { limit: 1, window: '1h' } });
    await runtime.cache('docs').getOrSet('key', () => 'value');
    await runtime.cache('docs').getOrSet('key', () => 'value');
    expect([await statusOf(url), await statusOf(url)]).toEqual([299, 429]);
    const answer = await fetch(`${url}/performance`);
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(await answer.json()).toMatchObject({
      uptimeMs: expect.any(Number),
      caches: { docs: { hits: { memory: 1 }, misses: 1, hitRate: 0.5 } },
      limiters: { http: { allowed: 1, refused: 1 } },
    });
  });

  it('shows of a cache what came from where, what was served stale and refreshed, and what its store has done', async () => {
    const clock = createFakeClock();
    const runtime = createWarmpath({
      clock,
      cache: { store: memoryStore(), ttl: '1s', grace: '1m', staleWhileRevalidate: '10s' },
    });
    const url = await served({ runtime });
    const rates = runtime.cache('rates');
    const slowly = async () => {
      await clock.advance(40);
      return 1;
    };
    await rates.getOrSet('EUR', slowly);
    await clock.advance(1_000);
    await rates.getOrSet('EUR', () => 2);
    await clock.advance(12_000);
    await rates.getOrSet('EUR', () => Promise.reject(new Error('closed')));
    const { caches } = (await (await fetch(`${url}/performance`)).json()) as PerformanceSnapshot;
    expect(caches.rates).toEqual({
      hits: { memory: 2, store: 0, shared: 0 },
      staleHits: 2,
      misses: 2,
      failures: 1,
      refreshes: 1,
      evictions: 0,
      rejected: 0,
      storeFailures: 0,
      savedMs: 40,
      hitRate: 0.5,
    });
  });

  it('is not counted by the rate limit, so that it can be watched', async () => {
    const url = await served({ rateLimit: { limit: 1, window: '1h' } });
    const statuses = [];
    for (let asked = 0; asked < 5; asked++) statuses.push(await statusOf(`${url}/performance?refresh=${asked}`));
    expect(statuses).toEqual([200, 200, 200, 200, 200]);
  });

  it('answers HEAD without a body', async () => {
    const answer = await fetch(`${await served({})}/performance`, { method: 'HEAD' });
    expect([answer.status, await answer.text()]).toEqual([200, '']);
  });

  it.each([
    ['POST', '/performance'],
    ['DELETE', '/performance'],
    ['GET', '/performance/more'],
    ['GET', '/performances'],
    ['GET', '/performance//'],
    ['GET', '/x/performance'],
    ['GET', '/'],
  ])('lets %s %s pass by', async (method, path) => {
    expect(await statusOf(`${await served({})}${path}`, method)).toBe(299);
  });

  it("takes a slash at the end for the same path, as Express' routes do", async () => {
    expect(await statusOf(`${await served({})}/performance/`)).toBe(200);
  });

  it('lies under the path that warmpath() is mounted at', async () => {
    const url = await served({}, '/ai');
    expect([await statusOf(`${url}/ai/performance`), await statusOf(`${url}/performance`)]).toEqual([200, 299]);
  });

  it('lies at a path of your own, or nowhere', async () => {
    const own = await served({ performance: '/internal/warm' });
    expect([await statusOf(`${own}/internal/warm`), await statusOf(`${own}/performance`)]).toEqual([200, 299]);
    expect(await statusOf(`${await served({ performance: false })}/performance`)).toBe(299);
  });

  it('works alone', async () => {
    const url = await serve((app) => app.use(performancePage(createWarmpath(), '/stats')));
    expect(await statusOf(`${url}/stats`)).toBe(200);
  });
});
