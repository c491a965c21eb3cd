import { describe, expect, it, vi } from 'vitest';
import { deferred, setUp, setUpWithStore, watch, withoutFeed } from '../../test/cache-set-up.js';
import { chaosStore, createFakeClock, memoryStore, type Trouble } from '../testing/index.js';
import type { CacheStore, createCache, Invalidation, StandardSchema, StoredEntry } from './index.js';

/** What the cache has written, as the store has it; the next reads are answered with what `change` makes of it. */
function tampered(store: CacheStore, change: (entry: StoredEntry) => unknown): CacheStore {
  return {
    ...store,
    async getMany(read) {
      const answer = await store.getMany(read);
      const entries = answer.entries.map((entry) =>
        entry === undefined || entry === 'unreadable' ? entry : change(entry),
      );
      return { ...answer, entries: entries as StoredEntry[] };
    },
  };
}

describe('a hit in the store', () => {
  it('comes without computing, with its age, and is in memory from then on', async () => {
    const { cache, another, clock } = setUpWithStore({ ttl: '10s' });
    await cache.getOrSet('key', () => 'value');
    await clock.advance(3_000);
    const other = another();
    const expected = { value: 'value', ageMs: 3_000, stale: false };
    expect(await other.cache.resolve('key', () => 'other')).toEqual({ ...expected, level: 'store' });
    expect(await other.cache.resolve('key', () => 'other')).toEqual({ ...expected, level: 'memory' });
    expect(other.log).toEqual(['cache.hit store', 'cache.hit memory']);
  });

  it('lives in memory for the rest of its ttl and no longer', async () => {
    const { cache, another, clock } = setUpWithStore({ ttl: '10s' });
    await cache.getOrSet('key', () => 'value');
    await clock.advance(9_000);
    const other = another().cache;
    await other.getOrSet('key', () => 'other');
    await clock.advance(999);
    expect(other.peek('key')).toBe('value');
    await clock.advance(1);
    expect(await other.resolve('key', () => 'other')).toMatchObject({ value: 'other', level: 'computed' });
  });

  it('is read once for all who ask meanwhile', async () => {
    const { cache, clock, store, another } = setUpWithStore();
    await another().cache.getOrSet('key', () => ({ list: [1] }));
    store.trouble(20, 'getMany');
    const waits = [1, 2, 3].map(() => cache.resolve('key', () => ({ list: [2] })));
    await clock.advance(20);
    expect((await Promise.all(waits)).map(({ level, value }) => [level, value])).toEqual([
      ['store', { list: [1] }],
      ['shared', { list: [1] }],
      ['shared', { list: [1] }],
    ]);
    expect(store.calls).toHaveLength(1);
  });

  it('lives no longer than it was to live at first, though the wall clock steps back', async () => {
    const { cache, another, clock } = setUpWithStore({ ttl: '10s' });
    await cache.getOrSet('key', () => 'value');
    clock.stepWall(-3_600_000);
    const other = another().cache;
    expect(await other.resolve('key', () => 'other')).toMatchObject({ value: 'value', level: 'store', ageMs: 0 });
    await clock.advance(10_000);
    expect(other.peek('key')).toBeUndefined();
  });

  it.each([[null], [undefined], [0], [''], [false]])('may be %j', async (value) => {
    const { cache, another } = setUpWithStore();
    await cache.getOrSet('key', () => value);
    expect(await another().cache.resolve<unknown>('key', () => 'computed')).toMatchObject({ value, level: 'store' });
  });

  it('makes no caller compute again whose read comes back after another’s flight has landed', async () => {
    const { cache, clock, store } = setUpWithStore();
    store.trouble(40, 'getMany');
    const compute = vi.fn(() => 'value');
    const first = cache.getOrSet('key', compute);
    await clock.advance(30);
    const second = cache.getOrSet('key', compute);
    await clock.advance(100);
    expect(await Promise.all([first, second])).toEqual(['value', 'value']);
    expect([compute.mock.calls.length, store.calls.filter((call) => call.startsWith('getMany')).length]).toEqual([
      1, 1,
    ]);
  });

  it('asks the store no more than once for what is in memory from then on, nor to know that it is still right', async () => {
    const { cache, clock, store, log } = setUpWithStore();
    await cache.getOrSet('key', () => 'value', { tags: ['tag'] });
    await clock.settle();
    const before = store.calls.length;
    store.trouble('hang');
    for (let hit = 0; hit < 1_000; hit++) await cache.getOrSet('key', () => 'other', { tags: ['tag'] });
    expect([store.calls.length, log.filter((line) => line.includes('store'))]).toEqual([before, []]);
  });
});

describe('what the store has and cannot be served', () => {
  const reasonOf = (line: string | undefined): string | undefined => line?.split(' ')[1];

  async function readTampered(
    change: (entry: StoredEntry) => unknown,
  ): Promise<{ log: readonly string[]; level: string }> {
    const shelf = memoryStore();
    await setUp({ store: shelf }).cache.set('key', { rows: [1, 2, 3] });
    const { cache, log } = setUp({ store: tampered(shelf, change) });
    const { level } = await cache.resolve('key', () => 'computed');
    expect(await cache.getOrSet('key', () => 'again')).toBe('computed');
    return { log, level };
  }

  it.each<[string, (entry: StoredEntry) => unknown, string]>([
    ['the store calls unreadable', () => 'unreadable', 'unreadable'],
    ['has no bytes', ({ bytes: _, ...rest }) => rest, 'unreadable'],
    ['has no times', ({ bytes, tags }) => ({ bytes, tags }), 'unreadable'],
    ['is somebody else’s', (entry) => ({ ...entry, bytes: Buffer.from('{"rows":[1,2,3]}') }), 'foreign'],
    ['is empty', (entry) => ({ ...entry, bytes: new Uint8Array() }), 'foreign'],
    ['is cut short', (entry) => ({ ...entry, bytes: entry.bytes.subarray(0, -3) }), 'corrupt'],
  ])('is a miss, said once with the reason: what %s', async (_, change, reason) => {
    const { log, level } = await readTampered(change);
    expect([level, log.slice(0, 3).map((line) => line.split(' ')[0]), reasonOf(log[0])]).toEqual([
      'computed',
      ['cache.rejected', 'cache.miss', 'cache.computed'],
      reason,
    ]);
  });

  it('is a miss for every byte that is changed, or the value as it was, and never a crash', async () => {
    const shelf = memoryStore();
    await setUp({ store: shelf }).cache.set('key', 'v');
    const lengths: number[] = [];
    await setUp({
      store: tampered(shelf, (entry) => {
        lengths.push(entry.bytes.length);
        return entry;
      }),
    }).cache.get('key');
    const reasons = new Set<string | undefined>();
    for (let at = 0; at < (lengths[0] ?? 0); at++) {
      const { cache, log } = setUp({
        store: tampered(shelf, (entry) => ({
          ...entry,
          bytes: entry.bytes.map((byte, index) => (index === at ? byte ^ 0x81 : byte)),
        })),
      });
      const result = await cache.resolve('key', () => 'computed');
      if (result.level === 'computed') reasons.add(reasonOf(log[0]));
      expect([...log].filter((line) => line.startsWith('cache.rejected')).length).toBe(
        result.level === 'computed' ? 1 : 0,
      );
    }
    expect(reasons).toContain('foreign');
    expect(reasons).toContain('version');
  });

  it('is a miss of another version', async () => {
    const { log } = await readTampered((entry) => {
      const bytes = Uint8Array.from(entry.bytes);
      bytes[2] = (bytes[2] ?? 0) + 1;
      return { ...entry, bytes };
    });
    expect(log[0]).toBe('cache.rejected version');
  });

  it('is a miss under another key of encryption, or when it was put under another key of the cache', async () => {
    const shelf = memoryStore();
    const encryption = (current: string, letter: string) => ({ current, keys: { [current]: letter.repeat(64) } });
    await setUp({ store: shelf, encryption: encryption('2025', 'a') }).cache.setMany([
      ['key', 'secret'],
      ['other', 'secret of another'],
    ]);
    const wrong = setUp({ store: shelf, encryption: encryption('2026', 'b') });
    expect(await wrong.cache.resolve('key', () => 'computed')).toMatchObject({ value: 'computed', level: 'computed' });
    expect(wrong.log[0]).toBe('cache.rejected key');
    let first: StoredEntry | undefined;
    const swapped = setUp({
      encryption: encryption('2025', 'a'),
      store: tampered(shelf, (entry) => {
        first ??= entry;
        return first;
      }),
    });
    expect((await swapped.cache.get('key'))?.value).toBeUndefined();
  });

  it('is said for each key of a call for many, and the others are served', async () => {
    const shelf = memoryStore();
    await setUp({ store: shelf }).cache.setMany([1, 2, 3].map((key) => [key, key]));
    let reads = 0;
    const { cache, log } = setUp({ store: tampered(shelf, (entry) => (reads++ === 1 ? 'unreadable' : entry)) });
    expect((await cache.getMany<number>([1, 2, 3])).map((result) => result?.value)).toEqual([1, undefined, 3]);
    expect(log.filter((line) => line.startsWith('cache.rejected'))).toEqual(['cache.rejected unreadable']);
  });
});

describe('a schema', () => {
  type Validate = StandardSchema['~standard']['validate'];
  const schema = (validate: Validate): StandardSchema => ({ '~standard': { version: 1, vendor: 'test', validate } });
  const isNumber: Validate = (value) =>
    typeof value === 'number' ? { value } : { issues: [{ message: 'no number' }] };

  it.each<[string, Validate]>([
    ['says no', isNumber],
    ['says no later', async (value) => isNumber(value)],
    [
      'throws',
      () => {
        throw new Error('broken');
      },
    ],
    ['rejects', () => Promise.reject(new Error('broken'))],
    ['answers with nothing', () => undefined as never],
  ])('that %s makes a miss of what the store has, said once, and the value is computed', async (_, validate) => {
    const shelf = memoryStore();
    await setUp({ store: shelf }).cache.set('key', 'text');
    const { cache, log } = setUp({ store: shelf, schema: schema(validate) });
    expect(await cache.resolve('key', () => 1)).toMatchObject({ value: 1, level: 'computed' });
    expect(log).toEqual(['cache.rejected schema', 'cache.miss', 'cache.computed']);
  });

  it('has the last word on the value, and is asked once for each read of the store', async () => {
    const shelf = memoryStore();
    await setUp({ store: shelf }).cache.set('key', '5');
    const validate = vi.fn<Validate>((value) => ({ value: Number(value) }));
    const { cache } = setUp({ store: shelf, schema: schema(validate) });
    expect([await cache.getOrSet('key', () => 0), await cache.getOrSet('key', () => 0)]).toEqual([5, 5]);
    expect(validate).toHaveBeenCalledTimes(1);
  });

  it('that takes its time does not let through what is deleted meanwhile', async () => {
    const shelf = memoryStore();
    await setUp({ store: shelf }).cache.set('key', 'old');
    const checked = Promise.withResolvers<void>();
    const { cache, clock } = setUp({
      store: shelf,
      schema: schema(async (value) => checked.promise.then(() => ({ value }))),
    });
    const reading = cache.get('key');
    await clock.settle();
    await cache.delete('key');
    checked.resolve();
    expect([await reading, cache.peek('key')]).toEqual([undefined, undefined]);
  });
});

describe('a store in trouble', () => {
  it.each<[Trouble, number]>([
    ['reject', 0],
    ['throw', 0],
    ['hang', 50],
    [60, 50],
  ])('that has the trouble %j is a miss after %i ms, with one event', async (trouble, afterMs) => {
    const { cache, clock, log, store } = setUpWithStore();
    store.trouble(trouble, 'getMany');
    const compute = vi.fn(() => 'value');
    const wait = cache.resolve('key', compute);
    await clock.settle();
    if (afterMs > 0) {
      await clock.advance(afterMs - 1);
      expect(compute).not.toHaveBeenCalled();
      await clock.advance(1);
    }
    expect(await wait).toMatchObject({ value: 'value', level: 'computed' });
    await clock.advance(30_000); // the late answer, or the call is written off
    expect(log).toEqual(['cache.store-failed getMany', 'cache.miss', 'cache.computed']);
    expect(clock.pending).toBe(0);
  });

  it.each<[Trouble]>([['reject'], ['hang']])(
    'that has the trouble %j when it is read gives no fence: what is computed then is kept in memory and not written',
    async (trouble) => {
      const { cache, clock, store, another } = setUpWithStore();
      store.trouble([trouble], 'getMany');
      const wait = cache.getOrSet('key', () => 'value');
      await clock.advance(50);
      await wait;
      await cache.close();
      expect([cache.peek('key'), await another().cache.get('key')]).toEqual(['value', undefined]);
      expect(store.calls.filter((call) => !call.startsWith('getMany'))).toEqual([]);
    },
  );

  it('holds nobody up with its writes, and close waits for them no longer than their deadline', async () => {
    const { cache, clock, log, store } = setUpWithStore();
    store.trouble('hang', 'setMany');
    expect(await cache.getOrSet('key', () => 1)).toBe(1);
    const closing = watch(cache.close().then(() => 'closed'));
    await clock.advance(49);
    expect(closing.outcome()).toBe('pending');
    await clock.advance(1);
    expect(closing.outcome()).toBe('closed');
    expect(log).toEqual(['cache.miss', 'cache.computed', 'cache.store-failed setMany']);
  });

  it('lets an invalidation resolve, which holds here at once, and says that it is deferred', async () => {
    const { cache, clock, log, store } = setUpWithStore();
    await cache.getOrSet('key', () => 1);
    await clock.settle();
    store.trouble('hang');
    const deletion = cache.delete('key');
    expect(cache.peek('key')).toBeUndefined();
    await clock.advance(50);
    expect(await deletion).toEqual({ deferred: true });
    expect(log.slice(2)).toEqual(['cache.store-failed invalidate', 'cache.invalidated delete 1 deferred']);
  });

  it('that answers with rubbish has failed, and nobody waits for ever', async () => {
    for (const answer of [undefined, null, 5, {}, { entries: 'none' }]) {
      const { cache, log } = setUp({ store: { ...memoryStore(), getMany: async () => answer as never } });
      expect(await cache.getOrSet('key', () => 'computed')).toBe('computed');
      expect(log[0]).toBe('cache.store-failed getMany');
    }
  });

  it('may answer at once instead of with a promise', async () => {
    const shelf = memoryStore();
    const answer = { entries: [undefined], fence: 0 };
    const { cache, log } = setUp({
      store: {
        ...shelf,
        getMany: () => answer as never,
        setMany: () => [true] as never,
        invalidate: () => undefined as never,
      },
    });
    expect(await cache.getOrSet('key', () => 'computed')).toBe('computed');
    expect(await cache.delete('key')).toEqual({ deferred: false });
    expect(log.filter((line) => line.includes('failed'))).toEqual([]);
  });
});

describe('invalidation with a store', () => {
  const letters = async function* (): AsyncGenerator<string> {
    yield* ['a', 'b', 'c'];
  };

  it('keeps what a read begun before it brings back out of memory, and computes anew', async () => {
    const { cache, clock, store, another } = setUpWithStore();
    await another().cache.getOrSet('key', () => 'old');
    store.trouble(20, 'getMany');
    const before = cache.getOrSet('key', () => 'computed');
    await clock.advance(10);
    const deletion = cache.delete('key');
    await clock.advance(20);
    await deletion;
    expect(await before).toBe('computed');
    expect(cache.peek('key')).toBeUndefined();
  });

  it('keeps what everybody has stopped waiting for out of memory, too', async () => {
    const { cache, clock, store, another } = setUpWithStore();
    const before = another().cache;
    await before.getOrSet('key', () => 'old');
    for await (const _ of (await before.stream('key', letters)).chunks);
    store.trouble(20, 'getMany');
    const leaving = new AbortController();
    const left = cache.getOrSet('key', () => 'computed', { signal: leaving.signal });
    const leftStream = cache.stream('key', async function* () {}, { signal: leaving.signal });
    await clock.advance(10);
    leaving.abort();
    await expect(left).rejects.toThrow();
    await expect(leftStream).rejects.toThrow();
    await cache.delete('key');
    await clock.advance(20);
    store.trouble(undefined);
    expect(cache.peek('key')).toBeUndefined();
    expect((await cache.stream('key', letters)).level).toBe('computed');
  });

  it('is not undone by a reader who comes while the store is still deleting, whenever the answer comes', async () => {
    for (const answerMs of [1, 40]) {
      const { cache, clock, store, another } = setUpWithStore();
      await another().cache.getOrSet('key', () => 'old');
      store.trouble(20, 'invalidate');
      store.trouble(answerMs, 'getMany');
      const deletion = cache.delete('key');
      await clock.advance(5);
      const reading = cache.resolve('key', () => 'new');
      await clock.advance(50);
      await deletion;
      expect(await reading).toMatchObject({ value: 'new', level: 'computed' });
      expect(cache.peek('key')).toBe('new');
    }
  });

  it.each<[string, (invalidate: ReturnType<typeof setUpWithStore>['cache']) => Promise<unknown>]>([
    ['delete', (cache) => cache.delete('key')],
    ['expire', (cache) => cache.expire('key')],
    ['invalidateTags', (cache) => cache.invalidateTags(['tag'])],
    ['clear', (cache) => cache.clear()],
  ])('by %s comes after a write that is under way, and is not undone by one that lands late', async (_, invalidate) => {
    for (const landsMs of [30, 120]) {
      for (const write of ['set', 'getOrSet'] as const) {
        const { cache, clock, store, another } = setUpWithStore();
        store.trouble([landsMs], 'setMany');
        if (write === 'set') await cache.set('key', 'old', { tags: ['tag'] });
        else await cache.getOrSet('key', () => 'old', { tags: ['tag'] });
        await clock.advance(landsMs === 30 ? 10 : 60);
        const invalidating = invalidate(cache);
        await clock.advance(20);
        await invalidating;
        expect([cache.peek('key'), await cache.get('key')]).toEqual([undefined, undefined]);
        await clock.advance(100);
        expect([await cache.get('key'), await another().cache.get('key')]).toEqual([undefined, undefined]);
      }
    }
  });

  it('during a computation writes nothing to the store', async () => {
    const { cache, clock, store } = setUpWithStore();
    const { compute, resolve } = deferred();
    const wait = cache.getOrSet('key', compute);
    await clock.settle();
    await cache.delete('key');
    resolve('old');
    await wait;
    await cache.close();
    expect(store.calls.filter((call) => call.startsWith('setMany'))).toEqual([]);
  });

  it('that is deferred covers what the store has, until it has been told', async () => {
    for (const run of [
      (cache: ReturnType<typeof createCache>) => cache.delete('key'),
      (cache: ReturnType<typeof createCache>) => cache.invalidateTags(['tag']),
      (cache: ReturnType<typeof createCache>) => cache.clear(),
    ]) {
      const { cache, clock, store, another } = setUpWithStore();
      await another().cache.set('key', 'old', { tags: ['tag'] });
      store.trouble('reject', 'invalidate');
      expect(await run(cache)).toEqual({ deferred: true });
      expect([await cache.get('key'), (await another().cache.get('key'))?.value]).toEqual([undefined, 'old']);
      store.trouble(undefined);
      await clock.advance(1_000);
      expect(await another().cache.get('key')).toBeUndefined();
    }
  });

  it('that is deferred is not told any more once the cache is closed', async () => {
    const { cache, clock, store } = setUpWithStore();
    store.trouble('reject', 'invalidate');
    await cache.delete('key');
    await cache.close();
    const before = store.calls.length;
    await clock.advance(100_000);
    expect([store.calls.length, clock.pending]).toEqual([before, 0]);
  });
});

/** Two caches on one store, as two processes have them. */
describe.each([
  ['with a feed', (store: CacheStore) => store],
  ['without a feed', withoutFeed],
])('two processes on one store %s', (_, tells) => {
  function setUpTwo() {
    const clock = createFakeClock();
    const shelf = memoryStore();
    const options = { clock, ttl: '1h', maxEntries: 1 } as const;
    const [here, there] = [shelf, shelf.peer()].map((store) => setUp({ ...options, store: tells(store) }).cache);
    const third = (): ReturnType<typeof createCache> => setUp({ ...options, store: tells(shelf.peer()) }).cache;
    if (!here || !there) throw new Error('There are two');
    return { here, there, third, clock };
  }

  it.each<[string, (cache: ReturnType<typeof createCache>) => Promise<unknown>]>([
    ['delete', (cache) => cache.delete('key')],
    ['expire', (cache) => cache.expire('key')],
    ['invalidateTags of a tag that is known', (cache) => cache.invalidateTags(['declared'])],
    ['invalidateTags of a tag that only the computation names', (cache) => cache.invalidateTags(['inside'])],
    ['clear', (cache) => cache.clear()],
  ])('%s in one, while the other computes: the value never appears in the store', async (__, invalidate) => {
    const { here, there, third, clock } = setUpTwo();
    const { promise, resolve } = Promise.withResolvers<string>();
    const computing = here.getOrSet(
      'key',
      async ({ addTags }) => {
        addTags('inside');
        return promise;
      },
      { tags: ['declared'] },
    );
    await clock.settle();
    expect(await invalidate(there)).toEqual({ deferred: false });
    resolve('old');
    expect(await computing).toBe('old');
    await clock.settle();
    expect([await there.get('key'), await third().get('key')]).toEqual([undefined, undefined]);
  });

  it.each<[string, (cache: ReturnType<typeof createCache>) => Promise<unknown>, number]>([
    ['a tag', (cache) => cache.invalidateTags(['even']), 5],
    ['a clear', (cache) => cache.clear(), 0],
    ['a key', (cache) => cache.delete(0), 9],
  ])('%s reaches what the other has written', async (__, invalidate, left) => {
    const { here, there, third } = setUpTwo();
    const keys = Array.from({ length: 10 }, (_each, index) => index);
    for (const key of keys) await here.getOrSet(key, () => key, { tags: [key % 2 ? 'odd' : 'even'] });
    await invalidate(there);
    expect((await third().getMany(keys)).filter(Boolean)).toHaveLength(left);
  });
});

describe('the news of others', () => {
  /** A feed that says what a test gives it. */
  function setUpFeed() {
    const news: (readonly Invalidation[] | 'gap' | Error)[] = [];
    const shelf = withoutFeed(memoryStore());
    let isClosed = false;
    const store: CacheStore = {
      ...shelf,
      openFeed: () => ({
        poll() {
          const next = news.shift();
          if (next instanceof Error) throw next;
          return next;
        },
        close() {
          isClosed = true;
        },
      }),
    };
    const clock = createFakeClock();
    const chaos = chaosStore(store, { clock });
    return { ...setUp({ store: chaos, clock }), news, chaos, isClosed: () => isClosed };
  }

  it('make an end of what memory has: of a key, a tag or everything, without asking the store', async () => {
    const told: (readonly Invalidation[] | 'gap' | Error)[] = [
      [{ type: 'tags', tags: ['tag'] }],
      [{ type: 'clear' }],
      'gap',
      new Error('the connection is gone'),
    ];
    for (const next of told) {
      const { cache, news, chaos } = setUpFeed();
      await cache.set('key', 'old', { tags: ['tag'] });
      expect(cache.peek('key')).toBe('old');
      const before = chaos.calls.length;
      news.push(next);
      expect([cache.peek('key'), chaos.calls.length]).toEqual([undefined, before]);
    }
  });

  it('name keys as the store knows them', async () => {
    for (const type of ['delete', 'expire'] as const) {
      const { cache, news, chaos } = setUpFeed();
      await cache.setMany([
        ['key', 'old'],
        ['other', 'stays'],
      ]);
      const [id] = chaos.calls[0]?.split(' ').slice(1) ?? [];
      news.push([{ type, keys: [id ?? ''] }]);
      expect([cache.peek('key'), cache.peek('other')]).toEqual([undefined, 'stays']);
    }
  });

  it('make void what is under way: it is not kept, and newcomers begin anew', async () => {
    for (const next of [[{ type: 'clear' }], [{ type: 'tags', tags: ['tag'] }], 'gap'] as const) {
      const { cache, news, clock } = setUpFeed();
      const { compute, resolve } = deferred();
      const before = cache.getOrSet('key', compute, { tags: ['tag'] });
      await clock.settle();
      news.push(next);
      const after = cache.getOrSet('key', () => 'new', { tags: ['tag'] });
      await clock.settle();
      resolve('old');
      expect([await before, await after, cache.peek('key')]).toEqual(['old', 'new', 'new']);
    }
  });

  it('are said once each, and a feed that fails is a failure and a gap, said once', async () => {
    const { cache, news, log, isClosed } = setUpFeed();
    news.push([{ type: 'delete', keys: ['x', 'y'] }, { type: 'clear' }]);
    cache.peek('key');
    expect(log).toEqual(['cache.invalidated delete 2 foreign', 'cache.invalidated clear 1 foreign']);
    news.push(new Error('gone'), new Error('gone'), new Error('gone'), [{ type: 'clear' }]);
    for (let read = 0; read < 5; read++) cache.peek('key');
    expect(log.slice(2)).toEqual([
      'cache.store-failed poll',
      'cache.invalidated gap 1 foreign',
      'cache.invalidated gap 1 foreign',
    ]);
    await cache.close();
    expect(isClosed()).toBe(true);
  });
});
