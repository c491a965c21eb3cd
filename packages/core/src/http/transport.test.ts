import { createServer, request as forward } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { inspect } from 'node:util';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { startChaosH2Server } from '../../test/chaos/chaos-h2-server.js';
import { failureOf, poolOf, serve, until } from '../../test/http-set-up.js';

/** A proxy that forwards http requests and opens tunnels for others, and writes down what it is asked. */
async function startProxy(): Promise<{ readonly url: string; readonly asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((req, res) => {
    asked.push(`${req.method} ${req.url} ${req.headers['proxy-authorization'] ?? '-'}`);
    const { 'proxy-authorization': _, ...headers } = req.headers;
    forward(req.url ?? '', { method: req.method, headers }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(res);
    }).end();
  });
  server.on('connect', (req, socket) => {
    asked.push(`CONNECT ${req.url}`);
    const [host, port] = (req.url ?? '').split(':');
    if (host === 'denied') {
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
      return;
    }
    const upstream = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    for (const each of [socket, upstream]) each.on('error', () => each.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

describe('a pool with a proxy', () => {
  it('sends requests over it, with the credentials that are for it alone', async () => {
    const seen: unknown[] = [];
    const { url } = await serve((req, res) => {
      seen.push(req.headers['proxy-authorization']);
      res.end('ok');
    });
    const proxy = await startProxy();
    const pool = poolOf({ baseUrl: url, proxy: proxy.url.replace('//', '//user:s3cret@') });
    expect((await pool.request('/a')).text()).toBe('ok');
    await until(() => pool.stats().inFlight === 0);
    await new Promise((resolve) => setImmediate(resolve));
    expect(await (await pool.fetch('/b')).text()).toBe('ok');
    const basic = `Basic ${Buffer.from('user:s3cret').toString('base64')}`;
    expect(proxy.asked).toEqual([`GET ${url}/a ${basic}`, `GET ${url}/b ${basic}`]);
    expect(seen).toEqual([undefined, undefined]);
    expect(pool.stats()).toMatchObject({ sent: 2, dialled: 1, reused: 1, ok: 2 });
  });

  it('asks it for a tunnel to what is encrypted, and speaks HTTP/2 inside', async () => {
    const server = await startChaosH2Server();
    onTestFinished(() => server.close());
    const proxy = await startProxy();
    const pool = poolOf({ baseUrl: server.url, proxy: proxy.url, tls: { ca: server.ca } });
    for (let call = 0; call < 3; call++) expect((await pool.request('/')).text()).toBe('ok');
    expect(proxy.asked).toEqual([`CONNECT ${new URL(server.url).host}`]);
    await until(() => pool.stats().inFlight === 0);
    expect(pool.stats()).toMatchObject({ sent: 3, dialled: 1, reused: 2, protocols: { h1: 0, h2: 3 } });
    await pool.close();
    await until(() => server.open === 0);
  });

  it('tells of a proxy that refuses, or is not there, as not sent, and prints no password', async () => {
    const proxy = await startProxy();
    const failures = [
      poolOf({ proxy: proxy.url.replace('//', '//user:s3cret@') }).request('https://denied/', { method: 'POST' }),
      poolOf({ proxy: 'http://user:s3cret@127.0.0.1:2' }).request('http://127.0.0.1:9/', { method: 'POST' }),
      poolOf({ proxy: 'http://user:s3cret@127.0.0.1:2' }).request('https://127.0.0.1:9/', { method: 'POST' }),
    ].map(failureOf);
    for (const error of await Promise.all(failures)) {
      expect(error).toMatchObject({ code: 'WP_HTTP_FAILED', details: { phase: 'not-sent', retryable: true } });
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('s3cret');
    }
  });

  it('tells of a proxy that wants other credentials', async () => {
    const { url } = await serve((_, res) => void res.writeHead(407).end('who are you?'));
    const pool = poolOf({ proxy: url });
    const failures = [pool.request('http://service:2/'), pool.fetch('http://service:2/')].map(failureOf);
    expect(await failures[0]).toMatchObject({ code: 'WP_HTTP_FAILED' });
    expect((await failures[1])?.cause).toMatchObject({ code: 'WP_HTTP_FAILED' });
    await until(() => pool.stats().inFlight === 0);
    expect(pool.stats()).toMatchObject({ ok: 0, errors: { other: 2 } });
  });

  it('takes the one that the environment names, except for what is excepted there, and only when told to', async () => {
    const { url } = await serve((_, res) => void res.end('ok'));
    const proxy = await startProxy();
    vi.stubEnv('HTTP_PROXY', proxy.url);
    vi.stubEnv('http_proxy', proxy.url);
    vi.stubEnv('NO_PROXY', '');
    vi.stubEnv('no_proxy', undefined);
    onTestFinished(() => void vi.unstubAllEnvs());
    await poolOf().request(url);
    expect(proxy.asked).toEqual([]);
    const pool = poolOf({ proxy: 'env' });
    await pool.request(url);
    expect(proxy.asked).toHaveLength(1);
    vi.stubEnv('NO_PROXY', '127.0.0.1');
    await pool.request(url);
    expect(proxy.asked).toHaveLength(1);
    await until(() => pool.stats().inFlight === 0);
    expect(pool.stats()).toMatchObject({ sent: 2, dialled: 2, ok: 2 });
  });
});
