import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createFakeClock, type FakeClock, memoryStore } from '../testing/index.js';
import { type Cache, type CacheStore, createCache, keyvStore } from './index.js';
import { sqliteStore } from './stores/sqlite/sqlite-store.js';

const ttlMs = 10_000;
const revalidateMs = 5_000;
const graceMs = 20_000;
const keys = ['a', 'b'] as const;
const tagNames = ['red', 'blue'] as const;

type Key = (typeof keys)[number];
type Tag = (typeof tagNames)[number];

/** What the cache must know of one key. */
interface Known {
  readonly value: number;
  freshUntil: number;
  readonly keptUntil: number;
  readonly tags: readonly Tag[];
  failures: number;
  pausedUntil: number;
}

/** The slow, obvious cache: one map, and the rules as they are written in docs/caching.md. */
class Model {
  known = new Map<Key, Known>();

  at(key: Key, now: number): Known | undefined {
    const known = this.known.get(key);
    return known && now < known.keptUntil ? known : undefined;
  }

  keep(key: Key, value: number, tags: readonly Tag[], now: number): void {
    const freshUntil = now + ttlMs;
    const keptUntil = freshUntil + Math.max(revalidateMs, graceMs);
    this.known.set(key, { value, freshUntil, keptUntil, tags, failures: 0, pausedUntil: 0 });
  }

  fail(known: Known, now: number): void {
    known.failures++;
    known.pausedUntil = now + Math.min(1_000 * 2 ** (known.failures - 1), 60_000);
  }
}

interface World {
  readonly clock: FakeClock;
  readonly model: Model;
  readonly hasStore: boolean;
  cache: Cache;
  /** The process dies: what its memory held is gone. */
  readonly crash: () => void;
  computed: number;
}

/** One computation: the next number, or a failure. */
function computation(world: World, isBroken: boolean): () => number {
  return () => {
    if (isBroken) throw new Error('broken');
    return ++world.computed;
  };
}

interface Expected {
  readonly value: number | 'broken';
  readonly stale: false | 'revalidating' | 'failed';
}

/** What `resolve` must give, and what the model knows afterwards. */
function resolved(world: World, key: Key, tags: readonly Tag[], isBroken: boolean): Expected {
  const { model, clock } = world;
  const now = clock.now();
  const known = model.at(key, now);
  if (known && now < known.freshUntil) return { value: known.value, stale: false };
  if (known && now < known.pausedUntil) return { value: known.value, stale: 'failed' };
  const next = world.computed + 1;
  if (known && now < known.freshUntil + revalidateMs) {
    if (isBroken) model.fail(known, now);
    else model.keep(key, next, tags, now);
    return { value: known.value, stale: 'revalidating' };
  }
  if (!isBroken) {
    model.keep(key, next, tags, now);
    return { value: next, stale: false };
  }
  if (!known) return { value: 'broken', stale: false };
  model.fail(known, now);
  return { value: known.value, stale: 'failed' };
}

abstract class Step implements fc.AsyncCommand<Model, World> {
  check(): boolean {
    return true;
  }

  async run(_: Model, world: World): Promise<void> {
    await this.act(world);
    await world.clock.settle();
  }

  protected abstract act(world: World): Promise<void>;
  abstract toString(): string;
}

const step = (told: string, act: (world: World) => Promise<void>): Step =>
  new (class extends Step {
    protected act(world: World): Promise<void> {
      return act(world);
    }

    toString(): string {
      return told;
    }
  })();

const resolveStep = (key: Key, tags: readonly Tag[], isBroken: boolean, wait: number): Step =>
  step(`resolve(${key}, [${tags}]${isBroken ? ', broken' : ''})`, async (world) => {
    const expected = resolved(world, key, tags, isBroken);
    const result = world.cache.resolve(key, computation(world, isBroken), { tags });
    if (expected.value === 'broken') await expect(result).rejects.toThrow('broken');
    else expect(await result).toMatchObject(expected);
    await world.clock.advance(wait);
  });

const manyStep = (asked: readonly Key[], tags: readonly Tag[]): Step =>
  step(`getOrSetMany([${asked}], [${tags}])`, async (world) => {
    const { model, clock } = world;
    const now = clock.now();
    const before = world.computed;
    const missing = [...new Set(asked)].filter((key) => !(now < (model.at(key, now)?.freshUntil ?? 0)));
    // Of what is stale each is refreshed by itself; what is missing is computed together. The values tell which was which.
    const stale = missing.filter((key) => {
      const known = model.at(key, now);
      return known && (now < known.pausedUntil || now < known.freshUntil + revalidateMs);
    });
    const values = await world.cache.getOrSetMany(
      asked,
      (wanted) => {
        for (const key of wanted) expect(missing).toContain(key);
        return wanted.map(() => ++world.computed);
      },
      { tags },
    );
    await clock.settle();
    for (const [index, key] of asked.entries()) {
      const known = model.at(key, now);
      if (!missing.includes(key) || stale.includes(key)) expect(values[index]).toBe(known?.value);
      else expect(values[index]).toBeGreaterThan(before);
    }
    for (const key of missing) {
      const known = model.at(key, now);
      if (known && now < known.pausedUntil) continue;
      const peeked = world.cache.peek<number>(key);
      expect(peeked).toBeGreaterThan(before);
      model.keep(key, peeked as number, tags, now);
    }
  });

const commands = [
  fc
    .tuple(fc.constantFrom(...keys), fc.subarray([...tagNames]), fc.boolean(), fc.constantFrom(0, 1, 999, 1_000))
    .map(([key, tags, isBroken, wait]) => resolveStep(key, tags, isBroken, wait)),
  fc
    .tuple(fc.array(fc.constantFrom(...keys), { maxLength: 4 }), fc.subarray([...tagNames]))
    .map(([asked, tags]) => manyStep(asked, tags)),
  fc.tuple(fc.constantFrom(...keys), fc.subarray([...tagNames])).map(([key, tags]) =>
    step(`set(${key}, [${tags}])`, async (world) => {
      const value = ++world.computed;
      world.model.keep(key, value, tags, world.clock.now());
      await world.cache.set(key, value, { tags });
    }),
  ),
  fc.array(fc.constantFrom(...keys), { maxLength: 4 }).map((asked) =>
    step(`getMany([${asked}])`, async (world) => {
      const now = world.clock.now();
      const results = await world.cache.getMany<number>(asked);
      const fresh = asked.map((key) => {
        const known = world.model.at(key, now);
        return known && now < known.freshUntil ? known.value : undefined;
      });
      expect(results.map((result) => result?.value)).toEqual(fresh);
    }),
  ),
  fc.constantFrom(...keys).map((key) =>
    step(`peek(${key})`, async (world) => {
      const now = world.clock.now();
      const known = world.model.at(key, now);
      const peeked = world.cache.peek<number>(key);
      // What only the store knows, memory need not show; what it shows has to be right.
      if (peeked !== undefined || !world.hasStore) {
        expect(peeked).toBe(known && now < known.freshUntil ? known.value : undefined);
      }
    }),
  ),
  fc.constantFrom(...keys).map((key) =>
    step(`delete(${key})`, async (world) => {
      world.model.known.delete(key);
      expect(await world.cache.delete(key)).toEqual({ deferred: false });
    }),
  ),
  fc.constantFrom(...keys).map((key) =>
    step(`expire(${key})`, async (world) => {
      const known = world.model.at(key, world.clock.now());
      if (known) known.freshUntil = Number.NEGATIVE_INFINITY;
      expect(await world.cache.expire(key)).toEqual({ deferred: false });
    }),
  ),
  fc.constantFrom(...tagNames).map((tag) =>
    step(`invalidateTags(${tag})`, async (world) => {
      for (const [key, { tags }] of world.model.known) if (tags.includes(tag)) world.model.known.delete(key);
      expect(await world.cache.invalidateTags([tag])).toEqual({ deferred: false });
    }),
  ),
  fc.constant(
    step('clear()', async (world) => {
      world.model.known.clear();
      expect(await world.cache.clear()).toEqual({ deferred: false });
    }),
  ),
  fc
    .constantFrom(1, 1_000, 2_000, ttlMs - 1, ttlMs, ttlMs + revalidateMs, ttlMs + graceMs)
    .map((ms) => step(`advance(${ms})`, (world) => world.clock.advance(ms))),
  fc.constant(
    step('crash()', async (world) => {
      world.crash();
      if (!world.hasStore) world.model.known.clear();
      for (const known of world.model.known.values()) Object.assign(known, { failures: 0, pausedUntil: 0 });
    }),
  ),
];

/** @param reopen a new store over the same data, as a new process has it; undefined: memory alone */
async function follow(
  steps: Iterable<fc.AsyncCommand<Model, World>>,
  reopen: ((clock: FakeClock) => CacheStore) | undefined,
) {
  const clock = createFakeClock();
  const open = (): Cache =>
    createCache({
      name: 'model',
      ttl: ttlMs,
      staleWhileRevalidate: revalidateMs,
      grace: graceMs,
      clock,
      ...(reopen ? { store: reopen(clock) } : {}),
    });
  const model = new Model();
  const world: World = {
    clock,
    model,
    hasStore: reopen !== undefined,
    cache: open(),
    crash: () => {
      world.cache = open();
    },
    computed: 0,
  };
  await fc.asyncModelRun(() => ({ model, real: world }), steps);
  await world.cache.close();
}

const kinds: Readonly<
  Record<string, { readonly runs: number; readonly storage: () => (clock: FakeClock) => CacheStore }>
> = {
  'the reference store': {
    runs: 300,
    storage: () => {
      const store = memoryStore();
      return () => store.peer();
    },
  },
  'a Keyv store': {
    runs: 200,
    storage: () => {
      const data = new Map<string, string>();
      const keyv = {
        get: async (key: string) => data.get(key),
        set: async (key: string, value: string) => data.set(key, value),
        delete: async (key: string) => data.delete(key),
      };
      return (clock) => keyvStore(keyv, { clock });
    },
  },
  'a SQLite file': {
    runs: 40,
    storage: () => {
      const folder = mkdtempSync(join(tmpdir(), 'warmpath-model-'));
      onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
      const file = join(folder, 'cache.sqlite');
      return (clock) => {
        const store = sqliteStore({ file, clock });
        onTestFinished(() => store.close());
        return store;
      };
    },
  },
};

describe('whatever is done to it, one step after the other, a cache gives what the obvious model gives', () => {
  const steps = fc.commands(commands, {
    maxCommands: 60,
    size: 'max',
  });

  it(
    'with memory alone',
    () =>
      fc.assert(
        fc.asyncProperty(steps, (each) => follow(each, undefined)),
        { numRuns: 1_000 },
      ),
    60_000,
  );

  it.each(Object.entries(kinds))(
    'with memory before %s',
    (_, { runs, storage }) =>
      fc.assert(
        fc.asyncProperty(steps, (each) => follow(each, storage())),
        { numRuns: runs },
      ),
    60_000,
  );
});
