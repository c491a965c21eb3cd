import { serialize } from 'node:v8';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { chaosStore, createFakeClock, storeContract, type Trouble } from '../testing/index.js';
import {
  type CacheEvent,
  type CacheOptions,
  type CacheStore,
  createCache,
  keyvStore,
  type StoredEntry,
} from './index.js';

function mapStore(): CacheStore & { entries: Map<string, StoredEntry> } {
  const entries = new Map<string, StoredEntry>();
  return {
    name: 'map',
    entries,
    get: async (key) => entries.get(key),
    set: async (key, entry) => void entries.set(key, entry),
    delete: async (key) => void entries.delete(key),
  };
}

/** The least that counts as a Keyv: texts in a Map. */
function mapKeyv() {
  const texts = new Map<string, unknown>();
  return {
    texts,
    ttls: [] as (number | undefined)[],
    get: async (key: string) => texts.get(key),
    async set(key: string, value: string, ttlMs?: number) {
      this.ttls.push(ttlMs);
      texts.set(key, value);
    },
    delete: async (key: string) => texts.delete(key),
  };
}

function setUp(options: Partial<CacheOptions> = {}) {
  const clock = createFakeClock();
  const log: string[] = [];
  const onEvent = (event: CacheEvent): void => {
    const { level = '', reason = '', operation = '' } = event as Record<string, unknown> as Record<string, string>;
    log.push([event.type, level || reason || operation].filter(Boolean).join(' '));
  };
  const inner = mapStore();
  const store = chaosStore(inner, { clock });
  const make = (more: Partial<CacheOptions> = {}) =>
    createCache({ name: 'test', clock, onEvent, store, ...options, ...more });
  return { clock, log, inner, store, make, cache: make() };
}

describe('the contract, kept by a Map', () => {
  for (const { name, run } of storeContract(mapStore)) it(name, run);
});

describe('the contract, kept by keyvStore', () => {
  for (const { name, run } of storeContract(() => keyvStore(mapKeyv()))) it(name, run);
});

describe('the contract itself', () => {
  const broken = async (change: (store: CacheStore) => Partial<CacheStore>): Promise<string[]> => {
    const failed: string[] = [];
    for (const { name, run } of storeContract(() => ({ ...mapStore(), ...change(mapStore()) }))) {
      await run().catch(() => failed.push(name));
    }
    return failed;
  };

  it('catches a store that forgets, one that never forgets, and one that goes through JSON', async () => {
    expect(await broken(() => ({ get: async () => undefined }))).toContain('keeps 0 as it is');
    expect(await broken(() => ({ delete: async () => {} }))).toContain('forgets a deleted key, and only that one');
    const texts = new Map<string, string>();
    const throughJson = {
      set: async (key: string, entry: StoredEntry) => void texts.set(key, JSON.stringify(entry)),
      get: async (key: string) => JSON.parse(texts.get(key) ?? 'null') ?? undefined,
    };
    expect(await broken(() => throughJson)).toEqual(
      expect.arrayContaining(['keeps a Date as it is', 'keeps undefined as it is', 'keeps a bigint as it is']),
    );
  });
});

describe('a hit in the store', () => {
  it('comes without computing, with its age, and is in memory from then on', async () => {
    const { make, clock, log } = setUp({ ttl: '10s' });
    await make().getOrSet('key', () => 'value');
    await clock.advance(3_000);
    const other = make();
    expect(await other.resolve('key', () => 'other')).toEqual({ value: 'value', level: 'store', ageMs: 3_000 });
    expect(await other.resolve('key', () => 'other')).toEqual({ value: 'value', level: 'memory', ageMs: 3_000 });
    expect(log).toEqual(['cache.miss', 'cache.computed', 'cache.hit store', 'cache.hit memory']);
  });

  it('lives in memory for the rest of its ttl and no longer', async () => {
    const { make, clock } = setUp({ ttl: '10s' });
    await make().getOrSet('key', () => 'value');
    await clock.advance(9_000);
    const other = make();
    await other.getOrSet('key', () => 'other');
    await clock.advance(999);
    expect(other.peek('key')).toBe('value');
    await clock.advance(1);
    expect(await other.resolve('key', () => 'other')).toMatchObject({ value: 'other', level: 'computed' });
  });

  it('is read once for all who ask meanwhile, and each gets a value of its own', async () => {
    const { make, clock, store } = setUp();
    await make().getOrSet('key', () => ({ list: [1] }));
    const other = make();
    store.trouble(20, 'get');
    const waits = [1, 2, 3].map(() => other.resolve('key', () => ({ list: [2] })));
    await clock.advance(20);
    const results = await Promise.all(waits);
    expect(results.map(({ level }) => level)).toEqual(['store', 'shared', 'shared']);
    for (const { value } of results) value.list.push(9);
    expect(other.peek('key')).toEqual({ list: [1] });
    expect(store.calls.filter((call) => call.startsWith('get'))).toHaveLength(2);
  });

  it('lives no longer than it was to live at first, though the wall clock steps back', async () => {
    const { make, clock } = setUp({ ttl: '10s' });
    await make().getOrSet('key', () => 'value');
    clock.stepWall(-3_600_000);
    const other = make();
    expect(await other.resolve('key', () => 'other')).toMatchObject({ value: 'value', level: 'store', ageMs: 0 });
    await clock.advance(10_000);
    expect(other.peek('key')).toBeUndefined();
  });

  it('keeps null and undefined apart from a miss', async () => {
    const { make } = setUp();
    for (const value of [null, undefined, 0, '', false]) {
      await make().getOrSet([value], () => value);
      expect(await make().resolve([value], () => 'computed')).toMatchObject({ value, level: 'store' });
    }
  });
});

describe('a store in trouble', () => {
  it.each<[Trouble, number]>([
    ['reject', 0],
    ['throw', 0],
    ['hang', 50],
    [60, 50],
  ])('that has the trouble %j is a miss after %i ms, with one event', async (trouble, afterMs) => {
    const { cache, clock, log, store } = setUp();
    store.trouble(trouble, 'get');
    const compute = vi.fn(() => 'value');
    const wait = cache.resolve('key', compute);
    await clock.settle();
    expect(clock.pending).toBe(trouble === 60 ? 2 : trouble === 'hang' ? 1 : 0);
    if (afterMs > 0) {
      await clock.advance(afterMs - 1);
      expect(compute).not.toHaveBeenCalled();
      await clock.advance(1);
    }
    expect(await wait).toMatchObject({ value: 'value', level: 'computed' });
    await clock.advance(1_000); // the late answer, where there is one
    expect(log).toEqual(['cache.store-failed get', 'cache.miss', 'cache.computed']);
    expect(clock.pending).toBe(0);
  });

  it('is reported once when it fails after it was given up', async () => {
    const { make, clock, log } = setUp();
    const get = () =>
      new Promise<never>((_, reject) => {
        clock.schedule(60, () => reject(new Error('late')));
      });
    const wait = make({ store: { ...mapStore(), get } }).getOrSet('key', () => 1);
    await clock.advance(60);
    expect(await wait).toBe(1);
    expect(log).toEqual(['cache.store-failed get', 'cache.miss', 'cache.computed']);
  });

  it('holds nobody up with its writes, and close waits for them no longer than their deadline', async () => {
    const { cache, clock, log, store } = setUp();
    store.trouble('hang', 'set');
    expect(await cache.getOrSet('key', () => 1)).toBe(1);
    let closed = false;
    const closing = cache.close().then(() => {
      closed = true;
    });
    await clock.advance(49);
    expect(closed).toBe(false);
    await clock.advance(1);
    await closing;
    expect(log).toEqual(['cache.miss', 'cache.computed', 'cache.store-failed set']);
  });

  it('lets delete resolve, forgets in memory, and says so', async () => {
    const { cache, clock, log, store } = setUp();
    await cache.getOrSet('key', () => 1);
    store.trouble('hang');
    const deletion = cache.delete('key');
    expect(cache.peek('key')).toBeUndefined();
    await clock.advance(50);
    await deletion;
    expect(log.filter((line) => line === 'cache.store-failed delete')).toHaveLength(2); // the value and the stream
  });

  it('may answer at once instead of with a promise', async () => {
    const entry = { value: 'kept', storedAt: 0, expiresAt: Number.MAX_SAFE_INTEGER, computeMs: 1 };
    const cache = createCache({ name: 'sync', store: { ...mapStore(), get: () => entry as never } });
    expect(await cache.getOrSet('key', () => 'computed')).toBe('kept');
  });

  it.each([
    ['null', null],
    ['an entry that has expired', { value: 1, storedAt: 0, expiresAt: 1, computeMs: 1 }],
    ['an entry without times', { value: 1 }],
  ])('that answers with %s has missed', async (_, answer) => {
    const { make } = setUp();
    const cache = make({ store: { ...mapStore(), get: async () => answer as never } });
    expect(await cache.getOrSet('key', () => 'computed')).toBe('computed');
  });

  it('makes no caller compute again whose read comes back after another’s flight has landed', async () => {
    const { cache, clock, store } = setUp();
    store.trouble(40, 'get');
    const compute = vi.fn(() => 'value');
    const first = cache.getOrSet('key', compute);
    await clock.advance(30);
    const second = cache.getOrSet('key', compute);
    await clock.advance(100);
    expect(await Promise.all([first, second])).toEqual(['value', 'value']);
    expect(compute).toHaveBeenCalledTimes(1);
    expect(store.calls.filter((call) => call.startsWith('get'))).toHaveLength(1);
  });
});

const letters = async function* (): AsyncGenerator<string> {
  yield* ['a', 'b', 'c'];
};

describe('invalidation with a store', () => {
  it('keeps what a read begun before it brings back out of memory, and computes anew', async () => {
    const { make, clock, store } = setUp();
    await make().getOrSet('key', () => 'old');
    const other = make();
    store.trouble(20, 'get');
    const before = other.getOrSet('key', () => 'computed');
    await clock.advance(10);
    const deletion = other.delete('key');
    await clock.advance(20);
    await deletion;
    expect(await before).toBe('computed');
    expect(other.peek('key')).toBeUndefined();
  });

  it('keeps what everybody has stopped waiting for out of memory, too', async () => {
    const { make, clock, store } = setUp();
    const before = make();
    await before.getOrSet('key', () => 'old');
    for await (const _ of (await before.stream('key', letters)).chunks);
    const other = make();
    store.trouble(20, 'get');
    const leaving = new AbortController();
    const left = other.getOrSet('key', () => 'computed', { signal: leaving.signal });
    const leftStream = other.stream('key', async function* () {}, { signal: leaving.signal });
    await clock.advance(10);
    leaving.abort();
    await expect(left).rejects.toThrow();
    await expect(leftStream).rejects.toThrow();
    await other.delete('key');
    await clock.advance(20);
    store.trouble(undefined);
    expect(other.peek('key')).toBeUndefined();
    expect((await other.stream('key', letters)).level).toBe('computed');
  });

  it('is not undone by a reader who comes while the store is still deleting', async () => {
    const { make, clock, store } = setUp();
    await make().getOrSet('key', () => 'old');
    const other = make();
    store.trouble(20, 'delete');
    const deletion = other.delete('key');
    await clock.advance(5);
    expect(await other.resolve('key', () => 'new')).toMatchObject({ value: 'new', level: 'computed' });
    await clock.advance(50);
    await deletion;
    expect(other.peek('key')).toBe('new');
  });

  it('comes after a write that is under way', async () => {
    const { cache, clock, inner, store } = setUp();
    store.trouble(30, 'set');
    await cache.getOrSet('key', () => 'old');
    const deletion = cache.delete('key');
    await clock.advance(30);
    await deletion;
    expect(inner.entries.size).toBe(0);
  });

  it.each([
    ['first', 30, 30, 15],
    ['last', 45, 5, 2],
  ])('comes after every write of the key that is under way, also when the older one lands %s', async (_, ...ms) => {
    const [olderMs, newerMs, deleteAfterMs] = ms;
    const { cache, clock, inner, store } = setUp({ maxEntries: 1 });
    store.trouble(olderMs, 'set');
    await cache.getOrSet('key', () => 'older');
    await cache.getOrSet('other', () => 'pushes the first one out');
    await clock.advance(20);
    store.trouble(newerMs, 'set');
    await cache.getOrSet('key', () => 'newer');
    await clock.advance(deleteAfterMs);
    const deletion = cache.delete('key');
    await clock.advance(40);
    await deletion;
    expect([...inner.entries.values()].map(({ value }) => value)).toEqual(['pushes the first one out']);
  });

  it('is not undone by a write that lands long after its own deadline', async () => {
    const { cache, clock, inner, store } = setUp();
    store.trouble(120, 'set');
    await cache.getOrSet('key', () => 'old');
    await clock.advance(50); // nobody waits for the write any more
    const deletion = cache.delete('key');
    await clock.advance(0);
    await deletion;
    store.trouble(undefined, 'set');
    await clock.advance(100);
    expect(inner.entries.size).toBe(0);
  });

  it('during a computation writes nothing to the store', async () => {
    const { cache, clock, inner } = setUp();
    const { promise, resolve } = Promise.withResolvers<string>();
    const wait = cache.getOrSet('key', () => promise);
    await clock.settle();
    await cache.delete('key');
    resolve('old');
    await wait;
    await cache.close();
    expect(inner.entries.size).toBe(0);
  });
});

/** Random reads, deletions and store delays: no read that begins after a deletion has resolved sees a value from before it. */
describe('no read after an acknowledged deletion', () => {
  it('returns older data', async () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('read' as const), key: fc.nat(1), computeMs: fc.nat(30), leaveMs: fc.nat(60) }),
      fc.record({ do: fc.constant('delete' as const), key: fc.nat(1) }),
      fc.record({
        do: fc.constant('trouble' as const),
        operation: fc.constantFrom('get' as const, 'set' as const, 'delete' as const),
        ms: fc.nat(120), // past the deadline of 50 ms, too
      }),
      fc.record({ do: fc.constant('advance' as const), ms: fc.nat(40) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const { cache, clock, store } = setUp();
        const truth = [0, 0]; // the version that a computation begun now would see
        const acknowledged = [0, 0]; // the version that every read begun now must see at least
        const work: Promise<unknown>[] = [];
        for (const each of steps) {
          if (each.do === 'advance') await clock.advance(each.ms);
          else if (each.do === 'trouble') store.trouble(each.ms || undefined, each.operation);
          else if (each.do === 'delete') {
            const version = ++(truth as [number, number])[each.key as 0 | 1];
            work.push(
              cache.delete(each.key).then(() => {
                acknowledged[each.key] = Math.max(acknowledged[each.key] ?? 0, version);
              }),
            );
          } else {
            const least = acknowledged[each.key] ?? 0;
            const leaving = new AbortController();
            clock.schedule(each.leaveMs, () => leaving.abort());
            const compute = async (): Promise<number> => {
              const version = truth[each.key] ?? 0;
              await new Promise<void>((resolve) => void clock.schedule(each.computeMs, resolve));
              return version;
            };
            work.push(
              cache.getOrSet(each.key, compute, { signal: leaving.signal }).then(
                (version) => expect(version).toBeGreaterThanOrEqual(least),
                (error) => expect(error.name).toBe('AbortError'),
              ),
            );
          }
        }
        await clock.advance(500);
        await Promise.all(work);
      }),
      { numRuns: 150 },
    );
  }, 30_000);
});

describe('keyvStore', () => {
  const entry: StoredEntry = { value: 'value', storedAt: 1, expiresAt: 2, computeMs: 3 };

  it('writes one text and a lifetime in whole milliseconds from 1 up', async () => {
    const keyv = mapKeyv();
    await keyvStore(keyv).set('key', entry, 0.2);
    await keyvStore(keyv).set('key', entry, 1_000.5);
    expect(keyv.ttls).toEqual([1, 1_001]);
    expect(keyv.texts.get('key')).toMatch(/^wp1:[A-Za-z0-9+/=]+$/);
  });

  it.each([
    ['an object of somebody else’s', { value: 1 }],
    ['a number', 5],
    ['a text of somebody else’s', 'hello'],
    ['JSON', '{"value":1,"storedAt":1,"expiresAt":2,"computeMs":3}'],
    ['another version of ours', 'wp0:AAAA'],
    ['our version with nothing behind it', 'wp1:'],
    ['our version with noise behind it', 'wp1:AAAAAAAA'],
  ])('misses on %s', async (_, text) => {
    const keyv = mapKeyv();
    keyv.texts.set('key', text);
    expect(await keyvStore(keyv).get('key')).toBeUndefined();
  });

  it('misses on what another program has written in our form', async () => {
    const keyv = mapKeyv();
    for (const value of ['text', { value: 1 }, { value: 1, storedAt: Number.NaN, expiresAt: 1, computeMs: 1 }, null]) {
      const bytes = serialize(value);
      keyv.texts.set('key', `wp1:${crc32(bytes).toString(16).padStart(8, '0')}${bytes.toString('base64')}`);
      expect(await keyvStore(keyv).get('key')).toBeUndefined();
    }
    expect(await keyvStore(keyv).get('key')).toBeUndefined();
  });

  it('misses on an entry of which one byte has changed, rather than serve another value', async () => {
    const keyv = mapKeyv();
    await keyvStore(keyv).set('key', { ...entry, value: { list: [1, 'two', new Date(3)] } }, 1);
    const bytes = Buffer.from(String(keyv.texts.get('key')).slice(12), 'base64');
    const head = String(keyv.texts.get('key')).slice(0, 12);
    expect(await keyvStore(keyv).get('key')).toBeDefined();
    for (let index = 0; index < bytes.length; index++) {
      const damaged = Buffer.from(bytes);
      damaged[index] = (damaged[index] ?? 0) ^ 1;
      keyv.texts.set('key', head + damaged.toString('base64'));
      expect(await keyvStore(keyv).get('key')).toBeUndefined();
    }
  });

  it('misses on every text that was cut short', async () => {
    const keyv = mapKeyv();
    await keyvStore(keyv).set('key', { ...entry, value: { list: [1, 'two', new Date(3)] } }, 1);
    const whole = String(keyv.texts.get('key'));
    for (let length = 0; length < whole.length - 4; length++) {
      keyv.texts.set('key', whole.slice(0, length));
      expect(await keyvStore(keyv).get('key')).toBeUndefined();
    }
  });

  it('survives any noise behind its version', () =>
    fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), async (bytes) => {
        const keyv = mapKeyv();
        const sum = crc32(bytes).toString(16).padStart(8, '0');
        keyv.texts.set('key', `wp1:${sum}${Buffer.from(bytes).toString('base64')}`);
        expect(await keyvStore(keyv).get('key')).toBeUndefined();
      }),
    ));

  it('brings typed values through a cache', async () => {
    const keyv = mapKeyv();
    const value = { at: new Date(5), map: new Map([[1n, new Float32Array([0.5, 1])]]), none: undefined };
    await createCache({ name: 'typed', store: keyvStore(keyv) }).getOrSet('key', () => value);
    const found = await createCache({ name: 'typed', store: keyvStore(keyv) }).resolve('key', () => value);
    expect(found.level).toBe('store');
    expect(found.value).toStrictEqual(value);
  });

  it('is refused what is no Keyv', () => {
    expect(() => keyvStore({} as never)).toThrow(expect.objectContaining({ code: 'WP_BAD_OPTION' }));
    expect(() => keyvStore(mapKeyv(), { name: '' })).toThrow(expect.objectContaining({ code: 'WP_BAD_OPTION' }));
  });
});
