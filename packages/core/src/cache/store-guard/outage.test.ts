import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { setUpWithStore, watch } from '../../../test/cache-set-up.js';
import { type ChaosStore, createFakeClock, type Trouble } from '../../testing/index.js';
import { type CacheStore, createCache } from '../index.js';

/** A cache over a store that had 'known' in it already, and what its calls cost. */
async function setUp(options: Parameters<typeof setUpWithStore>[0] = {}) {
  const all = setUpWithStore(options);
  const { cache, clock, store, another, log } = all;
  const known = Array.from({ length: 50 }, (_, index) => `known${index}`);
  await another().cache.setMany(known.map((key) => [key, key]));
  await clock.settle();
  let asked = 0;
  /** One call for a key that nobody has asked for. @returns how long it took, and how many calls to the store it made */
  const ask = async (computeMs = 0): Promise<{ waitMs: number; storeCalls: number }> => {
    const [calledAt, callsBefore] = [clock.now(), store.calls.length];
    const key = `asked${asked++}`;
    const doneAt = cache
      .getOrSet(key, async () => {
        if (computeMs > 0) await new Promise<void>((resolve) => void clock.schedule(computeMs, resolve));
        return key;
      })
      .then((value) => {
        expect(value).toBe(key);
        return clock.now();
      });
    const isDone = watch(doneAt);
    await clock.settle();
    if (isDone.outcome() === 'pending') await clock.advance(50 + computeMs);
    return { waitMs: (await doneAt) - calledAt - computeMs, storeCalls: store.calls.length - callsBefore };
  };
  const askTimes = async (times: number): Promise<{ waitMs: number; storeCalls: number }[]> => {
    const costs = [];
    for (let time = 0; time < times; time++) costs.push(await ask());
    return costs;
  };
  return {
    ...all,
    ask,
    askTimes,
    /** Where a value comes from that only the store has. */
    levelOf: async (index: number): Promise<string> => (await cache.resolve(`known${index}`, () => 'computed')).level,
    said: (type: string): string[] =>
      log.filter((line) => line.startsWith(type)).map((line) => line.slice(type.length + 1)),
    made: (operation: string): number => madeOf(store, operation),
  };
}

function madeOf({ calls }: ChaosStore, operation: string): number {
  return calls.filter((call) => call.startsWith(operation)).length;
}

describe('a store that is', () => {
  it.each<[string, Trouble, number]>([
    ['frozen', 'hang', 50],
    ['a little too slow', 50.1, 50],
    ['far too slow', 5_000, 50],
    ['refusing', 'reject', 0],
    ['throwing', 'throw', 0],
  ])('%s costs five calls one deadline at most, and then nothing', async (_, trouble, deadlineMs) => {
    const { askTimes, store, said, cache } = await setUp();
    await cache.set('in memory', 'hit');
    store.trouble(trouble);
    const costs = await askTimes(10);
    expect(costs.map(({ waitMs }) => waitMs)).toEqual([...Array(5).fill(deadlineMs), ...Array(5).fill(0)]);
    expect(costs.map(({ storeCalls }) => storeCalls)).toEqual([...Array(5).fill(1), ...Array(5).fill(0)]);
    expect([said('cache.store-failed'), said('cache.store-state')]).toEqual([
      Array(5).fill('getMany'),
      ['reading open'],
    ]);
    const before = store.calls.length;
    for (let hit = 0; hit < 100; hit++) expect(await cache.getOrSet('in memory', () => 'computed')).toBe('hit');
    expect(store.calls.length).toBe(before);
  });

  it('just fast enough is used, and nothing is said', async () => {
    const { cache, clock, store, said } = await setUp();
    store.trouble(49.9);
    const levels: Promise<string>[] = [];
    for (let index = 0; index < 30; index++) {
      levels.push(cache.resolve(`known${index}`, () => 'computed').then(({ level }) => level));
      await clock.advance(49.9);
    }
    expect(await Promise.all(levels)).toEqual(Array(30).fill('store'));
    expect([said('cache.store-failed'), said('cache.store-state')]).toEqual([[], []]);
  });

  it('frozen is tried by one call after 1 s, 2 s, 4 s and so on, up to every 30 s, and used again once it answers', async () => {
    const { ask, clock, store, said, levelOf, made } = await setUp();
    store.trouble('hang');
    const triedAt: number[] = [];
    for (let second = 0; second < 125; second += 0.25) {
      const before = made('getMany');
      await Promise.all([ask(), ask(), ask()]);
      if (made('getMany') > before) triedAt.push(Math.floor(second));
      await clock.advance(250 - (clock.now() % 250));
    }
    expect(triedAt.length).toBeLessThanOrEqual(15);
    const pauses = triedAt.slice(1).map((at, index) => at - (triedAt[index] ?? 0));
    expect(pauses.slice(-3).every((pause) => pause >= 30)).toBe(true);
    const state = said('cache.store-state');
    expect([state[0], state.at(-1)]).toEqual(['reading open', 'reading open']);
    expect(state.slice(1)).toEqual(
      Array.from({ length: state.length - 1 }, (_, index) => (index % 2 ? 'reading open' : 'reading half-open')),
    );
    store.trouble(undefined);
    await clock.advance(30_000);
    expect([await levelOf(0), await levelOf(1)]).toEqual(['store', 'store']);
    expect(said('cache.store-state').slice(-2)).toEqual(['reading half-open', 'reading closed']);
  });

  it('full is read as before, and says so once: neither writes nor invalidations that fail are in the way', async () => {
    const { ask, cache, clock, store, said, levelOf, made } = await setUp();
    store.trouble('full');
    for (let index = 0; index < 20; index++) {
      expect((await ask()).waitMs).toBe(0);
      expect(await cache.invalidateTags([`tag${index}`])).toEqual({ deferred: true });
      expect(await levelOf(index)).toBe('store');
    }
    expect([made('setMany'), said('cache.store-state')]).toEqual([5, ['writing open']]);
    expect(said('cache.store-failed').filter((operation) => operation === 'getMany')).toEqual([]);
    store.trouble(undefined);
    await clock.advance(30_000);
    await ask();
    await clock.advance(30_000);
    expect([said('cache.store-state').slice(1), clock.pending]).toEqual([['writing half-open', 'writing closed'], 0]);
  });

  it('flapping, every other call, costs ten deadlines at a time, and ever more seldom', async () => {
    const { ask, clock, store } = await setUp();
    let calls = 0;
    store.trouble(() => (calls++ % 2 ? undefined : 'hang'), 'getMany');
    const waitsByMinute: number[] = [];
    for (let minute = 0; minute < 5; minute++) {
      const endsAt = clock.now() + 60_000;
      const waits: number[] = [];
      while (clock.now() < endsAt) {
        waits.push((await ask()).waitMs);
        await clock.advance(100);
      }
      expect(Math.max(...waits)).toBe(50);
      waitsByMinute.push(waits.filter((ms) => ms > 0).length);
    }
    expect(waitsByMinute[0]).toBeLessThanOrEqual(60);
    expect(waitsByMinute.at(-1)).toBeLessThanOrEqual(30);
  });

  it('in any trouble at any time fails no call, holds none up for longer than one deadline, and is used again in the end', async () => {
    const trouble = fc.constantFrom<Trouble | undefined>(undefined, 'hang', 'reject', 'throw', 'full', 10, 49, 51, 200);
    const step = fc.record({
      troubles: fc.array(trouble, { minLength: 1, maxLength: 5 }),
      asks: fc.nat(8),
      computeMs: fc.constantFrom(0, 20),
      next: fc.constantFrom('delete', 'expire', 'tags', 'clear', 'set', 'nothing'),
      pauseMs: fc.constantFrom(0, 100, 1_000, 31_000),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const { ask, cache, clock, store, levelOf } = await setUp({ ttl: '1h' });
        const invalidate = {
          delete: () => cache.delete('key'),
          expire: () => cache.expire('key'),
          tags: () => cache.invalidateTags(['tag']),
          clear: () => cache.invalidateTags(['another']),
          set: () => cache.set('key', 'value'),
          nothing: async () => {},
        };
        for (const each of steps) {
          let calls = 0;
          store.trouble(() => each.troubles[calls++ % each.troubles.length]);
          for (let time = 0; time < each.asks; time++) {
            expect((await ask(each.computeMs)).waitMs).toBeLessThanOrEqual(50);
          }
          const calledAt = clock.now();
          const doneAt = invalidate[each.next]().then(() => clock.now());
          await clock.advance(50);
          expect((await doneAt) - calledAt).toBeLessThanOrEqual(50);
          await clock.advance(each.pauseMs);
        }
        store.trouble(undefined);
        await clock.advance(62_000);
        expect([await levelOf(0), await levelOf(1)]).toEqual(['store', 'store']);
        const before = store.calls.length;
        await ask();
        expect(store.calls.slice(before).map((call) => call.split(' ')[0])).toEqual([
          'getMany',
          'acquire',
          'setMany',
          'acquire',
        ]);
        await cache.close();
        expect(clock.pending).toBe(0);
      }),
      { numRuns: 100 },
    );
  }, 60_000);
});

describe('calls against a store that never answers', () => {
  it('of twenty thousand turns a thousand wait for it, the others for nothing', async () => {
    const { cache, clock, store, said } = await setUp();
    store.trouble('hang');
    const doneAt: number[] = [];
    const calls: Promise<void>[] = [];
    for (let index = 0; index < 20_000; index++) {
      const done = (value: number): void => {
        expect(value).toBe(index);
        doneAt.push(clock.now());
      };
      calls.push(cache.getOrSet(index, () => index).then(done));
      await Promise.resolve(); // what is asked in one turn is one call
      await Promise.resolve();
    }
    await clock.settle();
    expect([doneAt.length, store.calls.length]).toEqual([19_000, 1_000]);
    expect(clock.pending).toBe(2_000); // a deadline each, and when it counts as lost
    await clock.advance(50);
    await Promise.all(calls);
    expect([doneAt.filter((at) => at > 0).length, Math.max(...doneAt)]).toEqual([1_000, 50]);
    expect(said('cache.store-state')).toEqual(['reading open']);
    await clock.advance(30_000);
    expect(clock.pending).toBe(0);
  }, 30_000);

  it('a hundred thousand in a quarter of an hour: neither timers nor memory pile up', async () => {
    const clock = createFakeClock();
    const never = (): Promise<never> => new Promise(() => {});
    const store: CacheStore = { name: 'frozen', getMany: never, setMany: never, invalidate: never };
    const cache = createCache({ name: 'test', clock, store, maxEntries: 10, ttl: '1m' });
    const collectGarbage = garbageCollector();
    const heap: number[] = [];
    let mostPending = 0;
    for (let round = 0; round < 10; round++) {
      for (let call = 0; call < 1_000; call++) {
        const key = round * 1_000 + call;
        const work = [
          cache.getOrSet(key, () => key),
          cache.getOrSet(-key, () => key, { tags: [`tag${key}`] }),
          cache.get(`other${key}`),
          cache.set(`set${key}`, key),
          cache.delete(`deleted${key}`),
          cache.expire(`expired${key}`),
          cache.invalidateTags([`tag${key}`]),
          cache.getMany([key, -key, `more${key}`]),
          cache.getOrSet(key, () => key),
          cache.set(`set${key}`, key),
        ];
        await clock.advance(100);
        await Promise.all(work);
        mostPending = Math.max(mostPending, clock.pending);
      }
      collectGarbage();
      heap.push(process.memoryUsage().heapUsed / 1e6);
    }
    expect(mostPending).toBeLessThan(50);
    expect((heap.at(-1) ?? 0) - (heap[2] ?? 0)).toBeLessThan(12);
  }, 120_000);
});

function garbageCollector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
