import { describe, expect, it } from 'vitest';
import { type ChaosStore, chaosStore, createFakeClock, memoryStore } from '../../testing/index.js';
import type { CacheEvent } from '../events.js';
import type { CacheStore, Fence, Invalidation, StoredEntry, StoreFeed } from '../store.js';
import { keyvStore } from '../stores/keyv.js';
import { StoreGuard } from './store-guard.js';

function setUp(inner: CacheStore = memoryStore(), clock = createFakeClock()) {
  const log: string[] = [];
  const onEvent = (event: CacheEvent): void => {
    if (event.type === 'cache.store-failed') log.push(`${event.operation} failed`);
  };
  const guardOf = (store: CacheStore): StoreGuard =>
    new StoreGuard({ name: 'n', store, storeTimeoutMs: 50, clock, onEvent });
  const store = chaosStore(inner, { clock });
  const guard = guardOf(store);
  const entryOf = (text: string, ...tags: string[]): StoredEntry => {
    const now = clock.wall();
    return { bytes: Buffer.from(text), storedAt: now, freshUntil: now + 1e6, keptUntil: now + 1e6, computeMs: 1, tags };
  };
  const set = (key: string, text: string, { tags = [], fence }: { tags?: string[]; fence?: Fence } = {}): void => {
    void guard.write([{ key, entry: entryOf(text, ...tags), fence }]);
  };
  const signal = new AbortController().signal;
  return {
    clock,
    store,
    guard,
    guardOf,
    log,
    entryOf,
    set,
    get: async (key: string, by = guard): Promise<string | undefined> => textIn((await by.read([key], []))?.entries[0]),
    /** What is really there. */
    there: async (key: string): Promise<string | undefined> =>
      textIn((await inner.getMany({ namespace: 'n', keys: [key], tags: [], signal })).entries[0]),
    fence: async (): Promise<Fence> => (await guard.read(['none'], []))?.fence,
    /** The calls of one operation, without its name. */
    calls: (operation: string): string[] => argumentsOf(store, operation),
  };
}

function textIn(entry: StoredEntry | 'unreadable' | undefined): string | undefined {
  return entry === undefined || entry === 'unreadable' ? entry : Buffer.from(entry.bytes).toString();
}

function argumentsOf({ calls }: ChaosStore, operation: string): string[] {
  return calls.filter((call) => call.startsWith(operation)).map((call) => call.slice(operation.length + 1));
}

/** Does what it is asked at once, and is that late with its answers. */
function slowToAnswer(
  store: CacheStore,
  ms: { setMany: number },
  clock: ReturnType<typeof createFakeClock>,
): CacheStore {
  return {
    name: store.name,
    getMany: (read) => store.getMany(read),
    async setMany(write) {
      const stored = await store.setMany(write);
      if (ms.setMany > 0) await new Promise<void>((resolve) => void clock.schedule(ms.setMany, resolve));
      return stored;
    },
    invalidate: (told) => store.invalidate(told),
  };
}

const deletion = (...keys: string[]): Invalidation => ({ type: 'delete', keys });
const expiry = (...keys: string[]): Invalidation => ({ type: 'expire', keys });
const ofTags = (...tags: string[]): Invalidation => ({ type: 'tags', tags });
const clear: Invalidation = { type: 'clear' };

describe('a read', () => {
  it('has what is there and not over, with the fence', async () => {
    const { guard, entryOf, clock } = setUp();
    void guard.write([
      { key: 'a', entry: entryOf('a'), fence: undefined },
      { key: 'over', entry: { ...entryOf('over'), keptUntil: clock.wall() + 10 }, fence: undefined },
    ]);
    await clock.advance(10);
    const answer = await guard.read(['a', 'none', 'over'], []);
    expect(answer?.entries.map(textIn)).toEqual(['a', undefined, undefined]);
    expect(answer?.fence).toBeDefined();
  });

  it.each([
    ['nothing', undefined],
    ['null', null],
    ['a list', []],
    ['no list', { entries: 'abc', fence: 1 }],
  ])('of a store that answers with %s has failed', async (_, answer) => {
    const { log, guardOf } = setUp();
    const guard = guardOf({ ...memoryStore(), getMany: async () => answer as never });
    expect([await guard.read(['a'], []), log]).toEqual([undefined, ['getMany failed']]);
  });

  it('has nothing where the answer is too short, and unreadable entries where they are none', async () => {
    const { guardOf, entryOf, log } = setUp();
    const whole = entryOf('whole', 'tag');
    const odd = [
      null,
      'text',
      5,
      {},
      { ...whole, bytes: 'text' },
      { ...whole, tags: undefined },
      { ...whole, freshUntil: Number.NaN },
    ];
    const guard = guardOf({ ...memoryStore(), getMany: async () => ({ entries: [whole, ...odd] as never, fence: 1 }) });
    const answer = await guard.read(
      Array.from({ length: 10 }, (_, index) => `key${index}`),
      [],
    );
    expect(answer?.entries.map(textIn)).toEqual([
      'whole',
      undefined,
      ...Array(6).fill('unreadable'),
      undefined,
      undefined,
    ]);
    expect(log).toEqual([]);
  });

  it.each([
    ['deletion', deletion('key')],
    ['expiry', expiry('key')],
    ['invalidation of its tag', ofTags('tag')],
    ['clear', clear],
  ])('that began before a %s was confirmed does not have what was there before', async (_, invalidation) => {
    const { guard, set, get, store, clock } = setUp();
    set('key', 'old', { tags: ['tag'] });
    await clock.settle();
    // In the store it takes effect after the read was answered there, and is confirmed before the answer comes.
    store.trouble(20, 'invalidate');
    store.trouble(40, 'getMany');
    const invalidating = guard.invalidate(invalidation);
    const reading = get('key');
    await clock.advance(40);
    expect([await invalidating, await reading]).toEqual([false, undefined]);
  });

  it('that began before a deferred deletion was told after all does not have what was there before', async () => {
    const { guard, set, get, store, clock } = setUp();
    set('key', 'old');
    await clock.settle();
    store.trouble('reject', 'invalidate');
    expect(await guard.invalidate(deletion('key'))).toBe(true);
    store.trouble(undefined);
    await clock.advance(990);
    store.trouble(30, 'getMany');
    const reading = get('key');
    await clock.advance(10); // it is told again
    expect(store.calls.at(-1)).toBe('invalidate delete key');
    await clock.advance(20);
    expect(await reading).toBeUndefined();
  });
});

describe('a write', () => {
  it.each([
    ['the older one takes longer', 40, 5],
    ['the newer one takes longer', 5, 40],
  ])('comes after the earlier one of its key: %s', async (_, olderMs, newerMs) => {
    const { set, store, clock, there } = setUp();
    store.trouble(olderMs, 'setMany');
    set('key', 'older');
    await clock.advance(1);
    store.trouble(newerMs, 'setMany');
    set('key', 'newer');
    await clock.advance(100);
    expect(await there('key')).toBe('newer');
  });

  it('of a value that was set takes the older one away when it fails, and only then', async () => {
    const { clock, store, set, get, there, fence } = setUp();
    set('key', 'old');
    set('computed', 'old');
    await clock.settle();
    const before = await fence();
    store.trouble('reject', 'setMany');
    set('key', 'new');
    set('computed', 'new', { fence: before });
    await clock.settle();
    expect([await there('key'), await get('key'), await there('computed')]).toEqual([undefined, undefined, 'old']);
  });

  it('of a value that was set is not undone by reads: while it is on its way they do not have the older one', async () => {
    const { clock, store, set, get } = setUp();
    set('key', 'old');
    await clock.settle();
    store.trouble(30, 'setMany');
    set('key', 'new');
    expect(await get('key')).toBeUndefined();
    await clock.advance(10);
    store.trouble(40, 'getMany');
    const reading = get('key');
    await clock.advance(50);
    expect(await reading).toBeUndefined();
    store.trouble(undefined);
    expect(await get('key')).toBe('new');
  });

  it.each([
    ['before it', 0],
    ['while it waits', 20],
  ])('of a value that was set leaves nothing older to stand in when its key is expired %s', async (_, writeMs) => {
    const { clock, store, set, guard, there } = setUp();
    set('key', 'old');
    await clock.settle();
    store.trouble(30, 'invalidate');
    store.trouble([writeMs], 'setMany');
    if (writeMs > 0) set('key', 'older');
    else void guard.invalidate(expiry('key'));
    set('key', 'new');
    if (writeMs > 0) void guard.invalidate(expiry('key'));
    await clock.advance(200);
    expect(await there('key')).toBeUndefined();
  });

  it('of a value that was computed leaves the older one to be read until it has landed', async () => {
    const { clock, store, set, get, fence } = setUp();
    set('key', 'old');
    await clock.settle();
    const before = await fence();
    store.trouble(30, 'setMany');
    set('key', 'new', { fence: before });
    expect(await get('key')).toBe('old');
    await clock.advance(30);
    expect(await get('key')).toBe('new');
  });

  it('waits for no other key', async () => {
    const { set, store, clock, there } = setUp();
    store.trouble([40, undefined], 'setMany');
    set('slow', 'slow');
    set('other', 'other');
    await clock.settle();
    expect([await there('slow'), await there('other')]).toEqual([undefined, 'other']);
  });

  it('is not made when a newer one of its key waits as well, be they a hundred thousand', async () => {
    const { set, store, clock, there, calls } = setUp();
    store.trouble([40], 'setMany');
    for (let time = 0; time < 100_000; time++) set('key', `${time}`);
    await clock.advance(40);
    expect([await there('key'), calls('setMany'), clock.pending]).toEqual(['99999', ['key', 'key'], 0]);
  });

  it('is not made when its key is deleted while it waits, and the deletion comes at once', async () => {
    const { set, guard, store, clock, there } = setUp();
    store.trouble([40], 'setMany');
    for (let time = 0; time < 10; time++) set('key', `${time}`);
    const deleting = guard.invalidate(deletion('key'));
    await clock.advance(40);
    expect([await deleting, await there('key')]).toEqual([false, undefined]);
    expect(store.calls).toEqual(['setMany key', 'invalidate delete key']);
  });

  it.each([
    ['the deletion of its key', deletion('key')],
    ['the invalidation of its tag', ofTags('tag')],
    ['a clear', clear],
  ])('without a fence is not overtaken by %s', async (_, invalidation) => {
    const { set, guard, store, clock, there } = setUp();
    store.trouble(30, 'setMany');
    set('key', 'old', { tags: ['tag'] });
    const invalidating = guard.invalidate(invalidation);
    await clock.advance(30);
    expect([await invalidating, await there('key')]).toEqual([false, undefined]);
  });

  it('with a fence does not hold up tags and clears: the store refuses it', async () => {
    const { set, guard, store, clock, there, fence } = setUp();
    const before = await fence();
    store.trouble(30, 'setMany');
    set('key', 'old', { tags: ['tag'], fence: before });
    expect(await guard.invalidate(ofTags('tag'))).toBe(false);
    await clock.advance(30);
    expect(await there('key')).toBeUndefined();
  });
});

describe('a write that lands after its deadline', () => {
  it('is deleted when it lands, since nobody knows whether it is still wanted', async () => {
    const { set, get, store, clock, there, log } = setUp();
    store.trouble([120], 'setMany');
    set('key', 'late');
    await clock.advance(119);
    expect([log, await there('key')]).toEqual([['setMany failed'], undefined]);
    await clock.advance(1);
    expect([await there('key'), await get('key'), store.calls]).toEqual([
      undefined,
      undefined,
      ['setMany key', 'invalidate delete key', 'getMany key'],
    ]);
  });

  it.each([
    ['deleted', deletion('key')],
    ['expired', expiry('key')],
    ['forgotten by its tag', ofTags('tag')],
    ['cleared', clear],
  ])(
    'is never served here once its key is %s, and the invalidation is deferred until then',
    async (_, invalidation) => {
      const clock = createFakeClock();
      const answering = { setMany: 30 };
      const { set, get, guard, store, there, calls } = setUp(slowToAnswer(memoryStore(), answering, clock), clock);
      store.trouble([80], 'setMany');
      set('key', 'old', { tags: ['tag'] });
      await clock.advance(60);
      expect(await guard.invalidate(invalidation)).toBe(true);
      await clock.advance(25);
      // It has landed, and the store has not said so yet.
      expect([await there('key'), await get('key')]).toEqual(['old', undefined]);
      await clock.advance(25);
      expect([await there('key'), await get('key'), calls('invalidate').at(-1)]).toEqual([
        undefined,
        undefined,
        'delete key',
      ]);
      answering.setMany = 0;
      set('key', 'new');
      await clock.settle();
      expect(await get('key')).toBe('new');
    },
  );

  it('defers no invalidation of a tag when it has a fence', async () => {
    const { set, guard, store, clock, fence } = setUp();
    const before = await fence();
    store.trouble([80], 'setMany');
    set('key', 'old', { tags: ['tag'], fence: before });
    await clock.advance(60);
    expect([await guard.invalidate(ofTags('tag')), await guard.invalidate(deletion('key'))]).toEqual([false, true]);
  });

  it('is deleted when it counts as lost, after 30 seconds', async () => {
    const { set, store, clock, calls, get } = setUp();
    store.trouble(['hang'], 'setMany');
    set('key', 'old');
    await clock.advance(29_999);
    expect(calls('invalidate')).toEqual([]);
    await clock.advance(1);
    expect([calls('invalidate'), await get('key'), clock.pending]).toEqual([['delete key'], undefined, 0]);
  });

  it('is not served after a newer one that it has replaced, and no other is made meanwhile', async () => {
    const clock = createFakeClock();
    const { set, get, store, there, calls } = setUp(slowToAnswer(memoryStore(), { setMany: 20 }, clock), clock);
    store.trouble([80], 'setMany');
    set('key', 'older');
    await clock.advance(55);
    set('key', 'newer');
    await clock.advance(30);
    expect([await there('key'), await get('key'), calls('setMany')]).toEqual(['older', undefined, ['key']]);
    await clock.advance(20);
    expect(await there('key')).toBeUndefined();
  });
});

describe('an invalidation', () => {
  it('is deferred after one store deadline, though it waits for a write first, and holds all the while', async () => {
    const { set, guard, get, store, clock, there, calls } = setUp();
    store.trouble([45], 'setMany');
    store.trouble([45], 'invalidate');
    set('key', 'old');
    const deleting = guard.invalidate(deletion('key'));
    await clock.advance(50);
    expect([await deleting, await there('key'), await get('key')]).toEqual([true, 'old', undefined]);
    await clock.advance(40);
    expect([await there('key'), calls('invalidate')]).toEqual([undefined, ['delete key']]);
    set('key', 'new');
    await clock.advance(100_000);
    expect([await get('key'), calls('invalidate')]).toEqual(['new', ['delete key']]);
  });

  it('waits for nothing and nobody when a hundred callers delete one key', async () => {
    const { guard, store, clock } = setUp();
    store.trouble(30, 'invalidate');
    const deleting = Promise.all(Array.from({ length: 100 }, () => guard.invalidate(deletion('key'))));
    await clock.advance(30);
    expect(await deleting).toEqual(Array(100).fill(false));
  });

  it('that is deferred is told again after a second, then after twice as long, up to 30 seconds', async () => {
    const { guard, store, clock } = setUp();
    const toldAt: number[] = [];
    store.trouble(() => {
      toldAt.push(clock.now() / 1_000);
      return 'reject';
    });
    expect(await guard.invalidate(deletion('key'))).toBe(true);
    await clock.advance(125_000);
    expect(toldAt).toEqual([0, 1, 3, 7, 15, 31, 61, 91, 121]);
    store.trouble(undefined);
    await clock.advance(30_000);
    expect(clock.pending).toBe(0);
    store.trouble('reject');
    await guard.invalidate(deletion('key'));
    store.trouble(undefined);
    await clock.advance(1_000); // soon again, the next time
    expect(clock.pending).toBe(0);
  });

  it('that is deferred is told as soon as reads show that the store is back', async () => {
    const { guard, store, clock, calls, get } = setUp();
    store.trouble('reject');
    for (let time = 0; time < 10; time++) expect(await guard.invalidate(deletion(`key ${time}`))).toBe(true);
    for (let time = 0; time < 40; time++) {
      await get('key');
      await clock.advance(1_700);
    }
    store.trouble(undefined);
    for (let time = 0; time < 31 && !guard.isAway; time++) await clock.advance(1_000);
    const before = calls('invalidate').length;
    while (guard.isAway) await clock.advance(100);
    await get('key');
    await clock.settle();
    await clock.advance(1);
    expect(calls('invalidate').length).toBe(before + 1);
    expect(await guard.invalidate(deletion('other'))).toBe(false);
  });

  it.each([
    ['a deletion', deletion('key'), undefined],
    ['an expiry', expiry('key'), 'old'],
    ['one of a tag', ofTags('tag'), undefined],
    ['a clear', clear, undefined],
  ])('that is deferred, %s, covers what is there until the store is back and told', async (_, invalidation, left) => {
    const { guard, set, get, store, clock, there } = setUp();
    set('key', 'old', { tags: ['tag'] });
    set('unrelated', 'stays');
    await clock.settle();
    store.trouble('reject', 'invalidate');
    expect(await guard.invalidate(invalidation)).toBe(true);
    await clock.advance(10_000);
    expect([await there('key'), await get('key')]).toEqual(['old', undefined]);
    expect(await get('unrelated')).toBe(invalidation === clear ? undefined : 'stays');
    store.trouble(undefined);
    await clock.advance(30_000);
    expect([await there('key'), await get('key'), clock.pending]).toEqual([left, left, 0]);
  });

  it('says what is deferred in as few calls as it takes, the last one of each key', async () => {
    const { guard, store, clock, calls } = setUp();
    store.trouble('reject', 'invalidate');
    await guard.invalidate(expiry('a', 'b'));
    await guard.invalidate(deletion('b', 'c'));
    await guard.invalidate(ofTags('t', 'u'));
    await guard.invalidate(ofTags('u', 'v'));
    store.trouble(undefined);
    await clock.advance(1_000);
    expect(calls('invalidate').slice(4)).toEqual(['delete b c', 'expire a', 'tags t u v']);
  });

  it('becomes a clear past 10,000 names, also when the store is back before they are told again', async () => {
    const { guard, set, get, store, clock, there, calls } = setUp();
    set('key0', 'old');
    await clock.settle();
    store.trouble('reject', 'invalidate');
    await guard.invalidate(deletion(...Array.from({ length: 10_000 }, (_, index) => `key${index}`)));
    store.trouble(undefined);
    expect(await guard.invalidate(deletion('one more'))).toBe(false);
    expect([calls('invalidate').at(-1), await there('key0'), await get('key0')]).toEqual([
      'clear',
      undefined,
      undefined,
    ]);
  });

  it('holds on to a bounded number of names, however many are deferred', async () => {
    const { guard, store, clock, calls } = setUp();
    store.trouble('hang', 'invalidate');
    let isDeferred = true;
    for (let call = 0; call < 100; call++) {
      const keys = Array.from({ length: 1_000 }, (_, index) => `key${call * 1_000 + index}`);
      void guard.invalidate(deletion(...keys)).then((deferred) => {
        isDeferred &&= deferred;
      });
    }
    await clock.advance(50);
    expect([isDeferred, calls('invalidate').length]).toEqual([true, 100]);
    store.trouble(undefined);
    await clock.advance(60_000);
    expect([calls('invalidate').slice(100), clock.pending]).toEqual([['clear'], 0]);
  });

  it('of ten thousand keys is told again a thousand at a time, so that a slow store can follow', async () => {
    const { guard, store, clock, calls } = setUp();
    store.trouble('reject', 'invalidate');
    const keys = Array.from({ length: 10_000 }, (_, index) => `key${index}`);
    await guard.invalidate(deletion(...keys));
    store.trouble(40, 'invalidate');
    await clock.advance(1_400);
    const told = calls('invalidate')
      .slice(1)
      .map((call) => call.split(' ').length - 1);
    expect([told, clock.pending]).toEqual([Array(10).fill(1_000), 0]);
  });
});

describe('a store that expires by reading and writing again', () => {
  function slowKeyv(clock: ReturnType<typeof createFakeClock>, setMs: number[]) {
    const texts = new Map<string, string>();
    return {
      get: async (key: string) => texts.get(key),
      async set(key: string, value: string) {
        const ms = setMs.shift() ?? 0;
        if (ms > 0) await new Promise<void>((resolve) => void clock.schedule(ms, resolve));
        texts.set(key, value);
      },
      delete: async (key: string) => texts.delete(key),
    };
  }

  it.each([
    ['in time', 30, false],
    ['after its deadline', 80, true],
  ])('brings nothing back that is deleted while the expiry is under way and lands %s', async (_, setMs, isDeferred) => {
    const clock = createFakeClock();
    const latencies: number[] = [];
    const { set, guard, there } = setUp(keyvStore(slowKeyv(clock, latencies), { clock }), clock);
    set('key', 'old');
    await clock.settle();
    expect(await there('key')).toBe('old');
    latencies.push(setMs);
    void guard.invalidate(expiry('key'));
    await clock.advance(5);
    const deleting = guard.invalidate(deletion('key'));
    await clock.advance(100);
    expect([await deleting, await there('key')]).toEqual([isDeferred, undefined]);
  });
});

describe('closing', () => {
  it('waits for writes, those that wait for others included, and no longer than one deadline', async () => {
    const { set, guard, store, clock, there } = setUp();
    store.trouble(20, 'setMany');
    set('key', 'first');
    set('key', 'second');
    const closedAt = guard.close().then(() => clock.now());
    await clock.advance(100);
    expect([await closedAt, await there('key')]).toEqual([40, 'second']);
    const other = setUp();
    other.store.trouble(45, 'setMany');
    other.set('key', 'first');
    other.set('key', 'second');
    const otherClosedAt = other.guard.close().then(() => other.clock.now());
    await other.clock.advance(100);
    expect(await otherClosedAt).toBe(50);
  });

  it('ends the repetition of what is deferred, also in the middle of it', async () => {
    const { guard, store, clock, calls } = setUp();
    store.trouble('reject', 'invalidate');
    await guard.invalidate(deletion('key'));
    await guard.invalidate(ofTags('tag'));
    store.trouble(30, 'invalidate');
    await clock.advance(1_010); // the first is told again
    await guard.close();
    await clock.advance(100_000);
    expect([calls('invalidate').slice(2), clock.pending]).toEqual([['delete key'], 0]);
    store.trouble('reject', 'invalidate');
    expect(await guard.invalidate(deletion('key'))).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it('closes the feed', async () => {
    const { guardOf } = setUp();
    let isClosed = false;
    const feed: StoreFeed = {
      poll: () => undefined,
      close() {
        isClosed = true;
      },
    };
    await guardOf({ ...memoryStore(), openFeed: () => feed }).close();
    expect(isClosed).toBe(true);
  });
});

describe('the feed', () => {
  it('says what others invalidate; a failure is a gap, said once, and so is its end', () => {
    const { guardOf, log } = setUp();
    const news: ((() => never) | Invalidation[] | undefined)[] = [];
    const poll = (): Invalidation[] | undefined => {
      const next = news.shift();
      return typeof next === 'function' ? next() : next;
    };
    const guard = guardOf({ ...memoryStore(), openFeed: () => ({ poll, close() {} }) });
    const fails = (): never => {
      throw new Error('the connection is gone');
    };
    news.push(undefined, [deletion('a')], fails, fails, fails, [deletion('b')], [deletion('c')], fails, undefined);
    expect(Array.from({ length: 10 }, () => guard.poll())).toEqual([
      undefined,
      [deletion('a')],
      'gap',
      undefined,
      undefined,
      'gap',
      [deletion('c')],
      'gap',
      'gap',
      undefined,
    ]);
    expect([log, guard.hasFeed]).toEqual([['poll failed', 'poll failed'], true]);
  });

  it('may be none', () => {
    const { name, getMany, setMany, invalidate } = memoryStore();
    const guard = setUp().guardOf({ name, getMany, setMany, invalidate });
    expect([guard.hasFeed, guard.poll()]).toEqual([false, undefined]);
  });
});
