import type { ServerResponse } from 'node:http';
import { fetch } from 'undici';
import { describe, expect, it } from 'vitest';
import { altered, bodies, counting, older, type Store, start, stores } from '../../../test/http-cache-set-up.js';
import { memoryStore } from '../../testing/index.js';
import { httpCacheInterceptor } from './interceptor.js';

describe.each(Object.entries(stores))('responses kept in %s', (_name, makeStore) => {
  it('are served without asking while they are fresh, also by another process', async () => {
    const gateway = await start(makeStore(), counting({ 'cache-control': 'max-age=60', 'x-of': 'first' }));
    expect(await bodies(gateway, {}, {})).toEqual(['answer 1', 'answer 1']);
    const peer = await gateway.peer();
    expect(await peer.ask()).toMatchObject({
      status: 200,
      text: 'answer 1',
      headers: { 'x-of': 'first', age: expect.any(String) },
    });
    expect(gateway.asked).toHaveLength(1);
    expect(gateway.cache.stats()).toEqual({ found: 1, missed: 1, kept: 1, storeFailed: 0 });
  });

  it('are apart for what they vary on', async () => {
    const gateway = await start(makeStore(), counting({ 'cache-control': 'max-age=60', vary: 'Accept-Language' }));
    const [en, de, none] = [{ headers: { 'accept-language': 'en' } }, { headers: { 'Accept-Language': 'de' } }, {}];
    expect(await bodies(gateway, en, de, none, en, de, none)).toEqual([
      ...['answer 1', 'answer 2', 'answer 3'],
      ...['answer 1', 'answer 2', 'answer 3'],
    ]);
  });

  it('are each tenant its own', async () => {
    const gateway = await start(makeStore(), counting({ 'cache-control': 'public, max-age=60' }));
    const [ann, bob] = [{ tenant: 'ann' }, { tenant: 'bob' }];
    expect(await bodies(gateway, ann, bob, {}, ann, bob, {})).toEqual([
      ...['answer 1', 'answer 2', 'answer 3'],
      ...['answer 1', 'answer 2', 'answer 3'],
    ]);
  });

  it('are no answer to whoever asks another host at the same address', async () => {
    const gateway = await start(makeStore(), counting({ 'cache-control': 'max-age=60' }));
    const other = { headers: { host: 'other.example' } };
    expect(await bodies(gateway, other, {}, other, {})).toEqual(['answer 1', 'answer 2', 'answer 3', 'answer 2']);
  });

  it('are forgotten for everybody after an unsafe request that went well', async () => {
    const gateway = await start(makeStore(), (req, res) => {
      if (req.method === 'DELETE') res.writeHead(409).end();
      else if (req.method === 'POST') res.writeHead(201, { location: '/items/1' }).end();
      else res.writeHead(200, { 'cache-control': 'max-age=60' }).end(`${req.url} ${gateway.asked.length}`);
    });
    const all = [{ path: '/items' }, { path: '/items/1' }, { path: '/items', tenant: 'ann' }, { path: '/else' }];
    const before = await bodies(gateway, ...all);
    await gateway.ask({ method: 'DELETE', path: '/items' });
    expect(await bodies(gateway, ...all)).toEqual(before);
    await gateway.ask({ method: 'POST', path: '/items', tenant: 'bob' });
    const after = await bodies(gateway, ...all);
    expect(after.map((text, at) => text === before[at])).toEqual([false, false, false, true]);
    const [items] = await bodies(await gateway.peer(), { path: '/items' });
    expect(items).toBe(after[0]);
  });
});

describe('a stale response', () => {
  it('is confirmed by its ETag, and kept anew for as long as the 304 says', async () => {
    let count = 0;
    const gateway = await start(memoryStore(), (req, res) => {
      const headers = {
        etag: '"v1"',
        'x-count': `${++count}`,
        'cache-control': count === 1 ? 'max-age=0' : 'max-age=60',
      };
      if (req.headers['if-none-match'] === '"v1"') res.writeHead(304, headers).end();
      else res.writeHead(200, { ...headers, 'content-length': '8', 'content-type': 'text/plain' }).end('the same');
    });
    expect(await bodies(gateway, {})).toEqual(['the same']);
    const confirmed = await gateway.ask();
    expect(confirmed).toMatchObject({ status: 200, text: 'the same', headers: { 'x-count': '2' } });
    expect(confirmed.headers).toMatchObject({ 'content-type': 'text/plain', 'content-length': '8' });
    expect((await gateway.ask()).headers['x-count']).toBe('2');
    expect(gateway.asked.map(({ headers }) => headers['if-none-match'])).toEqual([undefined, '"v1"']);
  });

  it('is replaced where it has changed', async () => {
    let count = 0;
    const gateway = await start(memoryStore(), (_req, res) => {
      res.writeHead(200, { etag: `"v${++count}"`, 'cache-control': 'no-cache, max-age=60' }).end(`answer ${count}`);
    });
    expect(await bodies(gateway, {}, {}, {})).toEqual(['answer 1', 'answer 2', 'answer 3']);
    expect(gateway.asked.map(({ headers }) => headers['if-none-match'])).toEqual([undefined, '"v1"', '"v2"']);
  });

  it('is asked for whole where the 304 is of another one', async () => {
    let count = 0;
    const gateway = await start(memoryStore(), (req, res) => {
      const isConditional = req.headers['if-none-match'] !== undefined;
      const headers = { etag: isConditional ? '"other"' : `"v${++count}"`, 'cache-control': 'max-age=0' };
      res.writeHead(isConditional ? 304 : 200, headers).end(isConditional ? undefined : `answer ${count}`);
    });
    expect(await bodies(gateway, {}, {})).toEqual(['answer 1', 'answer 2']);
  });

  it('is served while a new one is fetched (stale-while-revalidate)', async () => {
    let ageMs = 11_000;
    const store = altered(memoryStore(), (bytes) => older(ageMs)(bytes));
    const gateway = await start(store, counting({ 'cache-control': 'max-age=10, stale-while-revalidate=60' }));
    await gateway.ask();
    expect((await gateway.ask()).text).toBe('answer 1');
    while (gateway.cache.stats().kept < 2) await new Promise((resolve) => setImmediate(resolve));
    ageMs = 0;
    expect((await gateway.ask()).text).toBe('answer 2');
    expect(gateway.asked).toHaveLength(2);
  });

  it('is confirmed for fetch as well', async () => {
    const gateway = await start(memoryStore(), (req, res) => {
      if (req.headers['if-none-match']) res.writeHead(304, { etag: '"v1"', 'x-new': 'yes' }).end();
      else res.writeHead(200, { etag: '"v1"', 'cache-control': 'max-age=0' }).end('the same');
    });
    await gateway.ask();
    const response = await fetch(gateway.url, { dispatcher: gateway.dispatcher });
    expect([response.status, response.headers.get('x-new'), await response.text()]).toEqual([200, 'yes', 'the same']);
  });
});

describe('what is not kept', () => {
  const key = { headers: { authorization: 'Bearer secret' } };
  it.each<[string, Record<string, string>, { headers?: Record<string, string> }]>([
    ['no-store', { 'cache-control': 'no-store, max-age=60' }, {}],
    ['private', { 'cache-control': 'private, max-age=60' }, {}],
    ['a cookie', { 'cache-control': 'max-age=60', 'set-cookie': 'id=1' }, {}],
    ['what varies on anything', { 'cache-control': 'max-age=60', vary: '*' }, {}],
    ['what says nothing', {}, {}],
    ['what was asked for with credentials', { 'cache-control': 'max-age=60' }, key],
    [
      'what the request forbids to keep',
      { 'cache-control': 'max-age=60' },
      { headers: { 'cache-control': 'no-store' } },
    ],
  ])('is %s', async (_what, headers, ask) => {
    const gateway = await start(memoryStore(), counting(headers));
    expect(await bodies(gateway, ask, ask)).toEqual(['answer 1', 'answer 2']);
  });

  it.each(['public, max-age=60', 's-maxage=60', 'max-age=60, must-revalidate'])(
    'is not what allows it in spite of credentials (RFC 9111 section 3.5): %s',
    async (control) => {
      const gateway = await start(memoryStore(), counting({ 'cache-control': control }));
      expect(await bodies(gateway, key, key)).toEqual(['answer 1', 'answer 1']);
    },
  );

  it('is a body above the limit, which its caller gets all the same', async () => {
    const gateway = await start(memoryStore(), counting({ 'cache-control': 'max-age=60' }), { maxBytes: 7 });
    expect(await bodies(gateway, {}, {})).toEqual(['answer 1', 'answer 2']);
  });

  it('is a body that breaks off', async () => {
    const gateway = await start(memoryStore(), (_req, res) => {
      res.writeHead(200, { 'cache-control': 'max-age=60', 'content-length': '100' }).write('half');
      setImmediate(() => res.destroy());
    });
    await expect(gateway.ask()).rejects.toThrow();
    await gateway.cache.settled();
    expect(gateway.cache.stats().kept).toBe(0);
  });

  it('is what was under way when its URL was forgotten', async () => {
    const { promise: asked, resolve: arrive } = Promise.withResolvers<ServerResponse>();
    const gateway = await start(memoryStore(), (req, res) => {
      if (req.method === 'POST') res.writeHead(204).end();
      else if (gateway.asked.length === 1) arrive(res);
      else res.writeHead(200, { 'cache-control': 'max-age=60' }).end('new');
    });
    const old = gateway.ask();
    const res = await asked;
    await gateway.ask({ method: 'POST' });
    res.writeHead(200, { 'cache-control': 'max-age=60' }).end('old');
    expect((await old).text).toBe('old');
    expect(await bodies(gateway, {})).toEqual(['new']);
  });

  it('holds no credentials in the store, though the response varies on them', async () => {
    const store = memoryStore();
    const seen: string[] = [];
    const watched: Store = {
      ...store,
      setMany(write) {
        seen.push(...write.entries.map(({ key: place, entry }) => place + Buffer.from(entry.bytes).toString('latin1')));
        return store.setMany(write);
      },
    };
    const headers = { 'cache-control': 'public, max-age=60', vary: 'authorization' };
    const gateway = await start(watched, counting(headers));
    const asks = [key, { headers: { authorization: 'Bearer other' } }, key].map((ask) => ({
      ...ask,
      path: '/?k=secret',
    }));
    expect(await bodies(gateway, ...asks)).toEqual(['answer 1', 'answer 2', 'answer 1']);
    expect(seen.join('')).toContain('authorization');
    expect(seen.join('')).not.toMatch(/secret|other/);
  });
});

it('refuses what is no store', () => {
  expect(() => httpCacheInterceptor({ store: new Map() as never }, 'test')).toThrow(/test: option 'store'/);
});
