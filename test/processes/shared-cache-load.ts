import { setTimeout as pause } from 'node:timers/promises';
import {
  type Cache,
  type CacheLevel,
  type CacheStore,
  type Computation,
  createCache,
  type Invalidated,
} from '@warmpath/core/cache';
import { seededRandom } from '@warmpath/core/kernel';
import { type RedisConnect, redisStore } from '@warmpath/core/redis';
import type { ChangeWay, ReadWay, Seen, Source, StoreCallName } from './shared-cache-seen.js';

/**
 * One process of a few on one Redis, for test/shared-cache-faults.test.ts: it reads, computes and invalidates, and writes down
 * what it saw. Times are milliseconds of the machine's monotonic clock, which all processes share. So the source of a key
 * needs nobody to keep it: a value says when its source was read, and an invalidation says that the source has changed
 * just before it was called.
 */
export interface LoadOptions {
  readonly connection: RedisConnect;
  readonly seed: number;
  readonly staleWindowMs: number;
  readonly leaseTtlMs: number;
}

const busyCount = 50;
/** These are invalidated so seldom that whoever fails to is not helped by doing it again. */
const rareCount = 100;
const keyCount = busyCount + rareCount;
const tagCount = 10;
const tagOf = (key: number): string => (key < busyCount ? `tag:${key % tagCount}` : 'rare');

const clients = 4;
const longestThoughtMs = 20;
const stallMs = 4;

let seen: Seen[] = [];
const say = (what: Seen): void => {
  seen.push(what);
};

/** The machine's monotonic clock, which all processes share. */
const now = (): number => Number(process.hrtime.bigint()) / 1e6;

/** What the store is asked for is written down, with the names of what is invalidated. */
function watchedStore(store: CacheStore, ids: readonly string[]): CacheStore {
  const { leasing } = store;
  const watch = async <T>(call: StoreCallName, names: readonly string[], asked: () => Promise<T>): Promise<T> => {
    const from = now();
    try {
      const answer = await asked();
      say({ type: 'store', call, names, from, to: now(), error: undefined });
      return answer;
    } catch (error) {
      say({ type: 'store', call, names, from, to: now(), error: String(error) });
      throw error;
    }
  };
  return {
    name: store.name,
    getMany: (read) => watch('getMany', [], () => store.getMany(read)),
    setMany: (write) => {
      const set = write.entries.flatMap(({ key, fence }) => (fence === undefined ? [key] : []));
      return watch('setMany', set, () => store.setMany(write));
    },
    invalidate: (request) => {
      const { invalidation } = request;
      const names = 'keys' in invalidation ? invalidation.keys : 'tags' in invalidation ? invalidation.tags : ['*'];
      return watch('invalidate', names, () => store.invalidate(request));
    },
    ...(leasing && {
      leasing: {
        acquire: async (request) => {
          const from = now();
          const leases = await watch('acquire', [], () => leasing.acquire(request));
          const held = request.keys.filter((_, index) => leases.outcomes[index] === 'held');
          if (held.length > 0) say({ type: 'held', keys: held.map((id) => ids.indexOf(id)), from, to: now() });
          return leases;
        },
        renew: (hold) => leasing.renew(hold),
        release: (hold) => leasing.release(hold),
      },
    }),
    openFeed: (namespace) => {
      const feed = store.openFeed?.(namespace);
      if (!feed) throw new Error('This store has a feed');
      return feed;
    },
  };
}

/** What the store calls each key from 0 on. */
async function idsOfKeys(keyCount: number): Promise<readonly string[]> {
  const ids: string[] = [];
  const store: CacheStore = {
    name: 'names',
    getMany: async ({ keys }) => ({ entries: keys.map(() => undefined), fence: undefined }),
    setMany: async ({ entries }) => entries.map(() => false),
    invalidate: async ({ invalidation }) => {
      if ('keys' in invalidation && invalidation.keys[0]) ids.push(invalidation.keys[0]);
    },
  };
  const cache = createCache({ name: 'ids', store });
  for (let key = 0; key < keyCount; key++) await cache.delete(key);
  return ids;
}

class Load {
  readonly #cache: Cache;
  readonly #random: () => number;
  readonly #ids: readonly string[];

  constructor(cache: Cache, seed: number, ids: readonly string[]) {
    this.#cache = cache;
    this.#random = seededRandom(seed);
    this.#ids = ids;
  }

  async work(): Promise<never> {
    for (;;) {
      await pause(this.#random() * longestThoughtMs);
      await this.#call();
    }
  }

  #call(): Promise<void> {
    const cache = this.#cache;
    const key = this.#random() < 0.35 ? busyCount + this.#pick(rareCount) : this.#pick(busyCount);
    const busy = this.#pick(busyCount);
    const roll = this.#random() * 100;
    if (roll < 48) {
      return this.#read('resolve', [key], async () => [
        await cache.resolve(key, async (computation) => this.#one(await this.#compute([key], computation)), {
          tags: this.#tagsKnown([key]),
        }),
      ]);
    }
    if (roll < 60) return this.#read('peek', [key], async () => [asResult(cache.peek<Source>(key))]);
    if (roll < 65) return this.#read('get', [key], async () => [await cache.get<Source>(key)]);
    const keys = Array.from({ length: 6 }, () => this.#pick(busyCount));
    if (roll < 75) return this.#read('getMany', keys, () => cache.getMany<Source>(keys));
    if (roll < 85) {
      return this.#read('getOrSetMany', keys, async () => {
        const compute = (missing: readonly number[], computation: Computation) => this.#compute(missing, computation);
        return (await cache.getOrSetMany(keys, compute)).map(asResult);
      });
    }
    const names = [this.#ids[key] ?? ''];
    if (roll < 90) return this.#change('delete', [key], names, () => cache.delete(key));
    if (roll < 93) return this.#change('expire', [key], names, () => cache.expire(key));
    if (roll < 96) {
      const ofTag = Array.from({ length: busyCount }, (_, each) => each).filter((each) => tagOf(each) === tagOf(busy));
      return this.#change('tags', ofTag, [tagOf(busy)], () => cache.invalidateTags([tagOf(busy)]));
    }
    return this.#change('set', [busy], [this.#ids[busy] ?? ''], (readAt) => {
      const value: Source = { key: busy, readAt, setBy: process.pid };
      return cache.set(busy, value, { tags: [tagOf(busy)] });
    });
  }

  async #compute(keys: readonly number[], computation: Computation): Promise<Source[]> {
    const from = now();
    await pause(5 + this.#random() * 45);
    computation.addTags(...keys.map(tagOf));
    say({ type: 'computed', keys, from, to: now() });
    return keys.map((key) => ({ key, readAt: from }));
  }

  async #read(
    way: ReadWay,
    keys: readonly number[],
    call: () => Promise<readonly (Result | undefined)[]>,
  ): Promise<void> {
    const from = now();
    try {
      const results = await call();
      const to = now();
      const gots = results.flatMap((result) =>
        result ? [{ ...result.value, level: result.level, isStale: result.stale !== false }] : [],
      );
      say({ type: 'read', way, keys, from, to, gots, error: undefined });
    } catch (error) {
      say({ type: 'read', way, keys, from, to: now(), gots: [], error: String(error) });
    }
  }

  async #change(
    way: ChangeWay,
    keys: readonly number[],
    names: readonly string[],
    call: (at: number) => Promise<unknown>,
  ): Promise<void> {
    const from = now();
    try {
      const done = await call(from);
      // A value that is set is on its way to the store when the call returns.
      const deferred = way === 'set' || (done as Invalidated).deferred;
      say({ type: 'change', way, keys, names, from, to: now(), deferred, error: undefined });
    } catch (error) {
      say({ type: 'change', way, keys, names, from, to: now(), deferred: true, error: String(error) });
    }
  }

  /** Half of the tags are named by the computation alone. */
  #tagsKnown(keys: readonly number[]): readonly string[] {
    return this.#random() < 0.5 ? keys.map(tagOf) : [];
  }

  #one(values: readonly Source[]): Source {
    const [value] = values;
    if (!value) throw new Error('One key has one value');
    return value;
  }

  #pick(below: number): number {
    return Math.floor(this.#random() * below);
  }
}

interface Result {
  readonly value: Source;
  readonly level?: CacheLevel;
  readonly stale?: false | string;
}

function asResult(value: Source | undefined): Result | undefined {
  return value && { value };
}

/** What takes longer because the machine has no time for this process is nobody's fault. */
function watchStalls(): void {
  let last = now();
  setInterval(() => {
    const at = now();
    if (at - last > stallMs) say({ type: 'stall', from: last, to: at });
    last = at;
  }, 2);
}

async function main({ connection, seed, staleWindowMs, leaseTtlMs }: LoadOptions): Promise<void> {
  const ids = await idsOfKeys(keyCount);
  const cache = createCache({
    name: 'shared',
    store: watchedStore(redisStore(connection, { leaseTtl: `${leaseTtlMs}ms` }), ids),
    ttl: '6s',
    grace: '10s',
    jitter: 0.5,
    staleWindow: staleWindowMs,
    // Less than there are: the store has to be asked.
    maxEntries: 100,
    onEvent: (event) => {
      if (event.type !== 'cache.store-failed') return;
      const at = now();
      say({ type: 'given up', call: `${event.operation}: ${event.error}`, from: at, to: at });
    },
  });
  const load = new Load(cache, seed, ids);
  watchStalls();
  setInterval(() => {
    process.send?.(seen);
    seen = [];
  }, 100);
  await Promise.all(Array.from({ length: clients }, () => load.work()));
}

if (process.send) await main(JSON.parse(process.argv[2] ?? '') as LoadOptions);
