import { describe, expect, it } from 'vitest';
import { setUp, setUpWithStore } from '../../test/cache-set-up.js';
import { currentContext, runInContext } from '../kernel/index.js';
import type { Cache, CacheOptions } from './index.js';

const aStream = async function* (): AsyncGenerator<string> {
  yield 'chunk';
};

describe('who shares an entry', () => {
  const tenants = ['acme', 'globex', undefined] as const;
  const ask = async (scope: CacheOptions['scope']) => {
    const { cache } = setUp(scope ? { scope } : {});
    const seen: unknown[] = [];
    for (const tenant of tenants) {
      seen.push(
        await cache
          .resolve('key', () => tenant, tenant === undefined ? {} : { tenant })
          .then(({ level, value }) => `${value} ${level}`)
          .catch((error) => error.code),
      );
    }
    return { cache, seen };
  };

  it('is each tenant alone by default, and those without a tenant together', async () => {
    const { seen, cache } = await ask(undefined);
    expect(seen).toEqual(['acme computed', 'globex computed', 'undefined computed']);
    expect(cache.peek('key', { tenant: 'acme' })).toBe('acme');
    expect(cache.peek('key', { tenant: 'initech' })).toBeUndefined();
  });

  it('is each tenant alone, and nobody without one, where the scope is the tenant', async () => {
    const { seen } = await ask('tenant');
    expect(seen).toEqual(['acme computed', 'globex computed', 'WP_TENANT_REQUIRED']);
  });

  it.each<[string, (cache: Cache) => unknown]>([
    ['getOrSet', (cache) => cache.getOrSet('key', () => 1)],
    ['resolve', (cache) => cache.resolve('key', () => 1)],
    ['get', (cache) => cache.get('key')],
    ['getMany', (cache) => cache.getMany(['key'])],
    ['getOrSetMany', (cache) => cache.getOrSetMany(['key'], () => [1])],
    ['set', (cache) => cache.set('key', 1)],
    ['setMany', (cache) => cache.setMany([['key', 1]])],
    ['stream', (cache) => cache.stream('key', aStream)],
    ['delete', (cache) => cache.delete('key')],
    ['expire', (cache) => cache.expire('key')],
    ['a wrapped function', (cache) => cache.wrap(() => 1, { name: 'one' })()],
  ])('refuses %s without a tenant, or with an empty one, where the scope is the tenant', async (_, call) => {
    const { cache } = setUp({ scope: 'tenant', grace: '1m' });
    await expect(call(cache)).rejects.toMatchObject({ code: 'WP_TENANT_REQUIRED' });
    await expect(runInContext({ tenant: '' }, () => call(cache))).rejects.toMatchObject({ code: 'WP_TENANT_REQUIRED' });
    expect(() => cache.peek('key')).toThrow(/keeps tenants apart/);
    await runInContext({ tenant: 'acme' }, () => call(cache));
  });

  it('is everybody where the scope is shared', async () => {
    const { seen } = await ask('shared');
    expect(seen).toEqual(['acme computed', 'acme memory', 'acme memory']);
  });

  it('takes the tenant of the running context, unless the call names one', async () => {
    const { cache } = setUp({ scope: 'tenant' });
    await runInContext({ tenant: 'acme' }, () => cache.getOrSet('key', () => 'for acme'));
    expect(cache.peek('key', { tenant: 'acme' })).toBe('for acme');
    await runInContext({ tenant: 'acme' }, () => cache.getOrSet('key', () => 'for globex', { tenant: 'globex' }));
    expect(cache.peek('key', { tenant: 'globex' })).toBe('for globex');
    await runInContext({ tenant: 'acme' }, () => cache.delete('key'));
    expect(cache.peek('key', { tenant: 'acme' })).toBeUndefined();
    expect(cache.peek('key', { tenant: 'globex' })).toBe('for globex');
  });

  it('holds for every kind of entry, in memory, in the store and under way', async () => {
    const { cache, clock, another, store } = setUpWithStore();
    const [acme, globex] = [{ tenant: 'acme' }, { tenant: 'globex' }];
    await cache.setMany([['key', 'of acme']], acme);
    await cache.getOrSetMany(['key'], () => ['of globex'], globex);
    await clock.settle();
    for (const each of [cache, another().cache]) {
      expect(await each.get('key', acme)).toMatchObject({ value: 'of acme' });
      expect(await each.get('key', globex)).toMatchObject({ value: 'of globex' });
      expect(await each.get('key')).toBeUndefined();
    }
    store.trouble(10, 'getMany');
    const underWay = [acme, globex].map((call) => cache.resolve('other', () => call.tenant, call));
    await clock.advance(10);
    expect(await Promise.all(underWay)).toMatchObject([
      { value: 'acme', level: 'computed' },
      { value: 'globex', level: 'computed' },
    ]);
  });
});

describe('a tenant', () => {
  it('has digests of its own: the same key of two tenants looks like two keys to stores and listeners', async () => {
    const { cache, events, store } = setUpWithStore();
    for (const call of [{ tenant: 'acme' }, { tenant: 'globex' }, {}]) await cache.getOrSet('key', () => 1, call);
    const misses = events.flatMap((event) => (event.type === 'cache.miss' ? [event] : []));
    expect(misses.map(({ tenant }) => tenant)).toEqual(['acme', 'globex', undefined]);
    expect(new Set(misses.map(({ key }) => key)).size).toBe(3);
    expect(new Set(store.calls.filter((call) => call.startsWith('getMany'))).size).toBe(3);
  });

  it('is whom its computation runs as, also in the background and for many keys at once', async () => {
    const { cache, clock } = setUp({ ttl: '1s', staleWhileRevalidate: '1m' });
    const seen: (string | undefined)[] = [];
    const compute = (): number => seen.push(currentContext()?.tenant);
    const call = { tenant: 'globex' };
    await runInContext({ tenant: 'acme', attributes: { user: 'alice' } }, async () => {
      await cache.getOrSet('key', compute, call);
      await cache.getOrSetMany(['a', 'b'], () => [compute(), compute()], call);
      await clock.advance(1_000);
      await cache.getOrSet('key', compute, call);
      await cache.getOrSetMany(['a', 'b'], () => [compute(), compute()], call);
      await clock.settle();
    });
    expect(seen).toEqual(Array(6).fill('globex'));
  });

  it('cannot push out what another one has within its share', async () => {
    const { cache, log } = setUp({ maxBytes: '100kB', maxBytesPerTenant: '50kB' });
    await cache.set('key', 'small', { tenant: 'globex' });
    for (let index = 0; index < 1_000; index++) await cache.set(index, 'x'.repeat(1_000), { tenant: 'acme' });
    expect(cache.peek('key', { tenant: 'globex' })).toBe('small');
    expect(new Set(log)).toEqual(new Set(['cache.evicted tenant', 'cache.hit memory']));
  });

  it('may be called anything that a key of another one may look like', async () => {
    const { cache, clock } = setUp();
    const places = [
      [undefined, 'a'],
      ['', 'a'],
      ['a', ''],
      ['a', 'a'],
      ['1:a', 'a'],
      [undefined, '\u00001:aa'],
      ['\u0000', 'a'],
    ] as const;
    const ends = places.map(([tenant, key], index) =>
      cache.getOrSet(key, async () => clock.settle().then(() => index), tenant === undefined ? {} : { tenant }),
    );
    expect(await Promise.all(ends)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });
});
