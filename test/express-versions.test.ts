import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { createGunzip, gunzipSync } from 'node:zlib';
import { createWarmpath, currentContext } from '@warmpath/core';
import { HttpProblem, problemHandler, rateLimit, streamAnswer, warmpath, warmpathOf } from '@warmpath/express';
import express5, { type Express, type RequestHandler } from 'express';
import { describe, expect, it, onTestFinished } from 'vitest';

// Express 4 has no types of its own here; what this file uses of it is the same in both.
const express4 = createRequire(import.meta.url)('express-4') as typeof express5;

describe.each([
  ['Express 5', express5, '5'],
  ['Express 4', express4, '4'],
])('@warmpath/express, as it is built, on %s', (_name, express, major) => {
  /** Express 4 leaves a rejected promise to whoever wrote the route. */
  function route(handler: (...given: Parameters<RequestHandler>) => Promise<unknown>): RequestHandler {
    if (major === '5') return handler;
    return (req, res, next) => void handler(req, res, next).catch(next);
  }

  async function serve(setUp: (app: Express) => void): Promise<{ url: string; logged: unknown[] }> {
    const app = express();
    const logged: unknown[] = [];
    setUp(app);
    app.use(problemHandler({ log: (error) => logged.push(error) }));
    const server = app.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => {
      server.close();
      server.closeAllConnections();
    });
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, logged };
  }

  async function ask(url: string, encoding: string): Promise<IncomingMessage> {
    const client = request(url, { headers: { 'accept-encoding': encoding } });
    client.end();
    const [answer] = (await once(client, 'response')) as [IncomingMessage];
    answer.on('error', () => {}); // a test that leaves does so on purpose
    return answer;
  }

  const tenant = (req: { get(name: string): string | undefined }) => req.get('x-tenant');

  it('is the version that it says', () => {
    const path = major === '5' ? 'express/package.json' : 'express-4/package.json';
    expect(createRequire(import.meta.url)(path).version.split('.')[0]).toBe(major);
  });

  it('keeps the context of each request through body parsers and awaits, apart from all others', async () => {
    const { promise: allThere, resolve: open } = Promise.withResolvers<void>();
    let waiting = 0;
    const { url } = await serve((app) => {
      app.use(warmpath({ tenant, timeout: '1m' }), express.json());
      app.post(
        '/',
        route(async (req, res) => {
          if (++waiting === 10) open();
          await allThere;
          const context = currentContext();
          const { signal } = warmpathOf(res);
          res.json([req.body.name, context?.tenant, context?.signal === signal, typeof context?.deadline]);
        }),
      );
    });
    const asked = Array.from({ length: 10 }, async (_, index) => {
      const headers = { 'content-type': 'application/json', 'x-tenant': `t${index}` };
      return (await fetch(url, { method: 'POST', body: `{"name":"t${index}"}`, headers })).json();
    });
    expect(await Promise.all(asked)).toEqual(asked.map((_, index) => [`t${index}`, `t${index}`, true, 'number']));
  });

  it('aborts the signal when the client leaves, and logs nothing', async () => {
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<AbortSignal>();
    const { promise: failed, resolve: fail } = Promise.withResolvers<void>();
    const { url, logged } = await serve((app) => {
      app.use(warmpath());
      app.get(
        '/',
        route(async (_req, res) => {
          const { signal } = warmpathOf(res);
          arrive(signal);
          await once(signal, 'abort');
          setImmediate(fail);
          throw signal.reason;
        }),
      );
    });
    const client = request(url).on('error', () => {});
    client.end();
    const signal = await arrived;
    expect(signal.aborted).toBe(false);
    client.destroy();
    await failed;
    expect([signal.aborted, logged]).toEqual([true, []]);
  });

  it('limits by tenant, then by address, and says so in the headers of each answer', async () => {
    const { url } = await serve((app) => {
      app.use(warmpath({ tenant, rateLimit: { limit: 1, window: '1m' } }));
      app.get('/', rateLimit({ name: 'route', limit: 9, window: '1h' }), (_req, res) => {
        res.send('ok');
      });
    });
    const first = await fetch(url);
    expect(first.headers.get('ratelimit-policy')).toBe('"http";q=1;w=60, "route";q=9;w=3600');
    expect(first.headers.get('ratelimit')).toBe('"http";r=0;t=60, "route";r=8;t=3600');
    const second = await fetch(url);
    expect([second.status, second.headers.get('content-type'), second.headers.get('retry-after')]).toEqual([
      429,
      'application/problem+json; charset=utf-8',
      '60',
    ]);
    expect(await second.json()).toMatchObject({ status: 429, 'violated-policies': ['http'] });
    expect((await fetch(url, { headers: { 'x-tenant': 'acme' } })).status).toBe(200);
  });

  it('shows the snapshot to GET and HEAD, under the path that it is mounted at', async () => {
    const runtime = createWarmpath();
    const { url } = await serve((app) => {
      app.use('/ai', warmpath({ runtime }));
    });
    await runtime.cache('docs').getOrSet(1, () => 1);
    const page = await fetch(`${url}/ai/performance`);
    expect(await page.json()).toMatchObject({ caches: { docs: { misses: 1 } } });
    const statuses = [];
    for (const [method, path] of [
      ['HEAD', '/ai/performance'],
      ['POST', '/ai/performance'],
      ['GET', '/performance'],
    ] as const) {
      statuses.push((await fetch(url + path, { method })).status);
    }
    expect(statuses).toEqual([200, 404, 404]);
  });

  it('compresses answers, lets each chunk of a stream through and calls every callback', async () => {
    const gate = Promise.withResolvers<void>();
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const { url } = await serve((app) => {
      app.use(warmpath());
      app.get('/json', (_req, res) => {
        res.json('x'.repeat(5_000));
      });
      app.get(
        '/stream',
        route(async (_req, res) => {
          res.type('text');
          await new Promise((resolve) => res.write('one;', resolve));
          await gate.promise;
          res.end('two;', end);
        }),
      );
    });
    const whole = await ask(`${url}/json`, 'gzip');
    const packed: Buffer[] = [];
    for await (const chunk of whole) packed.push(chunk);
    expect(whole.headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'Accept-Encoding' });
    expect(JSON.parse(gunzipSync(Buffer.concat(packed)).toString())).toHaveLength(5_000);

    const unpacked = (await ask(`${url}/stream`, 'gzip')).pipe(createGunzip());
    expect(String((await once(unpacked, 'data'))[0])).toBe('one;');
    gate.resolve();
    expect(String((await once(unpacked, 'data'))[0])).toBe('two;');
    await ended;
  });

  it('streams events one by one, uncompressed, and closes the source when the client leaves', async () => {
    const gate = Promise.withResolvers<void>();
    const { promise: closed, resolve: close } = Promise.withResolvers<void>();
    async function* events() {
      try {
        yield { event: 'delta', data: { text: 'one' } };
        await gate.promise;
        for (let turn = 0; ; turn++) {
          yield { data: turn };
          await new Promise((resolve) => setImmediate(resolve));
        }
      } finally {
        close();
      }
    }
    const { url } = await serve((app) => {
      app.use(warmpath());
      app.get(
        '/',
        route((_req, res) => streamAnswer(res, events())),
      );
    });
    const answer = await ask(url, 'gzip, br');
    expect(answer.headers['content-encoding']).toBeUndefined();
    expect(String((await once(answer, 'data'))[0])).toBe('event: delta\ndata: {"text":"one"}\n\n');
    gate.resolve();
    await once(answer, 'data');
    answer.destroy();
    await closed;
  });

  it('gives a stream that fails early its status, and one that fails late an event', async () => {
    async function* failing(events: number) {
      for (let sent = 0; sent < events; sent++) yield { data: sent };
      throw new HttpProblem(409, 'Busy', 'The index is being built.');
    }
    const { url } = await serve((app) => {
      app.use(warmpath());
      app.get(
        '/',
        route((req, res) => streamAnswer(res, failing(Number(req.query.events)))),
      );
    });
    const early = await fetch(`${url}?events=0`);
    expect([early.status, early.headers.get('content-type')]).toEqual([409, 'application/problem+json; charset=utf-8']);
    expect(await early.json()).toMatchObject({ title: 'Busy' });
    const late = await fetch(`${url}?events=1`);
    expect([late.status, late.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8']);
    expect(await late.text()).toMatch(/^data: 0\n\nevent: error\ndata: \{.*"status":409.*\}\n\n$/);
  });

  it('answers bad bodies and failures with problem documents and logs only the failures', async () => {
    const { url, logged } = await serve((app) => {
      app.use(warmpath(), express.json({ limit: 50 }));
      app.post('/', () => {
        throw new Error('password=hunter2');
      });
    });
    const post = async (body: string, type = 'application/json') => {
      const answer = await fetch(url, { method: 'POST', body, headers: { 'content-type': type } });
      const text = await answer.text();
      expect(text).not.toContain('hunter2');
      return [answer.status, JSON.parse(text).status];
    };
    expect(await post('{')).toEqual([400, 400]);
    expect(await post(JSON.stringify('x'.repeat(60)))).toEqual([413, 413]);
    expect(await post('{}', 'application/json; charset=x-klingon')).toEqual([415, 415]);
    expect(logged).toEqual([]);
    expect(await post('{}')).toEqual([500, 500]);
    expect(logged).toEqual([new Error('password=hunter2')]);
  });

  it('cuts an answer that fails in the middle', async () => {
    const { url, logged } = await serve((app) => {
      app.use(warmpath());
      app.get(
        '/',
        route(async (_req, res) => {
          await new Promise((resolve) => res.type('png').write('the first half', resolve));
          throw new Error('a bug');
        }),
      );
    });
    const answer = await fetch(url);
    await expect(answer.text()).rejects.toThrow('terminated');
    expect(logged).toHaveLength(1);
  });
});
