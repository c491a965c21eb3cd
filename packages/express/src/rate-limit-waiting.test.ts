import { createLimiter, type Limiter } from '@warmpath/core';
import { createFakeClock, type FakeClock } from '@warmpath/core/testing';
import { describe, expect, it, vi } from 'vitest';
import { answering, limited, statuses } from '../test/limited.js';
import { type RateLimitOptions, rateLimit } from './rate-limit.js';

const oneASecond = { limit: 1, window: '1s', wait: '3s' } as const;

interface Alone {
  readonly url: string;
  readonly clock: FakeClock;
  readonly limiter: () => Limiter;
}

/** `rateLimit()` without `warmpath()` before it. */
async function alone(options: RateLimitOptions): Promise<Alone> {
  const clock = createFakeClock();
  const made: Limiter[] = [];
  const url = await answering((app) => {
    const limit = rateLimit(options, (name, own) => {
      const limiter = createLimiter({ name, clock, ...own });
      made.push(limiter);
      return limiter;
    });
    app.use(limit);
  });
  const limiter = () => made[0] ?? expect.fail('no limiter was made');
  return { url, clock, limiter };
}

async function untilWaiting(limiter: Limiter, count: number): Promise<void> {
  await expect.poll(() => limiter.status().waiting).toBe(count);
}

describe('a request that may wait', () => {
  it('is answered when it is its turn, and told what is left then', async () => {
    const { url, clock, runtime } = await limited(oneASecond);
    expect(await statuses(url, {})).toEqual([200]);
    const second = fetch(url);
    await untilWaiting(runtime.limiter('http'), 1);
    await clock.advance(1_000);
    const answer = await second;
    expect([answer.status, answer.headers.get('ratelimit')]).toEqual([200, '"http";r=0;t=1']);
  });

  it('is refused at once where its turn would come too late', async () => {
    const { url, clock, limiter } = await alone(oneASecond);
    const waiting = [1, 2, 3, 4].map(() => fetch(url));
    await untilWaiting(limiter(), 3);
    const refused = await fetch(url);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '4']);
    await clock.advance(3_000);
    expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  });

  it('is refused where as many wait as may', async () => {
    const { url, clock, limiter } = await alone({ ...oneASecond, maxWaiting: 1 });
    const waiting = [fetch(url), fetch(url)];
    await untilWaiting(limiter(), 1);
    const refused = await fetch(url);
    expect(await refused.json()).toMatchObject({
      status: 429,
      detail: expect.stringContaining("As many requests as may wait for 'http' do."),
    });
    await clock.advance(1_000);
    await Promise.all(waiting);
  });

  it.each([
    [
      'with warmpath()',
      async () => limited(oneASecond).then((app) => ({ ...app, limiter: () => app.runtime.limiter('http') })),
    ],
    ['alone', () => alone(oneASecond)],
  ])('spends nothing when its client leaves, %s', async (_how, start) => {
    const { url, clock, limiter } = await start();
    await fetch(url);
    const leaving = new AbortController();
    const left = fetch(url, { signal: leaving.signal });
    await untilWaiting(limiter(), 1);
    leaving.abort();
    await expect(left).rejects.toThrow('aborted');
    await untilWaiting(limiter(), 0);
    await clock.advance(1_000);
    expect(await statuses(url, {})).toEqual([200]);
  });

  it('is let alone where somebody else has answered it meanwhile', async () => {
    const route = vi.fn();
    const clock = createFakeClock();
    const limiter = createLimiter({ name: 'http', clock, limit: 1, window: '1s' });
    limiter.tryTake('all');
    const url = await answering((app) => {
      app.use((_req, res, next) => {
        clock.schedule(500, () => res.status(504).send('too late'));
        next();
      });
      app.use(
        rateLimit({ ...oneASecond, key: () => 'all' }, () => limiter),
        route,
      );
    });
    const answer = fetch(url);
    await untilWaiting(limiter, 1);
    await clock.advance(1_000);
    expect((await answer).status).toBe(504);
    expect(route).not.toHaveBeenCalled();
  });

  it('goes before others by its priority, and tenants take turns', async () => {
    const order: string[] = [];
    const { url, clock, runtime } = await limited(
      { ...oneASecond, wait: '1m', key: () => 'all', priority: (req) => Number(req.get('x-priority') ?? 5) },
      (app) =>
        app.use((req, _res, next) => {
          order.push(String(req.get('x-who')));
          next();
        }),
    );
    const asked: Promise<Response>[] = [];
    const ask = async (who: string, tenant: string, priority = 5): Promise<void> => {
      const headers = { 'x-who': who, 'x-tenant': tenant, 'x-priority': String(priority) };
      asked.push(fetch(url, { headers }));
      await untilWaiting(runtime.limiter('http'), asked.length - 1);
    };
    await ask('first', 'a');
    for (const who of ['a1', 'a2', 'a3']) await ask(who, 'a');
    await ask('b1', 'b');
    await ask('urgent', 'c', 0);
    await clock.advance(5_000);
    await Promise.all(asked);
    expect(order.slice(0, 3)).toEqual(['first', 'urgent', 'a1']);
    expect(order.indexOf('b1')).toBeLessThan(order.indexOf('a3')); // one request of each tenant, give or take one
  });
});
