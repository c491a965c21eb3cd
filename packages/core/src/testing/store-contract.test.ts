import { describe, expect, it } from 'vitest';
import type { CacheStore, StoredEntry, StoreFeed } from '../cache/index.js';
import { type MemoryStore, memoryStore, type StorePair, storeContract } from './index.js';

const makePair = (): StorePair => {
  const store = memoryStore();
  return [store, store.peer()];
};

describe('the contract, kept by memoryStore', () => {
  for (const { name, run } of storeContract(() => memoryStore(), { makePair })) it(name, run);
});

/** The cases that a store fails; each of the pair is broken alike. */
async function failures(breakIt: (store: MemoryStore) => Partial<CacheStore>): Promise<string[]> {
  const broken = (store: MemoryStore): CacheStore => ({ ...store, ...breakIt(store) });
  const failed: string[] = [];
  const pair = (): StorePair => {
    const store = memoryStore();
    return [broken(store), broken(store.peer())];
  };
  for (const { name, run } of storeContract(() => broken(memoryStore()), { makePair: pair, newsWithinMs: 10 })) {
    await run().catch(() => failed.push(name));
  }
  return failed;
}

const entriesOf = (change: (entry: StoredEntry) => StoredEntry | undefined) => (store: CacheStore) => ({
  getMany: async (read: Parameters<CacheStore['getMany']>[0]) => {
    const answer = await store.getMany(read);
    const entries = answer.entries.map((entry) => (typeof entry === 'object' ? change(entry) : entry));
    return { ...answer, entries };
  },
});

describe('the contract itself', () => {
  it('has one name for each case, and more cases for a store that says it can do more', () => {
    const all = storeContract(() => memoryStore(), { makePair, damage: () => {} });
    const names = all.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(storeContract(() => memoryStore(), { fencesKeys: false }).length).toBeLessThan(
      storeContract(() => memoryStore()).length,
    );
  });

  it.each<[string, (store: MemoryStore) => Partial<CacheStore>, string]>([
    [
      'forgets',
      entriesOf(() => undefined),
      'keeps the last of two entries of one key, set one after the other or in one call',
    ],
    ['never forgets', () => ({ invalidate: async () => {} }), 'forgets deleted keys, and only those'],
    [
      'forgets too much',
      (store) => ({ invalidate: (call) => store.invalidate({ ...call, invalidation: { type: 'clear' } }) }),
      'forgets deleted keys, and only those',
    ],
    [
      'forgets what was to be kept to stand in',
      (store) => ({
        invalidate: ({ invalidation: what, ...call }) =>
          store.invalidate({ ...call, invalidation: what.type === 'expire' ? { ...what, type: 'delete' } : what }),
      }),
      'keeps an expired entry to stand in: the same but for its freshUntil, which is 0',
    ],
    [
      'ignores fences',
      (store) => ({
        setMany: (write) =>
          store.setMany({ ...write, entries: write.entries.map((each) => ({ ...each, fence: undefined })) }),
      }),
      'never serves what was computed before a tag that computing it has named and set after it',
    ],
    [
      'refuses whatever has a fence',
      (store) => ({
        setMany: async (write) => {
          const free = write.entries.filter(({ fence }) => fence === undefined);
          await store.setMany({ ...write, entries: free });
          return write.entries.map(({ fence }) => fence === undefined);
        },
      }),
      'takes an entry when nothing was invalidated since its fence',
    ],
    [
      'has one fence for all namespaces',
      (store) => ({
        invalidate: async (call) => {
          await store.invalidate(call);
          if (call.namespace !== 'contract') await store.invalidate({ ...call, namespace: 'contract' });
        },
      }),
      'takes an entry though others were invalidated since its fence',
    ],
    [
      'leaks between namespaces',
      (store) => ({
        getMany: (read) => store.getMany({ ...read, namespace: 'one' }),
        setMany: (write) => store.setMany({ ...write, namespace: 'one' }),
        invalidate: (call) => store.invalidate({ ...call, namespace: 'one' }),
      }),
      'invalidates in one namespace only',
    ],
    [
      'answers in the order of its own',
      (store) => ({ getMany: (read) => store.getMany({ ...read, keys: read.keys.toSorted() }) }),
      'answers in the order of the keys, with undefined for those that are missing',
    ],
    [
      'takes keys for equal that differ in case',
      (store) => ({
        getMany: (read) => store.getMany({ ...read, keys: read.keys.map((key) => key.toLowerCase()) }),
        setMany: (write) =>
          store.setMany({ ...write, entries: write.entries.map((each) => ({ ...each, key: each.key.toLowerCase() })) }),
      }),
      'keeps keys apart that differ in one character, in case, in length or at their ends',
    ],
    [
      'rounds times',
      entriesOf((entry) => ({ ...entry, storedAt: Math.round(entry.storedAt) })),
      'keeps the fractions of times, and a time of 0',
    ],
    [
      'takes bytes for text',
      entriesOf((entry) => ({ ...entry, bytes: Buffer.from(Buffer.from(entry.bytes).toString()) })),
      'keeps bytes that are no text whole',
    ],
    [
      'loses tags',
      entriesOf((entry) => ({ ...entry, tags: [] })),
      'gives back the entry that was set, with its times and tags',
    ],
    [
      'says stored of everything',
      (store) => ({
        setMany: async (write) => {
          await store.setMany(write);
          return [];
        },
      }),
      'takes many entries in one call, and gives them back in one',
    ],
    [
      'has a feed that says nothing',
      () => ({ openFeed: (): StoreFeed => ({ poll: () => undefined, close: () => {} }) }),
      'hears of every invalidation by another, once',
    ],
    [
      'has a feed that repeats itself',
      () => ({ openFeed: (): StoreFeed => ({ poll: () => [{ type: 'clear' }], close: () => {} }) }),
      'hears of every invalidation by another, once',
    ],
  ])('catches a store that %s', async (_, breakIt, failed) => {
    expect(await failures(breakIt)).toContain(failed);
  });

  it('catches a store that reads a missing marker as one that never changed', async () => {
    // Tags as counters, of which those are forgotten that are back at their limit.
    expect(await failures(countersThatAreLost)).toContain(
      'never has an entry again that a tag has forgotten, however often the tag is invalidated',
    );
  });

  it('asks of what is damaged that it is called so', async () => {
    const cases = storeContract(() => memoryStore(), { damage: () => {} });
    const failed: string[] = [];
    for (const { name, run } of cases) await run().catch(() => failed.push(name));
    expect(failed).toEqual(['calls what is damaged unreadable, and nothing else']);
  });

  it('asks of a store without fences for keys what it can keep, no more', async () => {
    const store = (): CacheStore => {
      const inner = memoryStore();
      const keep: CacheStore['setMany'] = async (write) => {
        const { fence } = await inner.getMany({ ...write, keys: [], tags: [] });
        return inner.setMany({ ...write, entries: write.entries.map((each) => ({ ...each, fence })) });
      };
      return { ...inner, setMany: keep };
    };
    const failed: string[] = [];
    for (const { name, run } of storeContract(store, { fencesKeys: false })) await run().catch(() => failed.push(name));
    expect(failed.length).toBeGreaterThan(0);
    expect(failed.filter((name) => /deletion|expiry/.test(name))).toEqual([]);
  });
});

/** A store whose tags are counters, kept beside the entries, and whose counters begin at 0 again when they are lost. */
function countersThatAreLost(): Partial<CacheStore> {
  const counters = new Map<string, number>();
  const entries = new Map<string, { entry: StoredEntry; counts: number[] }>();
  const countsOf = ({ tags }: StoredEntry): number[] => tags.map((tag) => counters.get(tag) ?? 0);
  return {
    getMany: async ({ keys }) => ({
      entries: keys.map((key) => {
        const known = entries.get(key);
        return known && String(known.counts) === String(countsOf(known.entry)) ? known.entry : undefined;
      }),
      fence: undefined,
    }),
    setMany: async ({ entries: writes }) =>
      writes.map(({ key, entry }) => {
        entries.set(key, { entry, counts: countsOf(entry) });
        return true;
      }),
    invalidate: async ({ invalidation }) => {
      if (invalidation.type !== 'tags') return;
      for (const tag of invalidation.tags) {
        const count = (counters.get(tag) ?? 0) + 1;
        if (count < 8) counters.set(tag, count);
        else counters.delete(tag);
      }
    },
  };
}
