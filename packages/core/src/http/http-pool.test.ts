import { hasSubscribers, subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, expect, it, onTestFinished } from 'vitest';
import { failureOf, poolOf, serve, until } from '../../test/http-set-up.js';
import { currentContext, runInContext } from '../kernel/index.js';
import { createFakeClock, memoryStore, startModelServer } from '../testing/index.js';
import { createHttpPool, type HttpEvent, type HttpPool } from './index.js';

async function modelServer(): ReturnType<typeof startModelServer> {
  const server = await startModelServer();
  onTestFinished(() => server.close());
  return server;
}

const read = async (pool: HttpPool, url: string): Promise<number> => {
  const response = await pool.fetch(url);
  await response.text();
  await new Promise((resolve) => setImmediate(resolve)); // undici frees a socket a moment after its body has been read
  return response.status;
};

const noErrors = {
  refused: 0,
  reset: 0,
  timeout: 0,
  tls: 0,
  dns: 0,
  aborted: 0,
  status4xx: 0,
  status5xx: 0,
  tooLarge: 0,
  other: 0,
};

describe('an HTTP pool', () => {
  it('sends one request after another over one socket and says so', async () => {
    const server = await modelServer();
    const pool = poolOf();
    expect(pool.stats()).toMatchObject({ sent: 0, dialled: 0, reuseRate: 0, open: 0, errors: noErrors });
    for (let call = 0; call < 4; call++) expect(await read(pool, `${server.url}/v1/models`)).toBe(200);
    const stats = pool.stats();
    expect(stats).toMatchObject({ sent: 4, dialled: 1, reused: 3, reuseRate: 0.75, open: 1, ok: 4, errors: noErrors });
    expect(stats).toMatchObject({ inFlight: 0, queued: 0, redialled: 0, protocols: { h1: 4, h2: 0 } });
    expect(stats.bytesSent).toBeGreaterThan(4 * 100);
    expect(stats.bytesReceived).toBeGreaterThan(4 * 100);
  });

  it('opens no more sockets to one origin than it may, and says how many requests wait', async () => {
    const answers: (() => void)[] = [];
    const { url } = await serve((_, res) => void answers.push(() => res.end('ok')));
    const pool = poolOf({ baseUrl: url, connections: 3 });
    const all = Array.from({ length: 30 }, (_, call) => (call % 2 ? pool.request('/a') : pool.fetch('/a')));
    await until(() => answers.length === 3);
    expect(pool.stats()).toMatchObject({ inFlight: 30, queued: 27, open: 3 });
    for (let call = 0; call < 30; call++) {
      await until(() => answers.length > call);
      answers[call]?.();
    }
    await Promise.all(all);
    await until(() => pool.stats().inFlight === 0);
    expect(pool.stats()).toMatchObject({ sent: 30, dialled: 3, reuseRate: 0.9, inFlight: 0, queued: 0, ok: 30 });
  });

  it('dials nothing for requests that were left while they waited, and keeps nothing of them', async () => {
    const hung: (() => void)[] = [];
    const { url } = await serve((_, res) => void hung.push(() => res.end('ok')));
    const pool = poolOf({ baseUrl: url, connections: 1 });
    const first = pool.request('/');
    await until(() => hung.length === 1);
    const caller = new AbortController();
    const { signal } = caller;
    const left = [pool.request('/', { signal }), pool.fetch('/', { signal }), pool.stream('/', { signal })].map(
      failureOf,
    );
    const last = pool.request('/');
    expect(pool.stats()).toMatchObject({ inFlight: 4, queued: 3 }); // fetch comes a moment later
    await until(() => pool.stats().queued === 4);
    caller.abort();
    expect(pool.stats()).toMatchObject({ inFlight: 2, queued: 1, errors: { aborted: 3 } });
    for (const failure of left) expect(await failure).toBe(signal.reason);
    hung[0]?.();
    await first;
    await until(() => hung.length === 2);
    hung[1]?.();
    expect((await last).text()).toBe('ok');
    expect(pool.stats()).toMatchObject({ sent: 2, dialled: 1, inFlight: 0 });
  });

  it('starts what has waited in its own asynchronous context', async () => {
    const tenants: unknown[] = [];
    const onCreate = (): void => void tenants.push(currentContext()?.tenant);
    subscribe('undici:request:create', onCreate);
    onTestFinished(() => void unsubscribe('undici:request:create', onCreate));
    const { url } = await serve((_, res) => void res.end('ok'));
    const pool = poolOf({ baseUrl: url, connections: 1 });
    await Promise.all(['a', 'b', 'c'].map((tenant) => runInContext({ tenant }, () => pool.request('/'))));
    expect(tenants).toEqual(['a', 'b', 'c']);
  });

  it('counts only its own requests', async () => {
    const server = await modelServer();
    const [one, other] = [poolOf(), poolOf()];
    await read(one, `${server.url}/v1/models`);
    await read(other, `${server.url}/v1/models`);
    await read(other, `${server.url}/v1/models`);
    expect(one.stats()).toMatchObject({ sent: 1, dialled: 1, reuseRate: 0 });
    expect(other.stats()).toMatchObject({ sent: 2, dialled: 1, reuseRate: 0.5 });
  });

  it('opens a new socket when the server has closed the old one', async () => {
    const server = await serve((_, res) => void res.end('ok'));
    const pool = poolOf();
    await read(pool, server.url);
    server.closeIdle();
    await until(() => pool.stats().open === 0);
    expect(await read(pool, server.url)).toBe(200);
    expect(pool.stats()).toMatchObject({ sent: 2, dialled: 2, reuseRate: 0, redialled: 0 });
  });

  it('closes the idle sockets that it has too many of, those idle longest first, once they have been for 5 s', async () => {
    const clock = createFakeClock();
    const { url } = await serve((_, res) => void setImmediate(() => res.end('ok')));
    const pool = poolOf({ baseUrl: url, maxIdle: 2, clock });
    await Promise.all(Array.from({ length: 6 }, () => pool.request('/')));
    expect(pool.stats()).toMatchObject({ open: 6, dialled: 6 });
    await clock.advance(4_000);
    await pool.request('/');
    await clock.advance(1_000);
    await until(() => pool.stats().open === 2);
    await pool.request('/');
    expect(pool.stats()).toMatchObject({ open: 2, dialled: 6 });
    expect(clock.pending).toBe(0);
    await clock.settle();
    await Promise.all(Array.from({ length: 6 }, () => pool.request('/')));
    await clock.advance(4_000);
    await Promise.all(Array.from({ length: 6 }, () => pool.request('/')));
    await clock.advance(1_000);
    await clock.settle();
    expect(pool.stats()).toMatchObject({ open: 6, dialled: 10 });
    await clock.advance(4_000);
    await until(() => pool.stats().open === 2);
    expect(pool.stats().dialled).toBe(10);
  });

  it('answers from a cache what its HTTP headers allow, and sends nothing for it', async () => {
    let asked = 0;
    const { url } = await serve((_, res) => void res.setHeader('cache-control', 'max-age=60').end(`answer ${++asked}`));
    const pool = poolOf({ baseUrl: url, cache: { store: memoryStore() } });
    expect((await pool.request('/a')).text()).toBe('answer 1');
    await until(() => pool.stats().cache?.kept === 1);
    expect((await pool.request('/a')).text()).toBe('answer 1');
    expect((await pool.request('/a', { headers: { 'cache-control': 'no-cache' } })).text()).toBe('answer 2');
    expect((await pool.request('/b')).text()).toBe('answer 3');
    expect(pool.stats()).toMatchObject({ sent: 3, inFlight: 0, cache: { found: 2, missed: 2 } });
    expect(poolOf().stats().cache).toBeUndefined();
  });

  it('reports what fails, and nothing of what does not', async () => {
    const clock = createFakeClock();
    const events: HttpEvent[] = [];
    const { url } = await serve((req, res) => {
      if (req.url === '/cut') res.destroy();
      else res.writeHead(Number(req.url?.slice(1))).end();
    });
    const pool = poolOf({ name: 'gpt', baseUrl: url, clock, onEvent: (event) => events.push(event) });
    await pool.request('/200');
    await failureOf(pool.request('/404'));
    await (await pool.fetch('/503')).text();
    await failureOf(pool.request('/cut', { method: 'POST' }));
    const failed = { type: 'http.failed', service: 'gpt', ms: 0 };
    expect(events).toEqual([
      { ...failed, kind: 'status4xx', phase: 'responding' },
      { ...failed, kind: 'status5xx', phase: 'responding' },
      { ...failed, kind: 'reset', phase: 'sent' },
    ]);
    expect(pool.stats()).toMatchObject({ ok: 1, errors: { ...noErrors, status4xx: 1, status5xx: 1, reset: 1 } });
  });
});

describe('closing an HTTP pool', () => {
  it('ends its sockets, lets no request in after, and closes twice as well as once', async () => {
    const server = await modelServer();
    const pool = createHttpPool({ name: 'models' });
    await read(pool, `${server.url}/v1/models`);
    await Promise.all([pool.close(), pool.close()]);
    const closed = { code: 'WP_CLOSED', details: { service: 'models' } };
    await expect(pool.fetch(server.url)).rejects.toMatchObject(closed);
    await expect(pool.request(server.url)).rejects.toMatchObject(closed);
    await expect(pool.stream(server.url)).rejects.toMatchObject(closed);
    await until(() => server.sockets === 0);
    expect(pool.stats()).toMatchObject({ sent: 1, open: 0 });
  });

  it('lets what is under way end', async () => {
    const answers: (() => void)[] = [];
    const { url } = await serve((_, res) => void answers.push(() => res.end('late')));
    const pool = createHttpPool({ baseUrl: url, connections: 1, clock: createFakeClock() });
    const calls = [pool.request('/'), pool.request('/')];
    await until(() => answers.length === 1);
    const closing = pool.close();
    answers[0]?.();
    await until(() => answers.length === 2);
    answers[1]?.();
    expect((await Promise.all(calls)).map((response) => response.text())).toEqual(['late', 'late']);
    await closing;
  });

  it('lets a fetch end that is between two redirects', async () => {
    const answers: (() => void)[] = [];
    const { url } = await serve((req, res) => {
      answers.push(() => (req.url === '/end' ? res.end('there') : res.writeHead(307, { location: '/end' }).end()));
    });
    const pool = createHttpPool({ baseUrl: url });
    const fetched = pool.fetch('/');
    await until(() => answers.length === 1);
    const closing = pool.close();
    answers[0]?.();
    await until(() => answers.length === 2);
    answers[1]?.();
    expect(await (await fetched).text()).toBe('there');
    await closing;
  });

  it('cuts off what has not ended when its time to drain is over', async () => {
    const clock = createFakeClock();
    const { url } = await serve((req, res) => void (req.url === '/begun' && res.write('a part')));
    const pool = createHttpPool({ baseUrl: url, connections: 2, clock });
    const stream = await pool.stream('/begun');
    const calls = [pool.request('/a'), pool.request('/b')].map(failureOf);
    await until(() => pool.stats().sent === 2);
    const closing = pool.close({ drain: '3s' });
    await clock.advance(2_999);
    expect(pool.stats()).toMatchObject({ inFlight: 3, open: 2 });
    await clock.advance(1);
    await closing;
    for (const call of calls) expect(await call).toMatchObject({ code: 'WP_CLOSED' });
    await stream.body.next();
    expect(await failureOf(stream.body.next())).toMatchObject({ code: 'WP_CLOSED' });
    expect(pool.stats()).toMatchObject({ inFlight: 0, queued: 0, open: 0 });
    expect(clock.pending).toBe(0);
  });

  it('leaves no socket, no timer and no subscription behind', async () => {
    const { url } = await serve((req, res) => void (req.url === '/hang' || res.end('ok')));
    const before = process.getActiveResourcesInfo();
    const channels = ['undici:client:sendHeaders', 'http2.client.stream.created'];
    const pools = [createHttpPool({ baseUrl: url }), createHttpPool({ baseUrl: url })];
    for (const pool of pools) {
      await pool.request('/', { timeout: '1m' });
      await (await pool.fetch('/', { signal: new AbortController().signal })).text();
      await failureOf(pool.request('/hang', { timeout: 5 }));
    }
    expect(channels.map(hasSubscribers)).toEqual([true, true]);
    await pools[0]?.close();
    expect(channels.map(hasSubscribers)).toEqual([true, true]);
    await pools[1]?.close();
    expect(channels.map(hasSubscribers)).toEqual([false, false]);
    const left = (): string[] => {
      const known = [...before];
      return process.getActiveResourcesInfo().filter((name) => {
        const at = known.indexOf(name);
        if (at >= 0) known.splice(at, 1);
        return at < 0;
      });
    };
    await until(() => left().length === 0);
  });
});

describe('the options of an HTTP pool', () => {
  it.each([
    [{ connections: 0 }, "option 'connections' must be a whole number"],
    [{ keepAlive: '30 s' }, "option 'keepAlive' must be a duration"],
    [{ maxConnections: 3 }, "there is no option 'maxConnections'"],
    [{ baseUrl: 'ftp://host' }, "option 'baseUrl' must be an http:// or https:// address"],
    [{ baseUrl: 'https://host/v1?key=s3cret' }, "option 'baseUrl' must be an address without query and fragment"],
    [{ headers: { 'x-key': 's3cret' } }, "option 'headers' must be given together with 'baseUrl'"],
    [
      { headers: new Headers({ 'x-key': 's3cret' }) as never, baseUrl: 'http://a' },
      'of a Headers, Object.fromEntries(headers)',
    ],
    [{ cache: {} as never }, "createHttpPool() cache: option 'store' must be a cache store"],
    [{ baseUrl: 'http://h', headers: { 'x-key': 's3cret\n' } }, "option 'headers.x-key' must be a text"],
    [{ tls: { cert: 's3cret', rejectUnauthorised: false } }, "there is no option 'rejectUnauthorised'"],
    [{ tls: { key: 5 } }, "option 'key' must be PEM as a text or bytes"],
    [{ proxy: 'socks://user:s3cret@host' }, "option 'proxy' must be an http:// or https:// address, or 'env'"],
  ])('refuses %j and prints no secret', (options, message) => {
    expect(() => createHttpPool(options as never)).toThrow(message);
    expect(() => createHttpPool(options as never)).not.toThrow('s3cret');
  });
});
