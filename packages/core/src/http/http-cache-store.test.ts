import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, type Dispatcher, fetch, request } from 'undici';
import { afterEach, describe, expect, it } from 'vitest';
import { SimulatedRedis } from '../../test/simulated-redis.js';
import { keyvStore } from '../cache/index.js';
import { redisStoreOver } from '../cache/stores/redis/redis-namespaces.js';
import { runInContext, seededRandom, systemClock } from '../kernel/index.js';
import { sqliteStore } from '../sqlite/index.js';
import { chaosStore, memoryStore } from '../testing/index.js';
import { type HttpCacheInterceptor, type HttpCacheOptions, httpCacheInterceptor } from './http-cache-store.js';

type Route = (req: IncomingMessage, res: ServerResponse) => void;
type Store = HttpCacheOptions['store'];

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const stores: Record<string, () => Store> = {
  memory: () => memoryStore(),
  SQLite() {
    const folder = mkdtempSync(join(tmpdir(), 'warmpath-http-'));
    const store = sqliteStore({ file: join(folder, 'responses.db') });
    cleanups.push(
      () => rmSync(folder, { recursive: true }),
      () => store.close(),
    );
    return store;
  },
  Redis() {
    const random = seededRandom(1);
    const port = new SimulatedRedis({ clock: systemClock, random, servers: 1 }).connect({ delayMs: [0, 1] });
    const store = redisStoreOver(port, { name: 'redis', prefix: 'wp', leaseTtlMs: 5_000, clock: systemClock, random });
    cleanups.push(() => store.close());
    return store;
  },
  Keyv() {
    const texts = new Map<string, unknown>();
    return keyvStore({
      get: async (key: string) => texts.get(key),
      set: async (key: string, value: unknown) => texts.set(key, value),
      delete: async (key: string) => texts.delete(key),
    });
  },
};

interface Gateway {
  readonly cache: HttpCacheInterceptor;
  /** What reached the server, oldest first. */
  readonly asked: IncomingMessage[];
  ask(init?: { headers?: Record<string, string>; method?: string; path?: string; tenant?: string }): Promise<Answer>;
  /** The same server and store, as another process has them. */
  peer(): Promise<Gateway>;
  readonly url: string;
  readonly dispatcher: Dispatcher;
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Record<string, string | string[] | undefined>;
}

async function start(store: Store, route: Route, options: Partial<HttpCacheOptions> = {}): Promise<Gateway> {
  const asked: IncomingMessage[] = [];
  const server = createServer((req, res) => {
    asked.push(req);
    route(req, res);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return gatewayTo(url, asked, { store, ...options });
}

function gatewayTo(url: string, asked: IncomingMessage[], options: HttpCacheOptions): Gateway {
  const agent = new Agent();
  const cache = httpCacheInterceptor(options);
  const dispatcher = agent.compose(cache);
  cleanups.push(() => agent.destroy());
  return {
    cache,
    asked,
    url,
    dispatcher,
    peer: async () => gatewayTo(url, asked, options),
    ask: ({ headers = {}, method = 'GET', path = '/', tenant } = {}) =>
      runInContext({ tenant }, async () => {
        const response = await request(`${url}${path}`, { dispatcher, headers, method });
        const text = await response.body.text();
        await cache.settled();
        return { status: response.statusCode, text, headers: response.headers };
      }),
  };
}

/** Each answer another text, so that one from the cache shows. */
function counting(headers: Record<string, string>): Route {
  let count = 0;
  return (_req, res) => {
    res.writeHead(200, headers).end(`answer ${++count}`);
  };
}

const bodies = async (gateway: Gateway, ...asks: Parameters<Gateway['ask']>[0][]): Promise<string[]> => {
  const texts: string[] = [];
  for (const each of asks) texts.push((await gateway.ask(each)).text);
  return texts;
};

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
    let count = 0;
    const gateway = await start(memoryStore(), (_req, res) => {
      const headers = { 'cache-control': 'max-age=10, stale-while-revalidate=60' };
      res.writeHead(200, count === 0 ? { ...headers, age: '9' } : headers).end(`answer ${++count}`);
    });
    await gateway.ask();
    await new Promise((resolve) => systemClock.schedule(1_100, () => resolve(undefined)));
    expect((await gateway.ask()).text).toBe('answer 1');
    while (gateway.cache.stats().kept < 2) await new Promise((resolve) => setImmediate(resolve));
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

describe('a store in trouble', () => {
  const fresh = { 'cache-control': 'max-age=60' };

  it.each(['reject', 'throw', 'hang', 'full'] as const)('is a miss and no error: %s', async (trouble) => {
    const store = chaosStore(memoryStore(), { clock: systemClock });
    const gateway = await start(store, counting(fresh), { storeTimeout: 20 });
    store.trouble(trouble);
    expect(await bodies(gateway, {}, {})).toEqual(['answer 1', 'answer 2']);
    store.trouble(undefined);
    expect(await bodies(gateway, {}, {})).toEqual(['answer 3', 'answer 3']);
  });

  it('is left alone after a while, so that it costs nobody its deadline', async () => {
    const store = chaosStore(memoryStore(), { clock: systemClock });
    const gateway = await start(store, counting(fresh));
    store.trouble('reject');
    for (let count = 0; count < 20; count++) await gateway.ask();
    expect(store.calls.length).toBeLessThan(8);
  });

  it('gives nothing that it could not forget', async () => {
    const store = chaosStore(memoryStore(), { clock: systemClock });
    const gateway = await start(store, counting(fresh));
    expect(await bodies(gateway, {}, {})).toEqual(['answer 1', 'answer 1']);
    store.trouble('reject', 'invalidate');
    await gateway.ask({ method: 'PUT' });
    expect(await bodies(gateway, {}, {})).toEqual(['answer 3', 'answer 4']);
    store.trouble(undefined, 'invalidate');
    expect(await bodies(gateway, {}, {})).toEqual(['answer 5', 'answer 5']);
  });

  it('is told of all that is to be forgotten, also of what comes while it is being told', async () => {
    const store = chaosStore(memoryStore(), { clock: systemClock });
    const gateway = await start(store, counting(fresh));
    const paths = ['/a', '/b', '/c'].map((path) => ({ path }));
    await bodies(gateway, ...paths);
    store.trouble(5, 'invalidate');
    await Promise.all(paths.map(async (each) => gateway.ask({ ...each, method: 'PUT' })));
    const peer = await gateway.peer();
    expect(await bodies(peer, ...paths)).toEqual(['answer 7', 'answer 8', 'answer 9']);
  });

  it('is told to forget everything once it owes more than can be remembered', async () => {
    const store = chaosStore(memoryStore(), { clock: systemClock });
    const gateway = await start(store, (req, res) => {
      const links = Array.from({ length: 1_100 }, (_, at) => `/${at}`);
      if (req.method === 'PUT') res.writeHead(204, { 'content-location': links.at(gateway.asked.length) }).end();
      else res.writeHead(200, fresh).end(`answer ${gateway.asked.length}`);
    });
    expect(await bodies(gateway, {}, {})).toEqual(['answer 1', 'answer 1']);
    store.trouble('reject', 'invalidate');
    for (let count = 0; count < 600; count++) await gateway.ask({ method: 'PUT', path: `/of/${count}` });
    store.trouble(undefined, 'invalidate');
    while ((await gateway.ask()).text !== (await gateway.ask()).text);
    expect(store.calls).toContain('invalidate clear');
  });

  it.each<[string, (bytes: Uint8Array) => Uint8Array]>([
    ['cut off', (bytes) => bytes.subarray(0, -3)],
    ['of a bit that has turned', (bytes) => bytes.map((byte, at) => (at === 40 ? byte ^ 1 : byte))],
    ['foreign', () => Buffer.from('not ours at all')],
    ['empty', () => new Uint8Array()],
    ['whole by its checksum, but of other bytes', () => Buffer.from('WPR1')],
  ])('that gives back bytes is a miss when they are %s', async (_what, damage) => {
    const store = memoryStore();
    const damaging: Store = {
      ...store,
      async getMany(read) {
        const { entries, fence } = await store.getMany(read);
        const damaged = entries.map((entry) =>
          typeof entry === 'object' ? { ...entry, bytes: damage(entry.bytes) } : entry,
        );
        return { entries: damaged, fence };
      },
    };
    const gateway = await start(damaging, counting(fresh));
    expect(await bodies(gateway, {}, {})).toEqual(['answer 1', 'answer 2']);
  });

  it('that keeps a response too long does not bring it back', async () => {
    const clock = { ...systemClock, wall: () => systemClock.wall() + 3_600_000 };
    const gateway = await start(memoryStore(), counting(fresh), { clock });
    expect(await bodies(gateway, {}, {})).toEqual(['answer 1', 'answer 2']);
  });
});

it('refuses what is no store', () => {
  expect(() => httpCacheInterceptor({ store: new Map() as never })).toThrow(/option 'store'/);
});
