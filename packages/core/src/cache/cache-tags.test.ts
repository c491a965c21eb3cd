import { describe, expect, it, vi } from 'vitest';
import { deferred, setUp, setUpWithStore } from '../../test/cache-set-up.js';

describe('invalidateTags', () => {
  it('forgets what was kept with one of the tags, whoever named it and for whichever tenant', async () => {
    const { cache, clock, another } = setUpWithStore();
    await cache.getOrSet('by the call', () => 1, { tags: ['red', 'big'] });
    await cache.getOrSet('by the computation', ({ addTags }) => addTags('red', 'small'), { tags: ['big'] });
    await cache.set('set', 3, { tags: ['red'] });
    await cache.set('of a tenant', 4, { tags: ['red'], tenant: 'acme' });
    await cache.getOrSetMany(['many', 'more'], (keys, { addTags }) => {
      addTags('red');
      return keys;
    });
    await cache.set('other', 5, { tags: ['big'] });
    await cache.set('untagged', 6);
    await clock.settle();
    const restarted = another().cache;
    expect(await cache.invalidateTags(['red', 'never seen'])).toEqual({ deferred: false });
    for (const each of [cache, restarted, another().cache]) {
      const gone = ['by the call', 'by the computation', 'set', 'many', 'more'];
      expect(await each.getMany(gone)).toEqual(gone.map(() => undefined));
      expect(await each.get('of a tenant', { tenant: 'acme' })).toBeUndefined();
      expect(await each.getMany(['other', 'untagged'])).toMatchObject([{ value: 5 }, { value: 6 }]);
    }
  });

  it('forgets a kept stream with one of the tags', async () => {
    const { cache } = setUp();
    const letters = async function* (): AsyncGenerator<string> {
      yield 'a';
    };
    const level = async () => {
      const stream = await cache.stream('key', letters, { tags: ['red'] });
      for await (const _ of stream.chunks);
      return stream.level;
    };
    expect([await level(), await level()]).toEqual(['computed', 'memory']);
    await cache.invalidateTags(['red']);
    expect(await level()).toBe('computed');
  });

  it('forgets what stands in as well', async () => {
    const { cache, clock } = setUp({ ttl: '1s', grace: '1h', staleWhileRevalidate: '1m' });
    await cache.set('key', 'old', { tags: ['red'] });
    await clock.advance(1_000);
    await cache.invalidateTags(['red']);
    expect(await cache.resolve('key', () => 'new')).toMatchObject({ value: 'new', level: 'computed' });
  });

  it('is not held back by a wall clock that is wrong, nor by how long ago it was', async () => {
    const { cache, clock, another } = setUpWithStore({ ttl: '60d' });
    await cache.set('key', 'old', { tags: ['red'], ttl: '60d' });
    await clock.settle();
    const slow = another().cache;
    await slow.get('key');
    clock.stepWall(-3_600_000);
    await slow.invalidateTags(['red']);
    await clock.advance(30 * 86_400_000);
    for (const each of [cache, slow, another().cache]) expect(await each.get('key')).toBeUndefined();
  });

  it('says what it did, and refuses what is no list of tags', async () => {
    const { cache, log } = setUp();
    await cache.invalidateTags(['red', 'blue']);
    expect(log).toEqual(['cache.invalidated tags 2']);
    for (const bad of ['red', [5], [''], undefined])
      await expect(cache.invalidateTags(bad as string[])).rejects.toMatchObject({ code: 'WP_BAD_OPTION' });
  });

  it('is deferred while the store does not answer: this process goes by it at once, the store as soon as it can', async () => {
    const { cache, clock, store, log, another } = setUpWithStore();
    await cache.set('key', 'old', { tags: ['red'] });
    await clock.settle();
    store.trouble('reject', 'invalidate');
    expect(await cache.invalidateTags(['red'])).toEqual({ deferred: true });
    expect(await cache.get('key')).toBeUndefined();
    expect(log).toContain('cache.invalidated tags 1 deferred');
    expect(await another().cache.get('key')).toMatchObject({ value: 'old' });
    store.trouble(undefined);
    await clock.advance(1_000);
    expect(await another().cache.get('key')).toBeUndefined();
  });

  it('of more than 100,000 tags costs misses, and nothing stale is served', async () => {
    const { cache } = setUp();
    await cache.set('first', 'old', { tags: ['tag 0'] });
    await cache.set('bystander', 1, { tags: ['never invalidated'] });
    await cache.set('untagged', 2);
    const tags = Array.from({ length: 100_001 }, (_, index) => `tag ${index}`);
    for (let from = 0; from < tags.length; from += 1_000) await cache.invalidateTags(tags.slice(from, from + 1_000));
    expect(cache.peek('first')).toBeUndefined();
    expect(cache.peek('bystander')).toBeUndefined(); // nobody knows any more whether it was meant
    expect(cache.peek('untagged')).toBe(2);
    await cache.set('later', 3, { tags: ['never invalidated'] });
    await cache.invalidateTags(['another']);
    expect(cache.peek('later')).toBe(3);
  });
});

describe('a hit in memory', () => {
  it('asks the store nothing, however many tags it has and whatever else was invalidated', async () => {
    const { cache, clock, store } = setUpWithStore();
    const tags = Array.from({ length: 20 }, (_, index) => `tag ${index}`);
    await cache.getOrSet('key', () => 'value', { tags });
    await cache.invalidateTags(['other']);
    await clock.settle();
    const before = store.calls.length;
    for (let read = 0; read < 100; read++) {
      expect(await cache.getOrSet('key', () => 'new', { tags })).toBe('value');
      expect((await cache.getMany(['key']))[0]).toMatchObject({ level: 'memory' });
    }
    expect(store.calls.length).toBe(before);
  });
});

describe('clear', () => {
  it('forgets everything: values and streams, of every tenant, in memory and in the store, fresh or standing in', async () => {
    const { cache, clock, another, log } = setUpWithStore({ ttl: '1s', grace: '1h', staleWhileRevalidate: '1m' });
    await cache.setMany([
      ['a', 1],
      ['b', 2],
    ]);
    await cache.set('a', 3, { tenant: 'acme', tags: ['red'] });
    const stream = async function* (): AsyncGenerator<number> {
      yield 1;
    };
    for await (const _ of (await cache.stream('a', stream)).chunks);
    await cache.expire('b');
    await clock.settle();
    const other = another();
    await other.cache.get('a');
    expect(await cache.clear()).toEqual({ deferred: false });
    for (const each of [cache, other.cache, another().cache]) {
      expect(await each.getMany(['a', 'b'])).toEqual([undefined, undefined]);
      expect(await each.get('a', { tenant: 'acme' })).toBeUndefined();
      expect((await each.stream('a', stream)).level).toBe(each === cache ? 'computed' : 'shared'); // under way, and new
      await expect(each.getOrSet('b', () => Promise.reject(new Error('no luck')))).rejects.toThrow('no luck');
    }
    expect(log).toContain('cache.invalidated clear 1');
    expect(other.log).toContain('cache.invalidated clear 1 foreign');
  });

  it('is one call to the store and one event, for 5,000 entries as for one', async () => {
    const { cache, clock, store, log } = setUpWithStore();
    await cache.setMany(Array.from({ length: 5_000 }, (_, index) => [index, index]));
    await clock.settle();
    const before = store.calls.length;
    await cache.clear();
    expect(store.calls.slice(before)).toEqual(['invalidate clear']);
    expect(cache.peek(4_999)).toBeUndefined();
    expect(log.at(-1)).toBe('cache.invalidated clear 1');
  });

  it('makes what is under way void: it answers those who wait, and newcomers begin anew', async () => {
    const { cache, clock } = setUp();
    const old = deferred();
    const before = cache.getOrSet('key', old.compute);
    await clock.settle();
    await cache.clear();
    const compute = vi.fn(() => 'new');
    expect(await cache.getOrSet('key', compute)).toBe('new');
    old.resolve('old');
    expect(await before).toBe('old');
    expect(cache.peek('key')).toBe('new');
  });
});
