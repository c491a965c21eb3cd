import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, type Dispatcher, request } from 'undici';
import { onTestFinished } from 'vitest';
import { keyvStore } from '../src/cache/index.js';
import { redisStoreOver } from '../src/cache/stores/redis/redis-namespaces.js';
import { decodeEntry, encodeEntry } from '../src/http/response-cache/entry.js';
import {
  type HttpCacheInterceptor,
  type HttpCacheOptions,
  httpCacheInterceptor,
} from '../src/http/response-cache/index.js';
import { runInContext, seededRandom, systemClock } from '../src/kernel/index.js';
import { sqliteStore } from '../src/sqlite/index.js';
import { memoryStore } from '../src/testing/index.js';
import { SimulatedRedis } from './simulated-redis.js';

export type Route = (req: IncomingMessage, res: ServerResponse) => void;
export type Store = HttpCacheOptions['store'];

export const stores: Record<string, () => Store> = {
  memory: () => memoryStore(),
  SQLite() {
    const folder = mkdtempSync(join(tmpdir(), 'warmpath-http-'));
    const store = sqliteStore({ file: join(folder, 'responses.db') });
    onTestFinished(async () => {
      await store.close();
      rmSync(folder, { recursive: true });
    });
    return store;
  },
  Redis() {
    const random = seededRandom(1);
    const port = new SimulatedRedis({ clock: systemClock, random, servers: 1 }).connect({ delayMs: [0, 1] });
    const store = redisStoreOver(port, { name: 'redis', prefix: 'wp', leaseTtlMs: 5_000, clock: systemClock, random });
    onTestFinished(() => store.close());
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

export interface Gateway {
  readonly cache: HttpCacheInterceptor;
  /** What reached the server, oldest first. */
  readonly asked: IncomingMessage[];
  ask(init?: { headers?: Record<string, string>; method?: string; path?: string; tenant?: string }): Promise<Answer>;
  /** The same server and store, as another process has them. */
  peer(): Promise<Gateway>;
  readonly url: string;
  readonly dispatcher: Dispatcher;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Record<string, string | string[] | undefined>;
}

/** A service on loopback, and a pool with a cache before it. */
export async function start(store: Store, route: Route, options: Partial<HttpCacheOptions> = {}): Promise<Gateway> {
  const asked: IncomingMessage[] = [];
  const server = createServer((req, res) => {
    asked.push(req);
    route(req, res);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return gatewayTo(url, asked, { store, ...options });
}

function gatewayTo(url: string, asked: IncomingMessage[], options: HttpCacheOptions): Gateway {
  const agent = new Agent();
  const cache = httpCacheInterceptor(options, 'the cache under test');
  const dispatcher = agent.compose(cache);
  onTestFinished(() => agent.destroy());
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
export function counting(headers: Record<string, string>): Route {
  let count = 0;
  return (_req, res) => {
    res.writeHead(200, headers).end(`answer ${++count}`);
  };
}

export const bodies = async (gateway: Gateway, ...asks: Parameters<Gateway['ask']>[0][]): Promise<string[]> => {
  const texts: string[] = [];
  for (const each of asks) texts.push((await gateway.ask(each)).text);
  return texts;
};

/** A store whose bytes come back as others. */
export function altered(store: Store, alter: (bytes: Uint8Array) => Uint8Array): Store {
  return {
    ...store,
    async getMany(read) {
      const { entries, fence } = await store.getMany(read);
      const others = entries.map((entry) =>
        typeof entry === 'object' ? { ...entry, bytes: alter(entry.bytes) } : entry,
      );
      return { entries: others, fence };
    },
  };
}

/** Of a response that has been kept for so long already: undici itself looks at the clock of the system. */
export function older(ms: number): (bytes: Uint8Array) => Uint8Array {
  return (bytes) => {
    const { response, variants } = decodeEntry(bytes) ?? {};
    if (!response) return bytes;
    const { cachedAt, staleAt, deleteAt } = response;
    const aged = { ...response, cachedAt: cachedAt - ms, staleAt: staleAt - ms, deleteAt: deleteAt - ms };
    return encodeEntry({ response: aged, variants });
  };
}
