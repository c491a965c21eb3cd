import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { startModelServer } from '../testing/index.js';
import { createHttpPool, type HttpPool, type HttpPoolOptions } from './index.js';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function poolOf(options?: HttpPoolOptions): HttpPool {
  const pool = createHttpPool(options);
  cleanups.push(() => pool.close());
  return pool;
}

async function serverOf(): ReturnType<typeof startModelServer> {
  const server = await startModelServer();
  cleanups.push(() => server.close());
  return server;
}

const read = async (pool: HttpPool, url: string): Promise<number> => {
  const response = await pool.fetch(url);
  await response.text();
  await new Promise((resolve) => setImmediate(resolve)); // undici frees a socket a moment after its body has been read
  return response.status;
};

describe('an HTTP pool', () => {
  it('sends one request after another over one socket and says so', async () => {
    const server = await serverOf();
    const pool = poolOf();
    expect(pool.stats()).toEqual({ requests: 0, dials: 0, reuse: 0 });
    for (let call = 0; call < 4; call++) expect(await read(pool, `${server.url}/v1/models`)).toBe(200);
    expect(pool.stats()).toEqual({ requests: 4, dials: 1, reuse: 0.75 });
  });

  it('opens no more sockets to one origin than it may', async () => {
    const server = await serverOf();
    const pool = poolOf({ connections: 3 });
    await Promise.all(Array.from({ length: 30 }, () => read(pool, `${server.url}/v1/models`)));
    expect(pool.stats()).toEqual({ requests: 30, dials: 3, reuse: 0.9 });
    expect(server.sockets).toBe(3);
  });

  it('counts only its own requests', async () => {
    const server = await serverOf();
    const [one, other] = [poolOf(), poolOf()];
    await read(one, `${server.url}/v1/models`);
    await read(other, `${server.url}/v1/models`);
    await read(other, `${server.url}/v1/models`);
    expect(one.stats()).toEqual({ requests: 1, dials: 1, reuse: 0 });
    expect(other.stats()).toEqual({ requests: 2, dials: 1, reuse: 0.5 });
  });

  it('opens a new socket when the server has closed the old one', async () => {
    const server = createServer((_, res) => res.end('ok'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => new Promise((resolve) => void server.close(() => resolve())));
    const pool = poolOf();
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await read(pool, url);
    server.closeIdleConnections();
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    expect(await read(pool, url)).toBe(200);
    expect(pool.stats()).toMatchObject({ requests: 2, dials: 2, reuse: 0 });
  });

  it('rejects with the reason of the signal', async () => {
    const server = await serverOf();
    const gone = new Error('gone');
    await expect(poolOf().fetch(server.url, { signal: AbortSignal.abort(gone) })).rejects.toBe(gone);
  });

  it('rejects as the standard says when nobody listens', async () => {
    const server = await startModelServer();
    await server.close();
    await expect(poolOf().fetch(server.url)).rejects.toBeInstanceOf(TypeError);
  });

  it('ends its sockets when closed, lets no request in after, and closes twice as well as once', async () => {
    const server = await serverOf();
    const pool = poolOf({ name: 'models' });
    await read(pool, `${server.url}/v1/models`);
    await Promise.all([pool.close(), pool.close()]);
    await expect(pool.fetch(server.url)).rejects.toMatchObject({ code: 'WP_CLOSED', details: { pool: 'models' } });
    for (let turn = 0; turn < 10_000 && server.sockets > 0; turn++)
      await new Promise((resolve) => setImmediate(resolve));
    expect(server.sockets).toBe(0);
    expect(pool.stats().requests).toBe(1);
  });

  it('refuses bad options', () => {
    expect(() => createHttpPool({ connections: 0 })).toThrowError(
      /createHttpPool\(\): option 'connections' must be a whole number/,
    );
    expect(() => createHttpPool({ keepAlive: '30 s' as never })).toThrowError(/option 'keepAlive' must be a duration/);
    expect(() => createHttpPool({ maxConnections: 3 } as never)).toThrowError(/there is no option 'maxConnections'/);
  });
});
