import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { createWarmpath, currentContext } from '@warmpath/core';
import { createFakeClock } from '@warmpath/core/testing';
import express, { type Response } from 'express';
import { describe, expect, it } from 'vitest';
import { serve } from '../test/serve.js';
import { problemHandler } from './problem.js';
import { type RequestState, warmpathOf } from './request-context.js';
import { warmpath } from './warmpath.js';

const tenant = warmpath({ tenant: (req) => req.get('x-tenant') });

describe('the context of a request', () => {
  it('says who asks, until when and with which signal, to the handler and to everything it calls', async () => {
    const clock = createFakeClock();
    const runtime = createWarmpath({ clock });
    await clock.advance(5_000);
    const url = await serve((app) => {
      app.use(warmpath({ runtime, timeout: '30s', tenant: (req) => req.get('x-tenant') }));
      app.get('/', (_req, res) => {
        const state = warmpathOf(res);
        const context = currentContext();
        res.json({
          tenants: [state.tenant, context?.tenant],
          deadline: context?.deadline,
          sameSignal: state.signal === context?.signal,
          sameRuntime: state.runtime === runtime,
          inLocals: res.locals.warmpath === state,
          aborted: state.signal.aborted,
        });
      });
    });
    const answer = await fetch(url, { headers: { 'x-tenant': 'acme' } });
    expect(await answer.json()).toEqual({
      tenants: ['acme', 'acme'],
      deadline: 35_000,
      sameSignal: true,
      sameRuntime: true,
      inLocals: true,
      aborted: false,
    });
  });

  it('has no tenant and no deadline unless the options give them', async () => {
    const url = await serve((app) => {
      app.use(warmpath());
      app.get('/', (_req, res) => {
        const { tenant, deadline, signal } = currentContext() ?? {};
        res.json({ tenant: tenant ?? null, deadline: deadline ?? null, signal: signal instanceof AbortSignal });
      });
    });
    expect(await (await fetch(url)).json()).toEqual({ tenant: null, deadline: null, signal: true });
  });

  it('knows how often an SDK has asked before, and believes nothing else that stands there', async () => {
    const url = await serve((app) => {
      app.use(warmpath());
      app.get('/', (_req, res) => res.json(currentContext()?.callerRetries ?? null));
    });
    const told = async (headers: Record<string, string>): Promise<unknown> => (await fetch(url, { headers })).json();
    expect(await told({ 'x-stainless-retry-count': '2' })).toBe(2);
    expect(await told({ 'x-stainless-retry-count': '1e2' })).toBeNull();
    expect(await told({})).toBeNull();
  });

  it('is still there after a body parser, after awaits and after real I/O', async () => {
    const url = await serve((app) => {
      app.use(tenant, express.json(), express.urlencoded({ extended: false }), express.text());
      app.post('/', async (req, res) => {
        const seen = [currentContext()?.tenant];
        await Promise.resolve();
        seen.push(currentContext()?.tenant);
        await readFile(new URL(import.meta.url));
        seen.push(currentContext()?.tenant);
        res.json({ body: req.body, seen });
      });
    });
    for (const [type, body, parsed] of [
      ['application/json', '{"a":"1"}', { a: '1' }],
      ['application/x-www-form-urlencoded', 'a=1', { a: '1' }],
      ['text/plain', 'a1', 'a1'],
    ] as const) {
      const answer = await fetch(url, { method: 'POST', body, headers: { 'content-type': type, 'x-tenant': 'acme' } });
      expect(await answer.json()).toEqual({ body: parsed, seen: ['acme', 'acme', 'acme'] });
    }
  });

  it("is still there after a parser that goes on from the request's own events, as upload parsers do", async () => {
    const url = await serve((app) => {
      app.use(tenant);
      app.use((req, _res, next) => {
        req.resume().once('end', () => next());
      });
      app.post('/', (_req, res) => res.json(currentContext()?.tenant ?? null));
    });
    const answer = await fetch(url, { method: 'POST', body: 'a body', headers: { 'x-tenant': 'acme' } });
    expect(await answer.json()).toBe('acme');
  });

  it('keeps requests that run at the same time apart', async () => {
    const { promise: allThere, resolve: open } = Promise.withResolvers<void>();
    let waiting = 0;
    const url = await serve((app) => {
      app.use(tenant, express.json());
      app.post('/', async (req, res) => {
        if (++waiting === 20) open();
        await allThere;
        const context = currentContext();
        res.json([req.body.name, context?.tenant, warmpathOf(res).tenant, warmpathOf(res).signal === context?.signal]);
      });
    });
    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const name = `t${index}`;
        const headers = { 'content-type': 'application/json', 'x-tenant': name };
        return (await fetch(url, { method: 'POST', body: JSON.stringify({ name }), headers })).json();
      }),
    );
    expect(answers).toEqual(Array.from({ length: 20 }, (_, index) => [`t${index}`, `t${index}`, `t${index}`, true]));
  });

  it('never passes from one request to the next on the same connection, even when they are sent at once', async () => {
    const url = await serve((app) => {
      app.use(tenant);
      // Answers above the connection's buffer make the server pause and go on from inside an earlier request.
      app.get('/', (_req, res) => res.type('text').send(`tenant=${currentContext()?.tenant};${'x'.repeat(40_000)}`));
    });
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    const asked = Array.from({ length: 100 }, (_, index) => (index % 2 === 0 ? `t${index}` : undefined));
    for (const [index, name] of asked.entries()) {
      const close = index === asked.length - 1 ? 'Connection: close\r\n' : '';
      socket.write(`GET / HTTP/1.1\r\nHost: x\r\n${name ? `X-Tenant: ${name}\r\n` : ''}${close}\r\n`);
    }
    let text = '';
    for await (const chunk of socket) text += chunk;
    expect([...text.matchAll(/tenant=(\w+);/g)].map(([, name]) => name)).toEqual(asked.map(String));
  });

  it.each<[string, () => unknown]>([
    ['a promise', async () => 'acme'],
    ['an object', () => ({ id: 'acme' })],
    ['null', () => null],
  ])(
    'refuses %s for a tenant, which would be one tenant for everybody or a new one for each request',
    async (kind, tenantOf) => {
      const logged: unknown[] = [];
      const url = await serve((app) => {
        app.use(warmpath({ tenant: (): string => tenantOf() as string }));
        app.use(problemHandler({ log: (error) => logged.push(error) }));
      });
      expect((await fetch(url)).status).toBe(500);
      expect(logged).toEqual([
        expect.objectContaining({
          message: `warmpath(): the function 'tenant' must return a string or undefined, and returned ${kind}.`,
        }),
      ]);
    },
  );

  it('takes an empty tenant for none', async () => {
    const url = await serve((app) => {
      app.use(warmpath({ tenant: () => '' }));
      app.get('/', (_req, res) => res.json([currentContext()?.tenant ?? 'nobody', warmpathOf(res).tenant ?? 'nobody']));
    });
    expect(await (await fetch(url)).json()).toEqual(['nobody', 'nobody']);
  });

  it('leaves an error that the tenant function throws to the error handler', async () => {
    const url = await serve((app) => {
      app.use(
        warmpath({
          tenant: () => {
            throw Object.assign(new Error('No such tenant.'), { status: 403, expose: true });
          },
        }),
      );
      app.use(problemHandler());
    });
    const answer = await fetch(url);
    expect([answer.status, await answer.json()]).toMatchObject([403, { detail: 'No such tenant.' }]);
  });
});

describe('the signal of a request', () => {
  it('is aborted when the client leaves before the answer', async () => {
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<RequestState>();
    const url = await serve((app) => {
      app.use(tenant, express.json());
      app.post('/', (_req, res) => arrive(warmpathOf(res)));
    });
    const client = request(url, { method: 'POST', headers: { 'content-type': 'application/json' } });
    client.on('error', () => {});
    client.end('{}');
    const { signal } = await arrived;
    expect(signal.aborted).toBe(false);
    client.destroy();
    await once(signal, 'abort');
    expect(signal.reason).toMatchObject({ name: 'AbortError', message: 'The client left' });
  });

  it('is aborted when the client leaves in the middle of the answer', async () => {
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<RequestState>();
    const url = await serve((app) => {
      app.use(tenant);
      app.get('/', (_req, res) => {
        res.write('the first half');
        arrive(warmpathOf(res));
      });
    });
    const controller = new AbortController();
    await fetch(url, { signal: controller.signal });
    const { signal } = await arrived;
    controller.abort();
    if (!signal.aborted) await once(signal, 'abort');
    expect(signal.aborted).toBe(true);
  });

  it('is never aborted once the answer is complete, also when the connection closes later', async () => {
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<Response>();
    const url = await serve((app) => {
      app.use(tenant);
      app.get('/', (_req, res) => {
        arrive(res);
        res.json('done');
      });
    });
    const client = request(url, { headers: { connection: 'close' } }).end();
    const [answer] = await once(client, 'response');
    answer.resume();
    const res = await arrived;
    if (!res.closed) await once(res, 'close');
    await once(client, 'close');
    expect(warmpathOf(res).signal.aborted).toBe(false);
  });
});

describe('warmpathOf()', () => {
  it('says what is missing when the response has not passed warmpath()', async () => {
    let error: unknown;
    const url = await serve((app) => {
      app.get('/', (_req, res) => {
        try {
          warmpathOf(res);
        } catch (thrown) {
          error = thrown;
        }
        res.end();
      });
    });
    await fetch(url);
    expect(error).toBeInstanceOf(TypeError);
    expect(String(error)).toContain('app.use(warmpath())');
  });
});
