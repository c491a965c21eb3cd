import { describe, expect, it } from 'vitest';
import { deferred, failing, setUp, setUpWithStore } from '../../test/cache-set-up.js';
import { runInContext } from '../kernel/index.js';
import { createFakeClock, memoryStore } from '../testing/index.js';
import type { Cache, CacheEvent, CacheStore } from './index.js';

type AuditEvent = Extract<CacheEvent, { type: 'cache.audit' }>;

const auditsOf = (events: readonly CacheEvent[]): AuditEvent[] =>
  events.filter((event) => event.type === 'cache.audit');

const chunks = async function* (): AsyncGenerator<string> {
  yield 'chunk';
};

async function drain(cache: Cache, key: unknown): Promise<void> {
  for await (const _ of (await cache.stream(key, chunks)).chunks);
}

describe('a story', () => {
  it('is told in order, with an event for each decision', async () => {
    const { cache, clock, store, log, another } = setUpWithStore({
      ttl: '10s',
      staleWhileRevalidate: '10s',
      grace: '1m',
      softTimeout: 100,
      maxEntries: 3,
      eviction: 'lru',
    });
    let told = 0;
    const next = async (): Promise<readonly string[]> => {
      await clock.settle();
      const news = log.slice(told);
      told = log.length;
      return news;
    };

    const slow = deferred();
    const both = [cache.getOrSet('key', slow.compute), cache.getOrSet('key', slow.compute)];
    await clock.settle();
    slow.resolve('value');
    await Promise.all(both);
    expect(await next()).toEqual(['cache.miss', 'cache.computed', 'cache.hit shared']);

    await cache.getOrSet('key', failing());
    expect(await next()).toEqual(['cache.hit memory']);

    await clock.advance(10_000);
    await cache.getOrSet('key', ({ notModified }) => notModified());
    expect(await next()).toEqual(['cache.hit memory revalidating', 'cache.computed background not modified']);

    await clock.advance(20_000);
    await cache.getOrSet('key', failing());
    await cache.getOrSet('key', failing());
    expect(await next()).toEqual(['cache.miss', 'cache.failed', 'cache.hit memory failed', 'cache.hit memory failed']);

    await clock.advance(1_000);
    const late = deferred();
    const waits = cache.getOrSet('key', late.compute);
    await clock.advance(100);
    await waits;
    late.resolve('new');
    expect(await next()).toEqual(['cache.miss', 'cache.hit memory slow', 'cache.computed background']);

    const leaving = new AbortController();
    const left = cache.getOrSet('left', deferred().compute, { signal: leaving.signal });
    left.catch(() => {});
    await clock.settle();
    leaving.abort();
    const voided = deferred();
    const before = cache.getOrSet('voided', voided.compute);
    await clock.settle();
    await cache.delete('voided');
    voided.resolve('old');
    await before;
    await cache.getOrSet('class', () => () => 1);
    await cache.getOrSet('brief', () => 1, { ttl: 0 });
    expect(await next()).toEqual([
      'cache.miss',
      'cache.miss',
      'cache.invalidated delete 1',
      'cache.computed',
      'cache.unstored invalidated',
      'cache.miss',
      'cache.computed',
      'cache.unstored not-cloneable',
      'cache.miss',
      'cache.computed',
      'cache.unstored not-wanted',
    ]);

    await cache.setMany([1, 2, 3].map((key) => [key, key]));
    await cache.expire(1);
    await another().cache.invalidateTags(['red', 'blue']);
    await another().cache.delete(2);
    await cache.get(3);
    await cache.clear();
    expect(await next()).toEqual([
      'cache.evicted entries',
      'cache.invalidated expire 1',
      'cache.invalidated tags 2 foreign',
      'cache.invalidated delete 2 foreign',
      'cache.hit memory',
      'cache.invalidated clear 1',
    ]);

    await drain(cache, 'stream');
    await drain(cache, 'stream');
    expect(await next()).toEqual(['cache.miss', 'cache.computed', 'cache.hit memory']);

    store.trouble('reject');
    for (let call = 0; call < 5; call++) await cache.get(call);
    expect(await cache.delete('key')).toEqual({ deferred: true });
    expect(await next()).toEqual([
      ...Array(4).fill(['cache.store-failed getMany', 'cache.miss']).flat(),
      'cache.store-failed getMany',
      'cache.store-state reading open',
      'cache.miss',
      'cache.invalidated delete 1 deferred',
    ]);
    store.trouble(undefined);
    await clock.advance(1_000);
    await cache.get('key');
    expect(await next()).toEqual([
      'cache.store-state reading half-open',
      'cache.store-state reading closed',
      'cache.miss',
    ]);
  });

  it('has a word for a refresh that there is no capacity for, and for what the store has and nobody may see', async () => {
    const clock = createFakeClock();
    const store = memoryStore();
    const broken: CacheStore = {
      ...store,
      async getMany(read) {
        const { entries, fence } = await store.getMany(read);
        return { entries: entries.map((entry) => (entry === undefined ? undefined : 'unreadable')), fence };
      },
    };
    const { cache, log } = setUp({
      clock,
      ttl: '1s',
      staleWhileRevalidate: '1m',
      canRefresh: () => false,
      store: broken,
    });
    await cache.set('key', 'value');
    await clock.advance(1_000);
    await cache.getOrSet('key', failing());
    expect(await setUp({ clock, store: broken }).cache.get('key')).toBeUndefined();
    const other = setUp({ clock, store: broken });
    await other.cache.getOrSet('key', () => 'new');
    expect(log).toEqual(['cache.refresh-skipped', 'cache.hit memory revalidating']);
    expect(other.log).toEqual(['cache.rejected unreadable', 'cache.miss', 'cache.computed']);
  });
});

describe('an audit', () => {
  it('has one event for each read, write and deletion of a key, with how it ended', async () => {
    const { cache, clock, store, events, another } = setUpWithStore({ audit: true, negativeTtl: 0 });
    const outcomes = async (story: () => unknown): Promise<string[]> => {
      const from = events.length;
      await story();
      await clock.settle();
      return auditsOf(events.slice(from)).map(({ operation, outcome }) => `${operation} ${outcome}`);
    };
    await another().cache.set('stored', 1);
    await clock.settle();
    const compute = () => 1;

    expect(await outcomes(() => cache.getOrSet('key', compute))).toEqual(['write kept', 'read computed']);
    expect(await outcomes(() => cache.getOrSet('key', compute))).toEqual(['read memory']);
    expect(await outcomes(() => cache.getOrSet('stored', compute))).toEqual(['read store']);
    expect(await outcomes(() => cache.peek('key'))).toEqual(['read memory']);
    expect(await outcomes(() => cache.peek('nothing'))).toEqual(['read none']);
    expect(await outcomes(() => cache.getMany(['key', 'nothing']))).toEqual(['read memory', 'read none']);
    expect(await outcomes(() => Promise.all([1, 2].map(() => cache.resolve('both', compute))))).toEqual([
      'write kept',
      'read computed',
      'read shared',
    ]);
    expect(await outcomes(() => cache.getOrSetMany(['a', 'key', 'a'], () => [1]))).toEqual([
      'write kept',
      'read computed',
      'read memory',
      'read computed',
    ]);
    expect(await outcomes(() => cache.getOrSet('fails', failing()).catch(() => {}))).toEqual(['read failed']);
    expect(await outcomes(() => cache.getOrSetMany(['fails', 'too'], failing()).catch(() => {}))).toEqual([
      'read failed',
      'read failed',
    ]);
    const gone = { signal: AbortSignal.abort() };
    expect(await outcomes(() => cache.getOrSet('gone', compute, gone).catch(() => {}))).toEqual(['read failed']);
    expect(await outcomes(() => cache.stream('gone', chunks, gone).catch(() => {}))).toEqual(['read failed']);
    expect(await outcomes(() => cache.getOrSet('null', () => null))).toEqual(['write refused', 'read computed']);
    expect(await outcomes(() => cache.set('key', 2))).toEqual(['write kept']);
    expect(await outcomes(() => cache.set('key', compute))).toEqual(['write refused']);
    expect(await outcomes(() => cache.set('key', null))).toEqual(['write refused']);
    expect(await outcomes(() => drain(cache, 'stream'))).toEqual(['read computed', 'write kept']);
    expect(await outcomes(() => drain(cache, 'stream'))).toEqual(['read memory']);
    expect(await outcomes(() => cache.delete('key'))).toEqual(['invalidate done']);
    expect(await outcomes(() => cache.expire('key'))).toEqual(['invalidate done']);
    store.trouble('reject');
    expect(await outcomes(() => cache.delete('key'))).toEqual(['invalidate deferred']);
  });

  it('has one for a read without a store, too, that finds nothing', async () => {
    const { cache, events } = setUp({ audit: true });
    await cache.get('key');
    await cache.getMany(['key']);
    cache.peek('key');
    expect(auditsOf(events).map(({ operation, outcome }) => `${operation} ${outcome}`)).toEqual(
      Array(3).fill('read none'),
    );
  });

  it('says who, for which tenant and which key, by its digest', async () => {
    const { cache, events } = setUp({ audit: true });
    await runInContext({ tenant: 'acme', attributes: { user: 'alice', admin: true } }, async () => {
      await cache.getOrSet('key', () => 1);
      await cache.delete('key');
    });
    cache.peek('key', { tenant: 'acme' });
    const audits = auditsOf(events);
    const who = { user: 'alice', admin: true };
    expect(audits.map((event) => event.who)).toEqual([who, who, who, {}]);
    expect(new Set(audits.map(({ tenant }) => tenant))).toEqual(new Set(['acme']));
    expect(new Set(audits.map(({ key }) => key)).size).toBe(1);
    expect(audits[0]?.key).toMatch(/^[\w-]{43}$/);
    expect(Object.keys(audits[0] ?? {}).sort()).toEqual([
      'cache',
      'key',
      'operation',
      'outcome',
      'tenant',
      'type',
      'who',
    ]);
  });

  it('is not held unless it is asked for', async () => {
    const { cache, events } = setUp();
    await cache.getOrSet('key', () => 1);
    await cache.delete('key');
    expect(auditsOf(events)).toEqual([]);
  });
});

it('no event of any kind has a key or a value in it', async () => {
  const { cache, clock, store, events, another } = setUpWithStore({
    audit: true,
    ttl: '1s',
    grace: '1h',
    staleWhileRevalidate: '1s',
    earlyRefresh: true,
    maxEntries: 5,
    hardTimeout: 500,
  });
  const secret = 'sk-secret';
  const value = 'val-secret';
  const keys = [secret, { authorization: secret }, `${secret} ${'x'.repeat(2_000)}`, [secret]];
  for (const key of keys) {
    await cache.getOrSet(key, () => value);
    await cache.getOrSet([key], () => value);
    await drain(cache, key);
    await cache.set(key, { value });
    await cache.set(key, () => value);
    await cache.set(key, value, { ttl: 1 });
    await clock.advance(1);
    await cache.getOrSet(key, failing());
    await cache.getOrSetMany([key, value], (missing) => missing.map(() => value)).catch(() => {});
    await cache.getOrSetMany([[key, value], 'b'], () => []).catch(() => {});
    const waits = cache.getOrSet([key, 'hard'], deferred().compute);
    waits.catch(() => {});
    await clock.advance(500);
    await another().cache.set(key, value);
    await cache.get(key);
    await another().cache.delete(key);
    await cache.expire(key);
    await cache.delete(key);
    await cache.wrap(async (argument: unknown) => argument, { name: 'wrapped' })(key);
  }
  await cache.clear();
  store.trouble('reject');
  for (const key of keys) await cache.get(key);
  await cache.close();
  const told = JSON.stringify(events, (_, each) =>
    each instanceof Error ? { ...each, message: each.message, stack: each.stack } : each,
  );
  expect(told).not.toMatch(/secret/);
  expect(new Set(events.map(({ type }) => type)).size).toBeGreaterThanOrEqual(8);
});
