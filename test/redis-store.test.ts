import { randomUUID } from 'node:crypto';
import type { StoredEntry } from '@warmpath/core/cache';
import { type RedisStore, type RedisStoreOptions, redisStore } from '@warmpath/core/redis';
import { storeContract } from '@warmpath/core/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type RedisKeys, redisKeys } from '../packages/core/src/cache/stores/redis/redis-keys.js';
import { type RedisCluster, startRedisCluster } from './redis-cluster.js';
import { type SentinelPair, startSentinelPair } from './redis-sentinel.js';
import { type OwnRedis, startOwnRedis, whyNoOwnRedis } from './redis-servers.js';

const note = whyNoOwnRedis();
beforeEach(({ skip }) => skip(note !== undefined, note));

type Connection = Parameters<typeof redisStore>[0];

const stores: RedisStore[] = [];
afterEach(async () => {
  await Promise.all(stores.splice(0).map((store) => store.close()));
});

function open(connection: Connection, options: RedisStoreOptions = {}): RedisStore {
  const store = redisStore(connection, options);
  stores.push(store);
  return store;
}

/** What a test asks of a store: texts under keys of one namespace that nobody else has. */
function probe(store: RedisStore, prefix: string) {
  const namespace = 'space';
  const signal = AbortSignal.timeout(20_000);
  const read = (keys: readonly string[], tags: readonly string[] = []) =>
    store.getMany({ namespace, keys, tags, signal });
  return {
    keys: redisKeys(prefix, namespace),
    read,
    async text(key: string): Promise<string | undefined> {
      const [entry] = (await read([key])).entries;
      return entry === undefined || entry === 'unreadable' ? entry : Buffer.from(entry.bytes).toString();
    },
    async set(key: string, text: string, { tags = [] as readonly string[], fence = undefined as unknown } = {}) {
      const entries = [{ key, entry: entryOf(text, tags), fence }];
      return (await store.setMany({ namespace, entries, signal }))[0];
    },
    delete: (...keys: string[]) => store.invalidate({ namespace, invalidation: { type: 'delete', keys }, signal }),
    expire: (...keys: string[]) => store.invalidate({ namespace, invalidation: { type: 'expire', keys }, signal }),
    invalidateTags: (...tags: string[]) =>
      store.invalidate({ namespace, invalidation: { type: 'tags', tags }, signal }),
    clear: () => store.invalidate({ namespace, invalidation: { type: 'clear' }, signal }),
    async lease(key: string, { tags = [] as readonly string[], token = randomUUID() as string } = {}) {
      const { fence } = await read([key], tags);
      const leases = await store.leasing.acquire({ namespace, keys: [key], fence, token, signal });
      return { outcome: leases.outcomes[0], fence: leases.fence };
    },
    renew: (key: string, token: string) => store.leasing.renew({ namespace, keys: [key], token, signal }),
  };
}

function entryOf(text: string, tags: readonly string[]): StoredEntry {
  const storedAt = Date.now();
  const freshUntil = storedAt + 60_000;
  return { bytes: Buffer.from(text), storedAt, freshUntil, keptUntil: freshUntil, computeMs: 1, tags };
}

/** Names that nobody else has: one server serves many cases. */
const newPrefix = (): string => `wp-${randomUUID()}`;

describe('the contract, kept by redisStore', () => {
  describe('over one server', () => {
    let redis: OwnRedis;
    beforeAll(async () => {
      if (!note) redis = await startOwnRedis();
    });
    afterAll(() => redis?.kill());
    contract(
      () => redis.url,
      (entry) => redis.command('SETRANGE', entry, '60', 'damage'),
    );
  });

  describe('over a cluster of three', () => {
    let cluster: RedisCluster;
    beforeAll(async () => {
      if (!note) cluster = await startRedisCluster();
    });
    afterAll(() => cluster?.stop());
    contract(
      () => ({ rootNodes: cluster.urls.slice(0, 1).map((url) => ({ url })) }),
      async (entry) => (await cluster.nodeOf(entry)).command('SETRANGE', entry, '60', 'damage'),
    );
  });

  describe('behind a Sentinel', () => {
    let pair: SentinelPair;
    beforeAll(async () => {
      if (!note) pair = await startSentinelPair();
    });
    afterAll(() => pair?.stop());
    contract(
      () => ({ name: pair.name, sentinelRootNodes: [{ host: '127.0.0.1', port: pair.sentinel.port }] }),
      (entry) => pair.first.command('SETRANGE', entry, '60', 'damage'),
    );
  });

  function contract(connection: () => Connection, spoil: (entry: string) => Promise<unknown>): void {
    let prefix = '';
    const cases = storeContract(
      () => {
        prefix = newPrefix();
        return open(connection(), { prefix });
      },
      {
        makePair() {
          prefix = newPrefix();
          return [open(connection(), { prefix }), open(connection(), { prefix })];
        },
        damage: ({ namespace, key }) => spoil(redisKeys(prefix, namespace).entry(key)),
      },
    );
    for (const { name, run } of cases) it(name, run);
  }
});

describe('a Redis store', () => {
  let redis: OwnRedis;
  let prefix: string;
  beforeAll(async () => {
    if (!note) redis = await startOwnRedis();
  });
  afterAll(() => redis?.kill());
  beforeEach(() => {
    prefix = newPrefix();
  });
  const use = (options: RedisStoreOptions = {}) => probe(open(redis.url, { prefix, ...options }), prefix);

  it('loads its scripts again when the server has lost them', async () => {
    const store = use();
    await store.set('key', 'value', { tags: ['tag'] });
    for (const invalidate of [
      () => store.delete('key'),
      () => store.expire('key'),
      () => store.invalidateTags('tag'),
    ]) {
      await redis.command('SCRIPT', 'FLUSH');
      const { outcome, fence } = await store.lease('other', { tags: ['tag'] });
      expect(outcome).toBe('granted');
      await redis.command('SCRIPT', 'FLUSH');
      expect(await store.set('other', 'computed', { tags: ['tag'], fence })).toBe(true);
      await redis.command('SCRIPT', 'FLUSH');
      expect(await store.set('key', 'value', { tags: ['tag'] })).toBe(true);
      expect(await store.text('key')).toBe('value');
      await redis.command('SCRIPT', 'FLUSH');
      await invalidate();
      const [entry] = (await store.read(['key'])).entries;
      expect(entry === undefined || (entry !== 'unreadable' && entry.freshUntil === 0)).toBe(true);
      await store.delete('other');
    }
  });

  it('lets the server forget what is over, and keeps nothing without an end but the versions of a namespace', async () => {
    const store = use();
    await store.set('key', 'value', { tags: ['tag'] });
    await store.invalidateTags('tag', 'another');
    await store.lease('key');
    await store.lease('other', { tags: ['third'] });
    await store.delete('none');
    const names = (await redis.command('KEYS', `${prefix}:*`)) as readonly string[];
    expect(names.length).toBeGreaterThan(6);
    const endless = [];
    for (const name of names) if (Number(await redis.command('PTTL', name)) < 0) endless.push(name);
    expect(endless).toEqual([store.keys.versions]);
    const entryMs = Number(await redis.command('PTTL', store.keys.entry('key')));
    expect(entryMs).toBeGreaterThan(50_000);
    expect(Number(await redis.command('PTTL', store.keys.tag('tag')))).toBeGreaterThan(entryMs);
  });

  describe('whose keys vanish, as they do when the server needs the room', () => {
    const vanish = (name: (keys: RedisKeys) => string) => redis.command('DEL', name(redisKeys(prefix, 'space')));

    it('has nothing any more without the versions, takes it again, and nothing that was computed before', async () => {
      const store = use();
      await store.set('key', 'value');
      const { fence } = await store.lease('other');
      await vanish((keys) => keys.versions);
      expect(await store.text('key')).toBeUndefined();
      expect(await store.set('other', 'before', { fence })).toBe(false);
      expect(await store.set('other', 'after', { fence: (await store.lease('other')).fence })).toBe(true);
      expect(await store.text('other')).toBe('after');
    });

    it('has nothing any more of a tag without its number, once anything was invalidated', async () => {
      const store = use();
      await store.set('key', 'value', { tags: ['tag'], fence: (await store.lease('key')).fence });
      await vanish((keys) => keys.tag('tag'));
      expect(await store.text('key')).toBe('value'); // nothing at all was invalidated since
      await store.delete('unrelated');
      expect(await store.text('key')).toBeUndefined();
      expect(await store.set('key', 'again', { tags: ['tag'] })).toBe(true);
      expect(await store.text('key')).toBe('again');
    });

    it.each(['before', 'after'])(
      'never serves what a tag has voided whose number vanished %s its invalidation',
      async (when) => {
        const store = use();
        await store.set('key', 'value', { tags: ['tag'] });
        const known = await store.lease('known', { tags: ['tag'] });
        const surprised = await store.lease('surprised');
        if (when === 'before') await vanish((keys) => keys.tag('tag'));
        await store.invalidateTags('tag');
        if (when === 'after') await vanish((keys) => keys.tag('tag'));
        expect(await store.text('key')).toBeUndefined();
        expect(await store.set('known', 'old', { tags: ['tag'], fence: known.fence })).toBe(false);
        expect(await store.set('surprised', 'old', { tags: ['tag'], fence: surprised.fence })).toBe(false);
        await store.set('other', 'fresh', { tags: ['tag'] });
        expect(await store.text('key')).toBeUndefined();
      },
    );

    it('does not store what was computed under a generation that is lost', async () => {
      const store = use();
      const { fence } = await store.lease('key');
      await vanish((keys) => keys.generation('key'));
      expect(await store.set('key', 'computed', { fence })).toBe(false);
      expect(await store.text('key')).toBeUndefined();
    });

    it('stores what was computed in place of an entry that has vanished meanwhile', async () => {
      const store = use();
      await store.set('key', 'old');
      const { fence } = await store.lease('key');
      await vanish((keys) => keys.entry('key'));
      expect(await store.set('key', 'new', { fence })).toBe(true);
      expect(await store.text('key')).toBe('new');
    });
  });

  it('forgets and reads when the memory is full, also with scripts that the server does not know, and cannot write', async () => {
    const own = await startOwnRedis();
    try {
      const [first, second] = [open(own.url, { prefix }), open(own.url, { prefix })].map((each) => probe(each, prefix));
      if (!first || !second) return;
      const keys = ['deleted', 'expired', 'tagged', 'cleared'];
      for (const key of keys) await first.set(key, key, { tags: [key] });
      const { fence } = await first.lease('computed');
      await own.configure({ maxmemory: 1, 'maxmemory-policy': 'noeviction' });
      await own.command('SCRIPT', 'FLUSH');
      expect(await second.text('deleted')).toBe('deleted');
      await expect(first.set('deleted', 'new')).rejects.toThrow('OOM');
      await expect(first.set('computed', 'new', { fence })).rejects.toThrow('OOM');
      await expect(first.lease('key')).rejects.toThrow('OOM');
      await first.delete('deleted');
      expect(await second.text('deleted')).toBeUndefined();
      await first.expire('expired');
      expect((await second.read(['expired'])).entries).toEqual([expect.objectContaining({ freshUntil: 0 })]);
      await first.invalidateTags('tagged');
      expect(await second.text('tagged')).toBeUndefined();
      expect(await second.text('cleared')).toBe('cleared');
      await first.clear();
      expect(await second.text('cleared')).toBeUndefined();
      await own.configure({ maxmemory: 0 });
      expect(await first.set('computed', 'late', { fence })).toBe(false); // there was a clear
      expect(await first.set('key', 'new')).toBe(true);
    } finally {
      await own.kill();
    }
  });

  it('gives the lease of a process that has died to the next one, and not while it is renewed', async () => {
    const [first, second] = [use({ leaseTtl: '300ms' }), use({ leaseTtl: '300ms' })];
    const token = randomUUID();
    expect((await first.lease('key', { token })).outcome).toBe('granted');
    const renewing = setInterval(() => void first.renew('key', token), 50);
    for (let time = 0; time < 12; time++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect((await second.lease('key')).outcome).toBe('held');
    }
    clearInterval(renewing);
    await expect.poll(async () => (await second.lease('key')).outcome, { timeout: 5_000 }).toBe('granted');
  });
});
