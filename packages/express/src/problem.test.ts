import { once } from 'node:events';
import { deflateSync } from 'node:zlib';
import { WarmpathError } from '@warmpath/core';
import { breaker, fallback, retry } from '@warmpath/core/retry';
import { createFakeClock } from '@warmpath/core/testing';
import express, { type RequestHandler, type Response } from 'express';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { serve } from '../test/serve.js';
import { HttpProblem, problemHandler, sendProblem } from './problem.js';
import { warmpath } from './warmpath.js';

/** An app with one route that ends with problemHandler(), and the failures that it logs. */
async function failing(route: RequestHandler): Promise<{ url: string; logged: unknown[] }> {
  const logged: unknown[] = [];
  const url = await serve((app) => {
    app.use(warmpath(), express.json({ limit: 100 }));
    app.all('/', route);
    app.use(problemHandler({ log: (error) => logged.push(error) }));
  });
  return { url, logged };
}

function throwing(error: unknown): RequestHandler {
  return () => {
    throw error;
  };
}

const secret = 'connect ECONNREFUSED db.internal:5432 password=hunter2';

describe('problemHandler() and the body parsers', () => {
  const answered: RequestHandler = (req, res) => {
    res.json(req.body);
  };
  const json = { 'content-type': 'application/json' };

  it.each([
    ['JSON that is none', { body: '{"a":', headers: json }, 400, /^The body is not the JSON that .*: .*JSON/],
    ['a bare text as JSON', { body: '"a"', headers: json }, 400, /^The body is not the JSON/],
    [
      'a body over the limit',
      { body: JSON.stringify('x'.repeat(200)), headers: json },
      413,
      /^The body is over the limit of 100 bytes\. Send a shorter one\.$/,
    ],
    [
      'a charset that cannot be read',
      { body: '{}', headers: { 'content-type': 'application/json; charset=x-klingon' } },
      415,
      /Send the body in UTF-8\.$/,
    ],
    [
      'an encoding that cannot be read',
      { body: '{}', headers: { ...json, 'content-encoding': 'zstandard' } },
      415,
      /Send the body uncompressed\.$/,
    ],
  ])('refuses %s with a problem document that says how to mend it', async (_name, init, status, detail) => {
    const { url, logged } = await failing(answered);
    const answer = await fetch(url, { method: 'POST', ...init });
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
    expect(await answer.json()).toEqual({
      type: 'about:blank',
      title: expect.any(String),
      status,
      detail: expect.stringMatching(detail),
    });
    expect(logged).toEqual([]);
  });

  it('counts a compressed body after unpacking', async () => {
    const { url } = await failing(answered);
    const body = deflateSync(JSON.stringify('x'.repeat(50_000)));
    const answer = await fetch(url, { method: 'POST', body, headers: { ...json, 'content-encoding': 'deflate' } });
    expect(answer.status).toBe(413);
  });

  it('gives a parser error without words of ours a type that is a type', async () => {
    const { url } = await failing(
      throwing(
        Object.assign(new Error('too many parameters'), { status: 413, expose: true, type: 'parameters.too.many' }),
      ),
    );
    expect(await (await fetch(url)).json()).toMatchObject({ type: 'about:blank', detail: 'too many parameters' });
  });

  it('is not fooled by an error whose type is the name of an inherited method', async () => {
    const { url } = await failing(
      throwing(Object.assign(new Error('odd'), { status: 400, expose: true, type: 'toString' })),
    );
    expect(await (await fetch(url)).json()).toMatchObject({ status: 400, detail: 'odd' });
  });
});

describe('problemHandler() and the errors of routes', () => {
  it('sends all of an HttpProblem', async () => {
    const { url, logged } = await failing(
      throwing(new HttpProblem(422, 'No question', 'Send a question of 1 or more.')),
    );
    const answer = await fetch(url);
    expect(answer.status).toBe(422);
    expect(await answer.json()).toEqual({
      type: 'about:blank',
      title: 'No question',
      status: 422,
      detail: 'Send a question of 1 or more.',
    });
    expect(logged).toEqual([]);
  });

  it('sends the words of an HttpProblem of 500 and above too, and logs it', async () => {
    const problem = new HttpProblem(503, 'Not ready', 'The index is being built.');
    const { url, logged } = await failing(throwing(problem));
    expect(await (await fetch(url)).json()).toMatchObject({ status: 503, detail: 'The index is being built.' });
    expect(logged).toEqual([problem]);
  });

  it.each([
    ['WP_TENANT_REQUIRED', 401],
    ['WP_MODEL_REQUEST', 502],
    ['WP_HTTP_FAILED', 502],
    ['WP_OVERLOADED', 503],
    ['WP_BREAKER_OPEN', 503],
    ['WP_RATE_LIMITED', 503],
    ['WP_DEADLINE', 504],
    ['WP_BATCH_MISMATCH', 500],
  ] as const)('gives %s its status, type and code', async (code, status) => {
    const { url, logged } = await failing(throwing(new WarmpathError(code, 'What happened.')));
    const answer = await fetch(url);
    expect(answer.status).toBe(status);
    expect(await answer.json()).toMatchObject({ type: `urn:warmpath:${code}`, code, status });
    expect(logged).toHaveLength(status >= 500 ? 1 : 0);
  });

  it.each([
    [1_200, '2'],
    [0, '1'],
    [Number.POSITIVE_INFINITY, null],
    [Number.NaN, null],
  ])('turns a wait of %d ms into Retry-After %s', async (retryAfterMs, header) => {
    const { url } = await failing(throwing(new WarmpathError('WP_OVERLOADED', 'Full.', { details: { retryAfterMs } })));
    const answer = await fetch(url);
    expect(answer.headers.get('retry-after')).toBe(header);
    expect(await answer.json()).not.toHaveProperty('retryAfterMs');
  });

  it.each([
    ['an Error', new Error(secret)],
    [
      'an Error that names itself to its own callers',
      Object.assign(new Error(secret), { title: secret, type: secret }),
    ],
    ['an Error of a 5xx status', Object.assign(new Error(secret), { status: 502 })],
    ['a text', secret],
    ['an object', { message: secret, detail: secret, title: secret }],
    ['a number', 42],
    ['a symbol', Symbol('thrown')],
    ['an object without a prototype', Object.create(null)],
  ])('tells a client nothing of %s but that it happened', async (_name, error) => {
    const { url, logged } = await failing(throwing(error));
    const answer = await fetch(url);
    const text = await answer.text();
    expect(answer.status).toBeGreaterThanOrEqual(500);
    expect(text).not.toContain('hunter2');
    expect(JSON.parse(text)).toMatchObject({
      type: 'about:blank',
      detail: 'The request failed on the server. Its log says why.',
    });
    expect(logged).toEqual([error]);
  });

  it.each([null, undefined])('answers a rejection with %s', async (reason) => {
    const { url, logged } = await failing(() => Promise.reject(reason));
    expect((await fetch(url)).status).toBe(500);
    expect(logged).toHaveLength(1);
  });

  it.each([200, 302, 99, 600, Number.NaN, '404x', {}])('takes no status of %s from an error', async (status) => {
    const { url } = await failing(throwing(Object.assign(new Error(secret), { status })));
    const answer = await fetch(url);
    expect([answer.status, (await answer.text()).includes('hunter2')]).toEqual([500, false]);
  });

  it('takes back what the route had said of the answer that it could not give', async () => {
    const { url } = await failing((_req, res) => {
      res.set({ 'content-encoding': 'gzip', 'content-length': '7', 'content-range': 'bytes 0-6/9', etag: '"v1"' });
      res.set({ 'cache-control': 'public, max-age=3600', 'content-disposition': 'attachment', 'last-modified': 'x' });
      res.set({ 'content-language': 'de', expires: 'x', 'x-request-id': '7' });
      res.status(206);
      throw new HttpProblem(404, 'No such file', 'There is no file of this name.');
    });
    const answer = await fetch(url);
    expect(answer.status).toBe(404);
    expect(await answer.json()).toMatchObject({ title: 'No such file' });
    expect(answer.headers.get('cache-control')).toBe('no-store');
    for (const header of ['content-encoding', 'content-range', 'content-disposition', 'expires']) {
      expect([header, answer.headers.get(header)]).toEqual([header, null]);
    }
    expect(answer.headers.get('last-modified')).toBeNull();
    expect(answer.headers.get('content-language')).toBeNull();
    expect(answer.headers.get('etag')).not.toBe('"v1"');
    expect(answer.headers.get('x-request-id')).toBe('7');
  });

  it('says when to come back where a breaker is open, also as the last of a chain, and never to stay away', async () => {
    const gpt = breaker({ clock: createFakeClock(), random: () => 0, consecutive: 1 });
    gpt.record({ ok: false });
    const down = { name: 'local', run: () => Promise.reject(new Error('down')) };
    const routes: RequestHandler[] = [
      async () => void (await gpt(() => 'never')),
      async () => void (await fallback()([down, { name: 'gpt', run: () => 'never', policy: gpt }])),
    ];
    for (const route of routes) {
      const { url } = await failing(route);
      const answer = await fetch(url);
      expect([answer.status, answer.headers.get('retry-after'), answer.headers.get('x-should-retry')]).toEqual([
        ...[503, '10', null],
      ]);
      expect(await answer.json()).toMatchObject({ code: 'WP_BREAKER_OPEN' });
    }
  });

  it('tells of a chain what its last step has said to clients, and that our own retries are behind it', async () => {
    const { url } = await failing(async () => {
      await fallback()([
        { name: 'gpt', run: (call) => retry({ attempts: 1 })(() => Promise.reject(new Error(secret)), call) },
        { name: 'local', run: () => Promise.reject(new HttpProblem(502, 'No model', 'No model answers.')) },
      ]);
    });
    const answer = await fetch(url);
    expect([answer.status, answer.headers.get('x-should-retry')]).toEqual([502, 'false']);
    expect(await answer.json()).toMatchObject({ title: 'No model', detail: 'No model answers.' });
  });

  it('sends a HEAD request the status without the document', async () => {
    const { url } = await failing(throwing(new HttpProblem(404, 'Gone', 'It was here.')));
    const answer = await fetch(url, { method: 'HEAD' });
    expect([answer.status, await answer.text()]).toEqual([404, '']);
  });
});

describe('problemHandler() and answers under way', () => {
  it('cuts the connection when the answer has begun, so that nobody takes it for complete', async () => {
    const { url, logged } = await failing(async (_req, res) => {
      await new Promise<void>((resolve) => res.type('bin').write('the first half', () => resolve()));
      throw new Error(secret);
    });
    const answer = await fetch(url);
    expect(answer.status).toBe(200);
    await expect(answer.text()).rejects.toThrow('terminated');
    expect(logged).toHaveLength(1);
  });

  it('cuts the connection under compression too', async () => {
    const { url, logged } = await failing(async (_req, res) => {
      res.type('text').write('the first half');
      await new Promise((resolve) => setImmediate(resolve));
      throw new Error(secret);
    });
    await expect(fetch(url).then((answer) => answer.text())).rejects.toThrow();
    expect(logged).toHaveLength(1);
  });

  it('logs a failure after a complete answer, and leaves the answer alone', async () => {
    const { promise: failed, resolve: fail } = Promise.withResolvers<unknown>();
    const bug = new Error('after the answer');
    const url = await serve((app) => {
      app.use(warmpath(), express.json());
      app.post('/', async (_req, res) => {
        res.json({ ok: true });
        await once(res, 'close');
        throw bug;
      });
      app.use(problemHandler({ log: fail }));
    });
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(url, { method: 'POST', body: '{"a":1}', headers });
    expect(await answer.json()).toEqual({ ok: true });
    expect(await failed).toBe(bug);
  });

  it('does not cut an answer that was complete when its route failed', async () => {
    const { promise: failed, resolve: fail } = Promise.withResolvers<unknown>();
    const body = 'x'.repeat(8 * 1024 * 1024); // more than the kernel takes at once
    const url = await serve((app) => {
      app.use(warmpath({ gzip: false }));
      app.get('/', (_req, res) => {
        res.type('text').send(body);
        throw new Error('after the answer');
      });
      app.use(problemHandler({ log: fail }));
    });
    const answer = await fetch(url);
    await failed;
    expect((await answer.text()).length).toBe(body.length);
  });

  it('neither logs nor answers when the client has left', async () => {
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<Response>();
    const { promise: handled, resolve: handle } = Promise.withResolvers<void>();
    const logged: unknown[] = [];
    const url = await serve((app) => {
      app.use(warmpath());
      app.get('/', async (_req, res) => {
        arrive(res);
        await once(res, 'close');
        throw new Error('The upstream call was aborted');
      });
      app.use(problemHandler({ log: (error) => logged.push(error) }));
      app.use(() => {});
    });
    const controller = new AbortController();
    const asked = fetch(url, { signal: controller.signal });
    const res = await arrived;
    const send = vi.spyOn(res, 'send');
    controller.abort();
    await expect(asked).rejects.toThrow();
    res.once('close', () => setImmediate(handle));
    if (res.closed) handle();
    await handled;
    expect(logged).toEqual([]);
    expect(send).not.toHaveBeenCalled();
  });

  it('works without warmpath() before it', async () => {
    const url = await serve((app) => {
      app.get('/', throwing(new HttpProblem(409, 'Taken', 'Choose another name.')));
      app.use(problemHandler());
    });
    expect((await fetch(url)).status).toBe(409);
  });

  it('tells whoever asks of each refusal, with what its client was told, and of no failure', async () => {
    const refused: unknown[] = [];
    const url = await serve((app) => {
      app.get('/wrong', () => {
        throw new HttpProblem(422, 'Not so', 'The question is empty. Send one.');
      });
      app.get('/broken', () => {
        throw new Error('out of paper');
      });
      app.use(
        problemHandler({
          log: () => {},
          logRefusal: ({ status, detail }, req) => refused.push([req.path, status, detail]),
        }),
      );
    });
    await fetch(`${url}/wrong`);
    await fetch(`${url}/broken`);
    expect(refused).toEqual([['/wrong', 422, 'The question is empty. Send one.']]);
  });

  it('logs to console.error by default, without the query, which may hold secrets', async () => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => {});
    onTestFinished(() => log.mockRestore());
    const bug = new Error('bug');
    const url = await serve((app) => {
      app.get('/a', throwing(bug));
      app.get('/b', throwing(new HttpProblem(400, 'No', 'No.')));
      app.use(problemHandler());
    });
    await fetch(`${url}/a?token=secret`);
    await fetch(`${url}/b`);
    expect(log.mock.calls).toEqual([['GET /a failed:', bug]]);
  });
});

describe('sendProblem()', () => {
  it('writes members of its own into the document', async () => {
    const url = await serve((app) => {
      app.get('/', (_req, res) => {
        const problem = { type: 'about:blank', title: 'Full', status: 503, detail: 'Come back.', retryAfterMs: 61_001 };
        sendProblem(res, { ...problem, 'queue-length': 7 } as typeof problem);
      });
    });
    const answer = await fetch(url);
    expect(answer.headers.get('retry-after')).toBe('62');
    expect(await answer.json()).toEqual({
      type: 'about:blank',
      title: 'Full',
      status: 503,
      detail: 'Come back.',
      'queue-length': 7,
    });
  });
});
