import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { failureOf, poolOf, serve, until } from '../../test/http-set-up.js';
import type { HttpPool } from './index.js';

/** A service that reads bodies to their end, except for `/hang`, which it never answers. */
async function reading(): Promise<string> {
  const { url } = await serve((req, res) => {
    req.resume();
    if (req.url !== '/hang') req.once('end', () => res.end('read'));
  });
  return url;
}

const missing = (): Readable => createReadStream('/nowhere/at/all');

/** With its one place taken. */
async function full(baseUrl: string): Promise<HttpPool> {
  const pool = poolOf({ baseUrl, connections: 1 });
  void failureOf(pool.request('/hang'));
  await until(() => pool.stats().sent === 1);
  return pool;
}

describe('a body that comes while it is sent', () => {
  it.each(['request', 'stream'] as const)('fails %s with what it throws itself, as it came', async (way) => {
    const pool = poolOf({ baseUrl: await reading() });
    const own = new Error('its own');
    const thrown = async function* (): AsyncGenerator<string> {
      yield 'some';
      throw own;
    };
    expect(await failureOf(pool[way]('/', { method: 'PUT', body: thrown() }))).toBe(own);
    expect(await failureOf(pool[way]('/', { method: 'PUT', body: missing() }))).toMatchObject({ code: 'ENOENT' });
    await until(() => pool.stats().inFlight === 0);
    expect(pool.stats().errors).toMatchObject({ aborted: 2, other: 0 });
  });

  it('harms nobody when it fails while its request waits for a place', async () => {
    const pool = await full(await reading());
    const body = missing();
    const controller = new AbortController();
    const failed = failureOf(pool.request('/', { body, signal: controller.signal }));
    await until(() => body.errored !== null);
    controller.abort();
    expect(await failed).toMatchObject({ name: 'AbortError' });
  });

  it('harms nobody when it fails while headers are waited for', async () => {
    const headers = Promise.withResolvers<Record<string, string>>();
    const pool = poolOf({ baseUrl: await reading(), headers: () => headers.promise });
    const body = missing();
    const failed = failureOf(pool.request('/', { body }));
    await until(() => body.errored !== null);
    headers.resolve({});
    expect(await failed).toMatchObject({ code: 'ENOENT' });
  });

  it('is let go of when its request is left before it is sent, cannot be, or is answered early', async () => {
    const url = await reading();
    const { url: hasty } = await serve((_, res) => void res.writeHead(413).end());
    const [left, refused, early] = Array.from({ length: 3 }, () => new Readable({ read: () => {} }));
    early?.push('the first of it');
    const controller = new AbortController();
    const leaving = failureOf((await full(url)).request('/', { body: left, signal: controller.signal }));
    controller.abort();
    await leaving;
    await failureOf(poolOf().request('http://127.0.0.1:1/', { body: refused }));
    await failureOf(poolOf().request(hasty, { body: early }));
    expect([left, refused, early].map((body) => body?.destroyed)).toEqual([true, true, true]);
  });
});
