import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { deferred, failing, setUp, setUpWithStore } from '../../test/cache-set-up.js';
import { currentContext, runInContext } from '../kernel/index.js';
import { type CacheEvent, type CacheOptions, createCache } from './index.js';

describe('one computation for all who ask', () => {
  it('runs once for 50 callers, who all get its value', async () => {
    const { cache, clock } = setUp();
    const { compute, resolve } = deferred();
    const callers = Array.from({ length: 50 }, () => cache.resolve('key', compute));
    await clock.settle();
    resolve('value');
    const results = await Promise.all(callers);
    expect(compute).toHaveBeenCalledTimes(1);
    expect(results.map(({ value }) => value)).toEqual(Array(50).fill('value'));
    expect(results.map(({ level }) => level)).toEqual(['computed', ...Array(49).fill('shared')]);
    expect(results.map(({ stale }) => stale)).toEqual(Array(50).fill(false));
  });

  it('runs once for 50 callers when it fails, all see that very error, and nothing is kept', async () => {
    const { cache, clock, log } = setUp();
    const { compute, reject } = deferred();
    const callers = Array.from({ length: 50 }, () => cache.getOrSet('key', compute));
    await clock.settle();
    const error = new Error('no luck');
    reject(error);
    const outcomes = await Promise.allSettled(callers);
    expect(compute).toHaveBeenCalledTimes(1);
    expect(outcomes.every((outcome) => outcome.status === 'rejected' && outcome.reason === error)).toBe(true);
    expect(cache.peek('key')).toBeUndefined();
    await expect(cache.getOrSet('key', () => 'better')).resolves.toBe('better');
    expect(log).toEqual(['cache.miss', 'cache.failed', 'cache.miss', 'cache.computed']);
  });

  it('runs once for the caller whose store answers late and the one who comes meanwhile', async () => {
    const { cache, clock, store } = setUpWithStore();
    const compute = vi.fn(() => 'value');
    store.trouble([40], 'getMany'); // the first read is slow, any other is not
    const late = cache.resolve('key', compute);
    await clock.advance(10);
    const quick = cache.resolve('key', compute);
    await clock.advance(30);
    expect(await Promise.all([late, quick])).toMatchObject([{ level: 'computed' }, { level: 'shared' }]);
    expect(compute).toHaveBeenCalledTimes(1);
    expect(store.calls.filter((call) => call.startsWith('getMany'))).toHaveLength(1);
  });

  it('runs once, too, when the store answers nobody in time', async () => {
    const { cache, clock, store } = setUpWithStore();
    const { compute, resolve } = deferred();
    store.trouble('hang', 'getMany');
    const callers = [cache.getOrSet('key', compute)];
    await clock.advance(49);
    callers.push(cache.getOrSet('key', compute));
    await clock.advance(1);
    callers.push(cache.getOrSet('key', compute));
    resolve('value');
    expect(await Promise.all(callers)).toEqual(['value', 'value', 'value']);
    expect(compute).toHaveBeenCalledTimes(1);
  });

  it('runs as the tenant whose entry it is, with nothing of the caller who happened to come first', async () => {
    const seen = (): unknown => [currentContext()?.tenant, currentContext()?.attributes];
    const mine = setUp().cache;
    const shared = setUp({ scope: 'shared' }).cache;
    await runInContext({ tenant: 'acme', attributes: { user: 'alice' } }, async () => {
      expect(await mine.getOrSet('key', seen)).toEqual(['acme', {}]);
      expect(await mine.getOrSet('key', seen, { tenant: 'globex' })).toEqual(['globex', {}]);
      expect(await shared.getOrSet('key', seen)).toEqual([undefined, {}]);
      // So a shared entry cannot be made of what one tenant alone may see.
      const secret = setUp({ scope: 'tenant' }).cache;
      const leak = shared.getOrSet('other', () => secret.getOrSet('key', () => 'secret of acme'));
      await expect(leak).rejects.toMatchObject({ code: 'WP_TENANT_REQUIRED' });
    });
  });

  it('goes on when a listener throws', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const onEvent = (): never => {
      throw new Error('full disk');
    };
    expect(await setUp({ onEvent }).cache.getOrSet('key', () => 1)).toBe(1);
    expect(warned).toHaveBeenCalledTimes(1);
    warned.mockRestore();
  });

  it('passes on what a computation throws before it gives a promise', async () => {
    const { cache } = setUp();
    const compute = (): string => {
      throw new Error('at once');
    };
    await expect(cache.getOrSet('key', compute)).rejects.toThrow('at once');
  });

  it('says how old a value is and what a hit has saved', async () => {
    const { cache, clock, events } = setUp();
    const { compute, resolve } = deferred<number>();
    const first = cache.resolve('key', compute);
    await clock.advance(300);
    resolve(1);
    expect(await first).toEqual({ value: 1, level: 'computed', ageMs: 0, stale: false });
    await clock.advance(40);
    expect(await cache.resolve('key', compute)).toEqual({ value: 1, level: 'memory', ageMs: 40, stale: false });
    expect(await cache.get('key')).toEqual({ value: 1, level: 'memory', ageMs: 40, stale: false });
    const hit = { type: 'cache.hit', level: 'memory', ageMs: 40, savedMs: 300, stale: false };
    expect(events.slice(-2)).toMatchObject([hit, hit]);
  });
});

describe('what is kept', () => {
  it.each([null, undefined, 0, '', false, Number.NaN])('keeps %s like any other value', async (value) => {
    const { cache, clock, another } = setUpWithStore();
    const compute = vi.fn(() => value);
    await cache.getOrSet('key', compute);
    expect(await cache.resolve('key', compute)).toMatchObject({ value, level: 'memory' });
    expect(await cache.get('key')).toMatchObject({ value, level: 'memory' });
    await clock.settle();
    expect(await another().cache.resolve('key', compute)).toMatchObject({ value, level: 'store' });
    expect(compute).toHaveBeenCalledTimes(1);
  });

  it('is not moved by a wall clock that jumps', async () => {
    const { cache, clock } = setUp({ ttl: '10s' });
    await cache.getOrSet('key', () => 1);
    clock.stepWall(-3_600_000);
    expect(await cache.resolve('key', () => 2)).toMatchObject({ value: 1, ageMs: 0 });
    clock.stepWall(7_200_000);
    expect(cache.peek('key')).toBe(1);
  });

  it('never holds more than maxEntries, and under LRU drops the one unused for longest', () => {
    const command = fc.record({ key: fc.integer({ min: 0, max: 7 }), write: fc.boolean() });
    return fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 60 }), fc.integer({ min: 1, max: 5 }), async (commands, max) => {
        const { cache } = setUp({ maxEntries: max, eviction: 'lru' });
        let model: number[] = []; // the keys, the one used last at the end
        for (const { key, write } of commands) {
          const known = model.includes(key);
          if (write) expect((await cache.resolve(key, () => key)).level).toBe(known ? 'memory' : 'computed');
          else expect(cache.peek(key)).toBe(known ? key : undefined);
          if (write || known) model = [...model.filter((each) => each !== key), key].slice(-max);
        }
      }),
    );
  });

  it('keeps equal keys together and different ones apart, whatever their form', async () => {
    const { cache } = setUp();
    await cache.getOrSet({ a: 1, b: new Map([['x', 1n]]) }, () => 'first');
    expect(cache.peek({ b: new Map([['x', 1n]]), a: 1 })).toBe('first');
    expect(cache.peek({ b: new Map([['x', 1]]), a: 1 })).toBeUndefined();
    const aFunction = (): void => {};
    await expect(cache.getOrSet(aFunction, () => 1)).rejects.toMatchObject({ code: 'WP_BAD_KEY' });
  });

  it.each<[string, unknown[], RegExp]>([
    ['no computation', ['key'], /option 'compute' must be a function, got undefined/],
    ['a ttl that is none', ['key', () => 1, { ttl: 'abc' }], /option 'ttl' must be a duration .*got 'abc'/],
    ['tags that are none', ['key', () => 1, { tags: [5] }], /option 'tags' must be .*/],
    ['a tenant that is no string', ['key', () => 1, { tenant: 5 }], /option 'tenant' must be a string, got 5/],
    ['a key that is no data', [{ tools: [{ run: () => 1 }] }, () => 1], /^key\.tools\[0\]\.run is the function 'run'/],
  ])('refuses %s', async (_, call, said) => {
    const { cache } = setUp();
    await expect(cache.getOrSet(...(call as Parameters<typeof cache.getOrSet>))).rejects.toThrow(said);
    await expect(cache.resolve(...(call as Parameters<typeof cache.getOrSet>))).rejects.toThrow(said);
  });
});

describe('get', () => {
  it('gives what memory or the store has, computes nothing, and knows undefined from nothing', async () => {
    const { cache, clock, another } = setUpWithStore();
    expect(await cache.get('key')).toBeUndefined();
    await cache.set('key', undefined);
    await clock.settle();
    expect(await cache.get('key')).toMatchObject({ value: undefined, level: 'memory' });
    const other = another();
    expect(await other.cache.get('key')).toMatchObject({ value: undefined, level: 'store' });
    expect(await other.cache.get('key')).toMatchObject({ value: undefined, level: 'memory' });
    expect(other.log).toEqual(['cache.hit store', 'cache.hit memory']);
  });

  it('gives what was set while the store was asked, and not what the store had before', async () => {
    const { cache, clock, store, another } = setUpWithStore();
    await another().cache.set('key', 'old');
    await clock.settle();
    store.trouble([20], 'getMany');
    const reading = cache.get('key');
    await clock.advance(10);
    await cache.set('key', 'new');
    await clock.advance(10);
    expect(await reading).toMatchObject({ value: 'new', level: 'memory' });
  });

  it('gives nothing past the deadline of the store, and the reason of a caller who leaves', async () => {
    const { cache, clock, store } = setUpWithStore();
    store.trouble('hang');
    const reading = cache.get('key');
    await clock.advance(50);
    expect(await reading).toBeUndefined();
    const leaving = new AbortController();
    const left = cache.get('key', { signal: leaving.signal });
    leaving.abort(new Error('closed the tab'));
    await expect(left).rejects.toThrow('closed the tab');
    await clock.advance(60_000);
    expect(clock.pending).toBe(0);
  });
});

describe('set', () => {
  it('takes the place of what is being computed: its callers get their answer, newcomers the value that was set', async () => {
    const { cache, clock, log } = setUp();
    const { compute, resolve } = deferred();
    const before = cache.getOrSet('key', compute);
    await clock.settle();
    await cache.set('key', 'set');
    expect(await cache.getOrSet('key', compute)).toBe('set');
    resolve('computed');
    expect(await before).toBe('computed');
    expect(cache.peek('key')).toBe('set');
    expect(log).toContain('cache.unstored invalidated');
  });

  it('outlives the failure of what it has replaced', async () => {
    const { cache, clock } = setUp();
    const { compute, reject } = deferred();
    const before = cache.getOrSet('key', compute);
    await clock.settle();
    await cache.set('key', 'set');
    reject(new Error('late'));
    await expect(before).rejects.toThrow('late');
    expect(await cache.getOrSet('key', failing())).toBe('set');
  });

  it('of nothing that lasts makes an end of what was there, in the store and under way too', async () => {
    const never = [
      { value: () => 1, call: {}, reason: 'not-cloneable' },
      { value: 'brief', call: { ttl: 0 }, reason: 'not-wanted' },
      { value: null, call: {}, reason: 'not-wanted' },
    ] as const;
    for (const { value, call, reason } of never) {
      const { cache, clock, log, another } = setUpWithStore({ negativeTtl: 0 });
      await cache.set('key', 'old');
      await clock.settle();
      const { compute, resolve } = deferred();
      const underWay = cache.getOrSet('other', compute);
      await clock.settle();
      await cache.setMany(
        [
          ['key', value],
          ['other', value],
        ],
        call,
      );
      resolve('older');
      expect(await underWay).toBe('older');
      await clock.settle();
      expect(log).toContain(`cache.unstored ${reason}`);
      for (const each of [cache, another().cache])
        expect(await each.getMany(['key', 'other'])).toEqual([undefined, undefined]);
    }
  });

  it('of what memory may hold and the store may not leaves no older value in the store', async () => {
    const { cache, clock, another } = setUpWithStore({ isolation: 'shared' });
    await cache.set('key', 'old');
    await clock.settle();
    const socket = { send: () => 'sent' };
    await cache.set('key', socket);
    expect(cache.peek('key')).toBe(socket);
    expect(await another().cache.get('key')).toBeUndefined();
  });

  it('lasts for the negative ttl where the value is null or undefined', async () => {
    const { cache, clock } = setUp({ ttl: '1m', negativeTtl: '1s' });
    await cache.setMany([
      ['null', null],
      ['undefined', undefined],
      ['zero', 0],
    ]);
    await clock.advance(999);
    expect(await cache.getMany(['null', 'undefined', 'zero'])).toMatchObject([
      { value: null },
      { value: undefined },
      { value: 0 },
    ]);
    await clock.advance(1);
    expect(await cache.getMany(['null', 'undefined', 'zero'])).toMatchObject([undefined, undefined, { value: 0 }]);
  });
});

describe('options', () => {
  it.each([
    [{}, 'name'],
    [{ name: '' }, 'name'],
    [{ name: 'x', ttl: 0 }, 'ttl'],
    [{ name: 'x', ttl: '5 minutes' }, 'ttl'],
    [{ name: 'x', negativeTtl: -1 }, 'negativeTtl'],
    [{ name: 'x', jitter: 1.1 }, 'jitter'],
    [{ name: 'x', staleWhileRevalidate: 'long' }, 'staleWhileRevalidate'],
    [{ name: 'x', grace: Number.NaN }, 'grace'],
    [{ name: 'x', earlyRefresh: 0 }, 'earlyRefresh'],
    [{ name: 'x', softTimeout: 0 }, 'softTimeout'],
    [{ name: 'x', hardTimeout: '-1s' }, 'hardTimeout'],
    [{ name: 'x', canRefresh: true }, 'canRefresh'],
    [{ name: 'x', maxEntries: 0 }, 'maxEntries'],
    [{ name: 'x', maxEntries: 1.5 }, 'maxEntries'],
    [{ name: 'x', maxBytes: '5 apples' }, 'maxBytes'],
    [{ name: 'x', maxBytesPerTenant: -1 }, 'maxBytesPerTenant'],
    [{ name: 'x', eviction: 'random' }, 'eviction'],
    [{ name: 'x', isolation: 'none' }, 'isolation'],
    [{ name: 'x', schema: {} }, 'schema'],
    [{ name: 'x', scope: 'global' }, 'scope'],
    [{ name: 'x', audit: 'yes' }, 'audit'],
    [{ name: 'x', store: {} }, 'store'],
    [{ name: 'x', storeTimeout: -1 }, 'storeTimeout'],
    [{ name: 'x', clock: {} }, 'clock'],
    [{ name: 'x', random: 0.5 }, 'random'],
    [{ name: 'x', maxEntry: 5 }, 'maxEntry'],
  ])('refuses %j, naming %s', (options, name) => {
    expect(() => createCache(options as CacheOptions)).toThrow(
      expect.objectContaining({ code: 'WP_BAD_OPTION', message: expect.stringContaining(`'${name}'`) }),
    );
  });

  it('are not touched', async () => {
    const options = Object.freeze({ name: 'test', ttl: '1s' } satisfies CacheOptions);
    const call = Object.freeze({ ttl: '2s', tags: Object.freeze(['a']) } as const);
    const cache = createCache(options);
    expect(await cache.getOrSet('key', () => 1, call)).toBe(1);
    const events: CacheEvent[] = [];
    const heard = createCache({ ...options, onEvent: (event) => events.push(event) });
    expect(await heard.getOrSet('key', () => 1, call)).toBe(1);
    expect(events).toHaveLength(2);
  });
});
