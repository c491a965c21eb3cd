import { once } from 'node:events';
import { request } from 'node:http';
import { createLimiter } from '@warmpath/core';
import { createFakeClock } from '@warmpath/core/testing';
import express, { type Request } from 'express';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { answering, limited, statuses } from '../test/limited.js';
import { rateLimit } from './rate-limit.js';
import { warmpath } from './warmpath.js';

const from = (address: string) => ({ 'x-forwarded-for': address });

describe('the headers of a rate limit', () => {
  it('say on each answer what the policy is, what is left, and in how many seconds all of it is there again', async () => {
    const { url, clock } = await limited({ limit: 3, window: '1m' });
    const seen: unknown[] = [];
    const ask = async () => {
      const { status, headers } = await fetch(url);
      seen.push([status, headers.get('ratelimit-policy'), headers.get('ratelimit'), headers.get('retry-after')]);
    };
    await ask();
    await ask();
    await clock.advance(20_000);
    await ask();
    await ask(); // refused: `t` says when the same request passes
    await clock.advance(40_000);
    await ask();
    expect(seen).toEqual([
      [200, '"http";q=3;w=60', '"http";r=2;t=60', null],
      [200, '"http";q=3;w=60', '"http";r=1;t=60', null],
      [200, '"http";q=3;w=60', '"http";r=0;t=60', null],
      [429, '"http";q=3;w=60', '"http";r=0;t=40', '40'],
      [200, '"http";q=3;w=60', '"http";r=1;t=60', null],
    ]);
  });

  it('are on failures and on answers of other handlers too', async () => {
    const url = await answering((app) => {
      app.use(warmpath({ rateLimit: { limit: 3, window: '1m' } }), express.json());
    });
    const answer = await fetch(url, { method: 'POST', body: '{', headers: { 'content-type': 'application/json' } });
    expect([answer.status, answer.headers.get('ratelimit')]).toEqual([400, '"http";r=2;t=60']);
  });

  it('join the policies of several limits, each under its name', async () => {
    const url = await answering((app) => {
      app.use(warmpath({ rateLimit: { limit: 100, window: '1h' } }));
      app.use(
        rateLimit({ name: 'chat', limit: 2, window: '10s' }),
        rateLimit({ name: 'a "b"', limit: 5, window: '1s' }),
      );
    });
    const answer = await fetch(url);
    expect(answer.headers.get('ratelimit-policy')).toBe('"http";q=100;w=3600, "chat";q=2;w=10, "a \\"b\\"";q=5;w=1');
    expect(answer.headers.get('ratelimit')).toBe('"http";r=99;t=3600, "chat";r=1;t=10, "a \\"b\\"";r=4;t=1');
  });

  it('stay whole numbers of at most 15 digits for any limit', async () => {
    const url = await answering((app) => {
      app.use(rateLimit({ name: 'huge', limit: 1e20, burst: 1e19, window: '1d' }));
      app.use(rateLimit({ name: 'slow', limit: 0.5, window: '1d' }));
    });
    const { headers } = await fetch(url);
    const item = /^"\w+"(;[a-z]=\d{1,15})+$/;
    for (const name of ['ratelimit', 'ratelimit-policy']) {
      for (const part of (headers.get(name) ?? '').split(', ')) expect(part).toMatch(item);
    }
  });
});

describe('a refusal', () => {
  it('is 429 with a problem document of the registered type and when to come back', async () => {
    const { url } = await limited({ limit: 2, window: '1m', name: 'questions' });
    expect(await statuses(url, {}, {})).toEqual([200, 200]);
    const answer = await fetch(url);
    expect(answer.status).toBe(429);
    expect(answer.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
    expect(answer.headers.get('retry-after')).toBe('60');
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(await answer.json()).toEqual({
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      title: 'Too many requests',
      status: 429,
      detail: "'questions' allows 2 requests in 60 s. Try again in 60 s.",
      'violated-policies': ['questions'],
    });
  });

  it('never reaches the route', async () => {
    const route = vi.fn();
    const url = await answering((app) => {
      app.use(rateLimit({ limit: 1, window: '1h' }), (_req, _res, next) => {
        route();
        next();
      });
    });
    expect(await statuses(url, {}, {}, {})).toEqual([200, 429, 429]);
    expect(route).toHaveBeenCalledTimes(1);
  });

  it('ends when Retry-After says so', async () => {
    const { url, clock } = await limited({ limit: 2, window: '1m' });
    await statuses(url, {}, {});
    const seconds = Number((await fetch(url)).headers.get('retry-after'));
    await clock.advance(seconds * 1_000);
    expect(await statuses(url, {}, {}, {})).toEqual([200, 200, 429]);
  });

  it('has one Retry-After, its own, whatever a handler before it had said', async () => {
    const url = await answering((app) => {
      app.use((_req, res, next) => {
        res.set('Retry-After', '3600');
        next();
      });
      app.use(rateLimit({ limit: 1, window: '10s' }));
    });
    await fetch(url);
    expect((await fetch(url)).headers.get('retry-after')).toBe('10');
  });

  it('answers HEAD without a body', async () => {
    const { url } = await limited({ limit: 1, window: '1m' });
    await fetch(url);
    const answer = await fetch(url, { method: 'HEAD' });
    expect([answer.status, answer.headers.get('retry-after'), await answer.text()]).toEqual([429, '60', '']);
  });
});

describe('who counts as one client', () => {
  it('is the tenant before the address', async () => {
    const { url } = await limited({ limit: 1, window: '1h' });
    const acme = { 'x-tenant': 'acme' };
    expect(
      await statuses(
        url,
        { ...acme, ...from('203.0.113.1') },
        { ...acme, ...from('203.0.113.2') },
        { 'x-tenant': 'other', ...from('203.0.113.1') },
        from('203.0.113.1'),
        { 'x-tenant': 'ip:203.0.113.1', ...from('203.0.113.9') },
      ),
    ).toEqual([200, 429, 200, 200, 200]);
  });

  it('is the address where there is no tenant, and for IPv6 its /56', async () => {
    const { url } = await limited({ limit: 1, window: '1h' });
    expect(
      await statuses(
        url,
        from('203.0.113.1'),
        from('::ffff:203.0.113.1'),
        from('203.0.113.2'),
        from('2001:db8:1:200::1'),
        from('2001:db8:1:2ff::2'),
        from('2001:db8:1:300::1'),
      ),
    ).toEqual([200, 429, 200, 200, 429, 200]);
  });

  it('is still somebody when the client has left and its address with it', async () => {
    const { promise: counted, resolve: count } = Promise.withResolvers<string | undefined>();
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
    const url = await answering((app) => {
      app.use(async (_req, res, next) => {
        arrive();
        await once(res, 'close');
        next();
      });
      app.use(rateLimit({ limit: 1, window: '1h' }), (req, _res, next) => {
        count(req.ip);
        next();
      });
    });
    const client = request(url).on('error', () => {});
    client.end();
    await arrived;
    client.destroy();
    expect(await counted).toBeUndefined();
  });

  it('is what the key function says', async () => {
    const { url } = await limited({ limit: 1, window: '1h', key: (req) => req.get('x-key') ?? 'none' });
    expect(await statuses(url, { 'x-key': 'a' }, { 'x-key': 'a' }, { 'x-key': 'b' }, {})).toEqual([200, 429, 200, 200]);
  });

  it.each([
    ['nothing', () => undefined],
    ['a promise, which would be a new client each time', async () => 'a'],
  ])('is never %s', async (_name, key) => {
    const { url } = await limited({ limit: 1, window: '1h', key: key as unknown as () => string });
    const answer = await fetch(url);
    expect(answer.status).toBe(500);
  });

  it('is warned about once when a proxy hides all clients behind its own address', async () => {
    vi.resetModules();
    const { rateLimit: fresh } = await import('./rate-limit.js');
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    onTestFinished(() => warn.mockRestore());
    const options = { limit: 10, window: '1h' } as const;
    const trusting = await answering((app) => app.set('trust proxy', 1).use(fresh(options)));
    const own = await answering((app) => app.use(fresh({ ...options, key: () => 'all' })));
    const hidden = await answering((app) => app.use(fresh(options), fresh({ ...options, name: 'second' })));
    await statuses(trusting, from('203.0.113.1'));
    await statuses(own, from('203.0.113.1'));
    await statuses(hidden, {});
    expect(warn).not.toHaveBeenCalled();
    await statuses(hidden, from('203.0.113.1'), from('203.0.113.2'));
    expect(warn.mock.calls).toEqual([[expect.stringContaining('trust proxy'), { code: 'WARMPATH_TRUST_PROXY' }]]);
  });
});

describe('what a request costs', () => {
  const cost = (req: Request) => Number(req.get('x-cost') ?? 1);
  const costing = (units: number) => ({ 'x-cost': String(units) });

  it('is one unit, or what the app says; 0 passes also when nothing is left', async () => {
    const { url } = await limited({ limit: 5, window: '1h', cost });
    expect(await statuses(url, costing(3), costing(3), costing(2), costing(1), costing(0))).toEqual([
      200, 429, 200, 429, 200,
    ]);
  });

  it('is refused for good above the burst: no time to come back is given', async () => {
    const { url } = await limited({ limit: 5, burst: 2, window: '1h', cost });
    const answer = await fetch(url, { headers: costing(3) });
    expect(answer.status).toBe(429);
    expect(answer.headers.get('retry-after')).toBeNull();
    expect(answer.headers.get('ratelimit')).toBe('"http";r=2');
    expect(await answer.json()).toMatchObject({ detail: "This request costs more than 'http' ever allows at once." });
    expect(await statuses(url, costing(2))).toEqual([200]);
  });

  it.each(['-1', 'x'])('fails, rather than passes, where that is %s', async (units) => {
    const { url, runtime } = await limited({ limit: 5, window: '1h', cost });
    expect(await statuses(url, { 'x-cost': units })).toEqual([500]);
    expect(runtime.snapshot().limiters).toMatchObject({ http: { allowed: 0, refused: 0, keys: 0 } });
  });

  it('is nothing for what is skipped, which is told nothing either', async () => {
    const { url } = await limited({ limit: 1, window: '1h', skip: (req) => req.path === '/health' });
    const answer = await fetch(`${url}/health`);
    expect([answer.headers.get('ratelimit'), answer.headers.get('ratelimit-policy')]).toEqual([null, null]);
    expect(await statuses(`${url}/health`, {}, {})).toEqual([200, 200]);
    expect(await statuses(url, {}, {})).toEqual([200, 429]);
    expect(await statuses(`${url}/health`, {})).toEqual([200]);
  });

  it('lets a burst through at once and then the rate', async () => {
    const { url, clock } = await limited({ limit: 60, window: '1m', burst: 2 });
    expect(await statuses(url, {}, {}, {})).toEqual([200, 200, 429]);
    await clock.advance(1_000);
    expect(await statuses(url, {}, {})).toEqual([200, 429]);
  });
});

describe('rateLimit() alone', () => {
  it('works without warmpath(), by address, on one route', async () => {
    const url = await answering((app) => {
      app.get('/limited', rateLimit({ limit: 1, window: '1h' }));
    });
    expect(await statuses(`${url}/limited`, {}, {})).toEqual([200, 429]);
    expect(await statuses(`${url}/free`, {}, {})).toEqual([200, 200]);
  });

  it('counts in the limiter that it is given', async () => {
    const clock = createFakeClock();
    const url = await answering((app) => {
      app.use(rateLimit({ limit: 1, window: '1s' }, (name, options) => createLimiter({ name, clock, ...options })));
    });
    expect(await statuses(url, {}, {})).toEqual([200, 429]);
    await clock.advance(1_000);
    expect(await statuses(url, {})).toEqual([200]);
  });

  it('knows the tenant when warmpath() is before it', async () => {
    const url = await answering((app) => {
      app.use(warmpath({ tenant: (req) => req.get('x-tenant') }), rateLimit({ limit: 1, window: '1h' }));
    });
    expect(await statuses(url, { 'x-tenant': 'a' }, { 'x-tenant': 'b' }, { 'x-tenant': 'a' })).toEqual([200, 200, 429]);
  });

  it('knows the tenant also when a handler has replaced res.locals', async () => {
    const url = await answering((app) => {
      app.use(warmpath({ tenant: (req) => req.get('x-tenant') }));
      app.use((_req, res, next) => {
        res.locals = {};
        next();
      });
      app.use(rateLimit({ limit: 1, window: '1h' }));
    });
    expect(await statuses(url, { 'x-tenant': 'a' }, { 'x-tenant': 'b' }, { 'x-tenant': 'a' })).toEqual([200, 200, 429]);
  });
});
