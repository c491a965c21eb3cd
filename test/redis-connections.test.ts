import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import KeyvRedis from '@keyv/redis';
import { createClient, createCluster, createSentinel } from '@redis/client';
import { redisStore } from '@warmpath/core/redis';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import {
  type Connection,
  clear,
  has,
  namespace,
  open,
  own,
  patient,
  refusalMs,
  remove,
  set,
  works,
} from './redis-calls.js';
import { startRedisCluster } from './redis-cluster.js';
import { startSentinelPair } from './redis-sentinel.js';
import { until, whyNoOwnRedis } from './redis-servers.js';
import { startTcpProxy } from './tcp-proxy.js';

const note = whyNoOwnRedis();
beforeEach(({ skip }) => skip(note !== undefined, note));

describe('a Redis store is given', () => {
  it('an address, options or a client of its own caller, which it neither connects nor closes', async () => {
    const redis = await own();
    const prefix = `wp-${randomUUID()}`;
    const idle = createClient({ url: redis.url });
    const inUse = await createClient({ url: redis.url, RESP: 3 }).connect();
    const keyv = new KeyvRedis(redis.url);
    onTestFinished(() => inUse.destroy());
    await set(open(redis.url, { prefix }), 'key');
    const ways: Connection[] = [
      { url: redis.url },
      { socket: { host: '127.0.0.1', port: redis.port } },
      { url: redis.url, RESP: 3, name: 'warmpath' },
      idle,
      inUse,
      keyv.client,
    ];
    for (const way of ways) {
      const store = open(way, { prefix });
      expect(await has(store, 'key', 'none')).toEqual([true, false]);
      await store.close();
    }
    expect([idle.isOpen, inUse.isReady, keyv.client.isOpen]).toEqual([false, true, false]);
    expect(await inUse.ping()).toBe('PONG');
  });

  it('the credentials in an address, and never shows them', async () => {
    const redis = await own();
    await redis.configure({ requirepass: 'secret word' });
    const address = `redis://:${encodeURIComponent('secret word')}@127.0.0.1:${redis.port}`;
    await set(open(address), 'key');
    const wrong = has(open(`redis://:wrong-word@127.0.0.1:${redis.port}`), 'key');
    await expect(wrong).rejects.toThrow('WRONGPASS');
    await expect(wrong).rejects.not.toThrow('wrong-word');
    expect(() => redisStore('http://user:wrong-word@host')).toThrow(/option 'connection' must be(?!.*wrong-word)/);
  });

  it('a user that may not ask which server this is', async () => {
    const redis = await own();
    await redis.command('ACL', 'SETUSER', 'poor', 'on', '>word', '~*', '&*', '+@all', '-info');
    const store = open(`redis://poor:word@127.0.0.1:${redis.port}`);
    await set(store, 'key', ['tag']);
    expect(await has(store, 'key')).toEqual([true]);
    await redis.command('CLIENT', 'KILL', 'TYPE', 'normal');
    await works(store);
    await set(store, 'key', ['tag']);
    expect(await has(store, 'key')).toEqual([true]);
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['an address of something else', 'https://example.org'],
    ['a client of another library', { sendCommand() {}, duplicate() {}, status: 'ready' }],
    ['a number', 6379],
  ])('%s: it says what it takes', (_, connection) => {
    expect(() => redisStore(connection as string)).toThrow(
      expect.objectContaining({ code: 'WP_BAD_OPTION', message: expect.stringContaining('redis://') }),
    );
  });

  it('a cluster or a Sentinel that somebody else has made', async () => {
    const [cluster, pair] = await Promise.all([startRedisCluster(), startSentinelPair()]);
    onTestFinished(cluster.stop);
    onTestFinished(pair.stop);
    const ofCluster = createCluster({ rootNodes: cluster.urls.map((url) => ({ url })) });
    const ofSentinel = createSentinel({
      name: pair.name,
      sentinelRootNodes: [{ host: '127.0.0.1', port: pair.sentinel.port }],
    });
    ofSentinel.on('error', () => {});
    const unconnected = open(ofSentinel);
    await expect(has(unconnected, 'key')).rejects.toThrow('not connected');
    await ofSentinel.connect();
    onTestFinished(() => ofSentinel.destroy());
    await works(unconnected);
    for (const store of [unconnected, open(ofCluster)]) {
      await set(store, 'key');
      expect(await has(store, 'key', 'none')).toEqual([true, false]);
    }
    expect(ofCluster.isOpen).toBe(false);
  });
});

describe('a Redis store whose server', () => {
  it('is not there refuses at once, and works when it is', async () => {
    const redis = await own();
    await redis.kill();
    const store = open(redis.url);
    await expect(has(store, 'key')).rejects.toThrow('ECONNREFUSED'); // the first attempt is waited for
    expect(await refusalMs(has(store, 'key'))).toBeLessThan(20);
    expect(await refusalMs(remove(store, 'key'))).toBeLessThan(20);
    await redis.restart();
    await works(store);
    await set(store, 'key');
    expect(await has(store, 'key')).toEqual([true]);
  });

  it('dies fails what is under way and refuses at once until it is back, empty', async () => {
    const redis = await own();
    const store = open(redis.url);
    await set(store, 'key');
    redis.freeze();
    const underWay = Promise.allSettled([has(store, 'key'), set(store, 'other'), clear(store)]);
    await pause(20);
    await redis.kill();
    expect((await underWay).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    expect(await refusalMs(set(store, 'key'))).toBeLessThan(20);
    await redis.restart();
    await works(store);
    expect(await has(store, 'key', 'other')).toEqual([false, false]);
  });

  it('comes back with an old snapshot is told again what was invalidated since, before anything is read', async () => {
    const redis = await own();
    const [store, listener, idle] = [open(redis.url), open(redis.url), open(redis.url)];
    for (const key of ['deleted', 'expired', 'tagged', 'set', 'stays']) await set(store, key, [key]);
    const feed = listener.openFeed(namespace);
    await works(listener);
    await works(idle);
    const snapshot = await redis.save();
    await until('the feed hears', async () => feed.poll() === 'gap');
    await remove(store, 'deleted');
    await store.invalidate({ namespace, invalidation: { type: 'expire', keys: ['expired'] }, signal: patient() });
    await store.invalidate({ namespace, invalidation: { type: 'tags', tags: ['tagged'] }, signal: patient() });
    await set(store, 'set');
    await until('the feed hears', async () => JSON.stringify(feed.poll() ?? '').includes('set'));
    const { fence } = await idle.getMany({ namespace, keys: ['late'], tags: [], signal: patient() });
    const lease = { namespace, keys: ['late'], fence, token: 'token', signal: patient() };
    const leases = await idle.leasing.acquire(lease);
    await clear(idle); // so that numbers of before the restart are ahead of those in the snapshot
    await redis.restart(snapshot);
    await store.close(); // whoever has heard of it is enough
    await works(listener);
    const { entries } = await listener.getMany({
      namespace,
      keys: ['deleted', 'expired', 'tagged', 'set', 'stays'],
      tags: [],
      signal: patient(),
    });
    expect(entries.map((entry) => entry !== undefined && entry !== 'unreadable' && entry.freshUntil > 0)).toEqual([
      false,
      false,
      false,
      false,
      false, // there was a clear
    ]);
    await works(idle);
    const entry = { bytes: Buffer.from('old'), storedAt: 1, freshUntil: 9e12, keptUntil: 9e12, computeMs: 1, tags: [] };
    const late = { namespace, entries: [{ key: 'late', entry, fence: leases.fence }], signal: patient() };
    expect(await idle.setMany(late)).toEqual([false]);
    feed.close();
  });

  it('falls silent is given up after a while, and reached again another way', async () => {
    const redis = await own();
    const proxy = await startTcpProxy(redis.port);
    onTestFinished(proxy.stop);
    const store = open(`redis://127.0.0.1:${proxy.port}`);
    await set(store, 'key');
    proxy.hold();
    const lost = has(store, 'key');
    lost.catch(() => {});
    await pause(5_100);
    await expect(has(store, 'key')).rejects.toThrow('it has not answered for 5000 ms');
    await expect(lost).rejects.toThrow();
    proxy.shape({});
    await works(store);
    expect(await has(store, 'key')).toEqual([true]);
  });
});

it('lets the process end, once it is closed, with a server and without', async () => {
  const redis = await own();
  const gone = await own();
  await gone.kill();
  for (const url of [redis.url, gone.url]) {
    const child = fork(new URL('processes/redis-closer.ts', import.meta.url), [url]);
    const [code] = await once(child, 'exit');
    expect(code).toBe(0);
  }
});
