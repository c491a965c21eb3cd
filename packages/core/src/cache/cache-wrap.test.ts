import { describe, expect, it, vi } from 'vitest';
import { failing, setUp } from '../../test/cache-set-up.js';

describe('wrap', () => {
  it('makes a function that answers from the cache, for the same arguments', async () => {
    const { cache } = setUp();
    const calls: unknown[] = [];
    async function describeUser(id: number, options?: { readonly long: boolean }): Promise<string> {
      calls.push([id, options]);
      return `user ${id}`;
    }
    const cached = cache.wrap(describeUser);
    expect([await cached(1), await cached(1), await cached(2), await cached(1, { long: true })]).toEqual([
      'user 1',
      'user 1',
      'user 2',
      'user 1',
    ]);
    expect(calls).toHaveLength(3);
  });

  it('can tell its key, look into memory, forget and expire, by the arguments', async () => {
    const { cache, clock } = setUp({ ttl: '10s', grace: '1m' });
    const fetchUser = vi.fn(async (id: number) => ({ id }));
    const cached = cache.wrap(fetchUser, { name: 'user' });
    expect(cached.peek(1)).toBeUndefined();
    await cached(1);
    await cached(2);
    expect(cached.peek(1)).toEqual({ id: 1 });
    expect(await cache.get(cached.key(1))).toMatchObject({ value: { id: 1 } });
    expect(cached.key(1)).toEqual(['user', [1]]);
    expect(await cached.invalidate(1)).toEqual({ deferred: false });
    expect([cached.peek(1), cached.peek(2)]).toEqual([undefined, { id: 2 }]);
    expect(await cached.expire(2)).toEqual({ deferred: false });
    expect(cached.peek(2)).toBeUndefined();
    fetchUser.mockImplementation(failing());
    expect(await cached(2)).toEqual({ id: 2 });
    await expect(cached(1)).rejects.toThrow('no luck');
    expect(clock.pending).toBe(0);
  });

  it('takes what tells calls apart, ttl, tenant and tags', async () => {
    const { cache, clock } = setUp({ scope: 'tenant' });
    const load = vi.fn(async (request: { readonly id: number; readonly trace: () => void }) => request.id);
    const cached = cache.wrap(load, {
      name: 'load',
      key: ({ id }) => id,
      tags: ({ id }) => [`id:${id}`, 'all'],
      ttl: '1s',
      tenant: 'acme',
    });
    const trace = (): void => {};
    expect([
      await cached({ id: 1, trace }),
      await cached({ id: 1, trace: () => {} }),
      await cached({ id: 2, trace }),
    ]).toEqual([1, 1, 2]);
    expect(load).toHaveBeenCalledTimes(2);
    expect(cache.peek(['load', 1], { tenant: 'acme' })).toBe(1);
    await cache.invalidateTags(['id:1']);
    expect([cached.peek({ id: 1, trace }), cached.peek({ id: 2, trace })]).toEqual([undefined, 2]);
    await clock.advance(1_000);
    expect(cached.peek({ id: 2, trace })).toBeUndefined();
    const tagged = cache.wrap(load, { name: 'other', key: ({ id }) => id, tags: ['all'], tenant: 'acme' });
    await tagged({ id: 1, trace });
    await cache.invalidateTags(['all']);
    expect(tagged.peek({ id: 1, trace })).toBeUndefined();
  });

  it('refuses a function without a name, since all of them would share their answers', async () => {
    const { cache } = setUp();
    const nameless = [() => async (id: number) => -id, () => async (id: number) => id].map((make) => make());
    for (const fn of nameless) {
      expect(fn.name).toBe('');
      expect(() => cache.wrap(fn)).toThrow(
        expect.objectContaining({ code: 'WP_BAD_OPTION', message: expect.stringContaining("'name'") }),
      );
    }
    const [one, two] = nameless.map((fn, index) => cache.wrap(fn, { name: `number ${index}` }));
    expect([await one?.(5), await two?.(5)]).toEqual([-5, 5]);
  });

  it('shares answers between two functions of one name in one cache: the name is what they are', async () => {
    const { cache } = setUp();
    const v1 = cache.wrap(async (id: number) => `old ${id}`, { name: 'user' });
    const v2 = cache.wrap(async (id: number) => `new ${id}`, { name: 'user' });
    const other = cache.wrap(async (id: number) => `new ${id}`, { name: 'user:2' });
    expect([await v1(1), await v2(1), await other(1)]).toEqual(['old 1', 'old 1', 'new 1']);
  });

  it('runs once for all who ask, and passes on what it fails with', async () => {
    const { cache } = setUp();
    const broken = failing();
    const cached = cache.wrap(broken, { name: 'broken' });
    const outcomes = await Promise.allSettled([cached(), cached(), cached()]);
    expect(outcomes.map(({ status }) => status)).toEqual(Array(3).fill('rejected'));
    expect(broken).toHaveBeenCalledTimes(1);
  });

  it.each<[unknown[], string]>([
    [[5], 'fn'],
    [[failing, { name: '' }], 'name'],
    [[failing, { key: 'id' }], 'key'],
    [[failing, { tags: 'red' }], 'tags'],
    [[failing, { ttl: 'soon' }], 'ttl'],
    [[failing, { tenant: 5 }], 'tenant'],
    [[failing, { timeout: 5 }], 'timeout'],
  ])('refuses %j, naming %s', (args, name) => {
    const { cache } = setUp();
    expect(() => cache.wrap(...(args as Parameters<typeof cache.wrap>))).toThrow(
      expect.objectContaining({ code: 'WP_BAD_OPTION', message: expect.stringContaining(`'${name}'`) }),
    );
  });
});
