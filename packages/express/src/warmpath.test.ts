import { createWarmpath, isWarmpathError } from '@warmpath/core';
import express, { type NextFunction, type Request, type RequestHandler, type Response } from 'express';
import { describe, expect, expectTypeOf, it, vi } from 'vitest';
import { serve } from '../test/serve.js';
import { gzip } from './gzip.js';
import { performancePage } from './performance-page.js';
import { problemHandler } from './problem.js';
import { rateLimit } from './rate-limit.js';
import { type WarmpathMiddlewareOptions, warmpath } from './warmpath.js';

describe('the options of warmpath()', () => {
  it.each([
    [{ rateLimt: false }, /^warmpath\(\): there is no option 'rateLimt'; did you mean 'rateLimit'\?$/],
    [
      { compress: true },
      /^warmpath\(\): there is no option 'compress'; it takes 'runtime', 'tenant', 'timeout', 'rateLimit', 'gzip', 'performance'\.$/,
    ],
    [{ gzip: 'yes' }, /^warmpath\(\): option 'gzip' must be true or false, got 'yes' \(string\)\.$/],
    [{ tenant: 'acme' }, /^warmpath\(\): option 'tenant' must be a function, got 'acme' \(string\)\.$/],
    [
      { timeout: '30 s' },
      /^warmpath\(\): option 'timeout' must be a duration above 0 such as .*, got '30 s' \(string\)\.$/,
    ],
    [{ timeout: 0 }, /option 'timeout' must be a duration above 0 .*, got 0 \(number\)\.$/],
    [{ runtime: {} }, /option 'runtime' must be a runtime made by createWarmpath\(\) .*, got \{\} \(object\)\.$/],
    [{ rateLimit: true }, /option 'rateLimit' must be one of false, or an object, got true \(boolean\)\.$/],
    [{ rateLimit: [] }, /option 'rateLimit' must be .*, got \[\] \(array\)\.$/],
    [{ rateLimit: null }, /option 'rateLimit' must be .*, got null \(null\)\.$/],
    [{ performance: 'stats' }, /^warmpath\(\): option 'performance' must be a path .*, got 'stats' \(string\)\.$/],
    [{ performance: '' }, /option 'performance' must be .*, got '' \(string\)\.$/],
    [{ performance: true }, /option 'performance' must be .*, got true \(boolean\)\.$/],
    [{ performance: '/stats?all' }, /option 'performance' must be a path .*, got '\/stats\?all' \(string\)\.$/],
    [[], /^warmpath\(\): option 'options' must be an object, got \[\] \(array\)\.$/],
    [null, /^warmpath\(\): option 'options' must be an object, got null \(null\)\.$/],
    [{ rateLimit: {} }, /option 'limit' must be given, or 'limits' instead, got undefined \(undefined\)\.$/],
    [{ rateLimit: { limit: 1 } }, /option 'window' must be given, or 'limits' instead, got undefined/],
    [{ rateLimit: { limit: '60', window: '1m' } }, /option 'limit' must be a number above 0, got '60' \(string\)\.$/],
    [{ rateLimit: { limit: 0, window: '1m' } }, /option 'limit' must be a number above 0, got 0 \(number\)\.$/],
    [{ rateLimit: { limit: 1, window: '1 minute' } }, /option 'window' must be .*, got '1 minute' \(string\)\.$/],
    [
      { rateLimit: { limit: 1, window: '1m', burst: -1 } },
      /option 'burst' must be a number above 0, got -1 \(number\)\.$/,
    ],
    [{ rateLimit: { limit: 1, window: '1m', max: 5 } }, /^rateLimit\(\): there is no option 'max'; it takes 'limit', /],
  ])('refuse %j, naming the option, the rule, the value and its type', (options, message) => {
    let thrown: unknown;
    try {
      warmpath(options as unknown as WarmpathMiddlewareOptions);
    } catch (error) {
      thrown = error;
    }
    expect(isWarmpathError(thrown, 'WP_BAD_OPTION')).toBe(true);
    expect((thrown as Error).message).toMatch(message);
  });

  it('may all be left out or undefined', () => {
    expect(warmpath()).toBeTypeOf('function');
    const options: Record<keyof WarmpathMiddlewareOptions, undefined> = {
      runtime: undefined,
      tenant: undefined,
      timeout: undefined,
      rateLimit: undefined,
      gzip: undefined,
      performance: undefined,
    };
    expect(warmpath(options as WarmpathMiddlewareOptions)).toBeTypeOf('function');
  });

  it('are left as they came', () => {
    const options = Object.freeze({ gzip: true, rateLimit: Object.freeze({ limit: 1, window: '1m' } as const) });
    warmpath(options);
    expect(options).toEqual({ gzip: true, rateLimit: { limit: 1, window: '1m' } });
  });

  it('refuse a second limit of the same name in one runtime, since both would count together', () => {
    const runtime = createWarmpath();
    const limit = { limit: 1, window: '1m' } as const;
    warmpath({ runtime, rateLimit: limit });
    expect(() => warmpath({ runtime, rateLimit: limit })).toThrow(/named 'http' exists already/);
    expect(() => warmpath({ runtime, rateLimit: { ...limit, name: 'chat' } })).not.toThrow();
  });

  it('switch each part off alone', async () => {
    const body = 'x'.repeat(5_000);
    const url = await serve((app) => {
      app.use(warmpath({ gzip: false, performance: false, rateLimit: false }));
      app.use((_req, res) => {
        res.type('text').send(body);
      });
    });
    const answer = await fetch(`${url}/performance`);
    expect([answer.headers.get('content-encoding'), answer.headers.get('ratelimit')]).toEqual([null, null]);
    expect(await answer.text()).toBe(body);
  });
});

describe('warmpath() in an app', () => {
  it('does all of it in one line, and says so in the answer', async () => {
    const url = await serve((app) => {
      app.use(warmpath({ rateLimit: { limit: 60, window: '1m' } }));
      app.get('/', (_req, res) => {
        res.json('x'.repeat(5_000));
      });
    });
    const answer = await fetch(url, { headers: { 'accept-encoding': 'gzip, br' } });
    expect(answer.headers.get('content-encoding')).toBe('br');
    expect(answer.headers.get('ratelimit')).toBe('"http";r=59;t=60');
    expect(await answer.json()).toHaveLength(5_000);
    expect((await fetch(`${url}/performance`)).status).toBe(200);
  });

  it('works on a router and twice in one app', async () => {
    const url = await serve((app) => {
      const router = express.Router();
      router.use(warmpath({ performance: false, rateLimit: { limit: 1, window: '1h', name: 'inner' } }));
      router.get('/', (_req, res) => {
        res.json('x'.repeat(5_000));
      });
      app.use(warmpath({ rateLimit: { limit: 5, window: '1h' } }));
      app.use('/inner', router);
    });
    const answer = await fetch(`${url}/inner`);
    expect(answer.headers.get('ratelimit-policy')).toBe('"http";q=5;w=3600, "inner";q=1;w=3600');
    expect(await answer.json()).toHaveLength(5_000);
    expect((await fetch(`${url}/inner`)).status).toBe(429);
  });

  it('makes a runtime of its own for each app unless one is given', async () => {
    const limit = { limit: 1, window: '1h' } as const;
    const [first, second] = await Promise.all(
      [1, 2].map(() => serve((app) => app.use(warmpath({ rateLimit: limit }), (_req, res) => void res.end()))),
    );
    const asked = [first, first, second].map((url) => `${url}`);
    const statuses = [];
    for (const url of asked) statuses.push((await fetch(url)).status);
    expect(statuses).toEqual([200, 429, 200]);
  });

  it('has the type that app.use, routers and routes take', () => {
    expectTypeOf(warmpath()).toEqualTypeOf<RequestHandler>();
    const app = express();
    app.use(warmpath());
    app.use('/path', warmpath(), rateLimit({ limit: 1, window: '1m' }));
    express.Router().use(gzip());
    app.get('/items/:id', rateLimit({ limit: 1, window: '1m' }), (req, res) => {
      expectTypeOf(req.params.id).not.toBeNever();
      res.end();
    });
    app.use(problemHandler());
  });
});

describe('next', () => {
  /** How often each middleware called next for one request, and with what. */
  async function countNext(middleware: RequestHandler, path: string, afterwards?: (next: NextFunction) => void) {
    const calls: unknown[][] = [];
    const failures: unknown[] = [];
    const url = await serve((app) => {
      app.use((req: Request, res: Response, next: NextFunction) => {
        middleware(req, res, (...given: unknown[]) => {
          calls.push(given);
          if (afterwards) afterwards(next);
          else (next as (error?: unknown) => void)(...given);
        });
      });
      app.get('/', (_req, res) => {
        res.send('ok');
      });
      app.use(problemHandler({ log: (error) => failures.push(error) }));
    });
    const { status } = await fetch(url + path);
    return { calls, failures, status };
  }

  const throwing = {
    tenant: () => {
      throw new Error('tenant');
    },
    key: () => {
      throw new Error('key');
    },
  };
  const limit = { limit: 1, window: '1h' } as const;

  it.each([
    ['warmpath()', warmpath(), '/', 1, 200],
    ['warmpath() with a limit', warmpath({ rateLimit: limit }), '/', 1, 200],
    ['warmpath() on its page', warmpath(), '/performance', 0, 200],
    ['warmpath() over the limit', warmpath({ rateLimit: { ...limit, cost: () => 2 } }), '/', 0, 429],
    ['warmpath() whose tenant function throws', warmpath({ tenant: throwing.tenant }), '/', 0, 500],
    ['warmpath() whose key function throws', warmpath({ rateLimit: { ...limit, key: throwing.key } }), '/', 0, 500],
    ['rateLimit()', rateLimit(limit), '/', 1, 200],
    ['rateLimit() that skips', rateLimit({ ...limit, skip: () => true }), '/', 1, 200],
    ['gzip()', gzip(), '/', 1, 200],
    ['performancePage() elsewhere', performancePage(createWarmpath(), '/x'), '/', 1, 200],
  ])(
    'is called by %s once if the request goes on, and never otherwise',
    async (_name, middleware, path, times, status) => {
      const counted = await countNext(middleware, path);
      expect([counted.calls.length, counted.status]).toEqual([times, status]);
      expect(counted.calls.flat().filter((given) => given !== undefined)).toEqual([]);
    },
  );

  it.each([
    ['warmpath()', warmpath({ rateLimit: { ...limit, name: 'other' } })],
    ['rateLimit()', rateLimit(limit)],
    ['gzip()', gzip()],
  ])('is called once by %s also when a later handler throws out of it', async (_name, middleware) => {
    const counted = await countNext(middleware, '/', () => {
      throw new Error('a later handler');
    });
    expect(counted.calls).toHaveLength(1);
    expect(counted.failures).toEqual([new Error('a later handler')]);
    expect(counted.status).toBe(500);
  });

  it('passes errors, also in a chain of its own handlers', async () => {
    const seen = vi.fn();
    const url = await serve((app) => {
      app.use(warmpath());
      app.get('/', (_req, _res, next) => next(new Error('one')));
      app.use(problemHandler({ log: seen }));
    });
    await fetch(url);
    expect(seen).toHaveBeenCalledTimes(1);
  });
});
