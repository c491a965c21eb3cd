import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withoutFeed } from '../../../test/cache-set-up.js';
import type { Duration } from '../../kernel/index.js';
import { chaosStore, createFakeClock, type FakeClock, memoryStore, type Trouble } from '../../testing/index.js';
import {
  type Cache,
  type CacheResult,
  type CacheStore,
  createCache,
  type Invalidation,
  keyvStore,
  type StandardSchema,
} from '../index.js';
import { placeOf, streamTextOf, textOf } from '../place.js';

/*
 * No read after an acknowledged invalidation returns older data. Caches over one store do random things while the store is
 * slow, late, full, broken or gone, and every value says when it was made: how many invalidations of its key each cache had
 * called for by then.
 */

const keys = ['k0', 'k1'] as const;
type Key = (typeof keys)[number];
/** A value and a stream of one key are two things, which are invalidated together. */
const things = ['k0', 'k1', 'stream of k0', 'stream of k1'] as const;
type Thing = (typeof things)[number];
const streamOf = (key: Key): Thing => `stream of ${key}`;
const idOf = (thing: Thing): string => {
  const text = thing.startsWith('stream of ') ? streamTextOf(thing.slice(10)) : textOf(thing);
  return placeOf(undefined, text).id;
};
/** Each has the tag of its key and one that all have, given with the call or by the computation. */
const tagsOf = (thing: Thing): string[] => [`tag of ${thing.slice(-2)}`, 'all'];

const caches = [0, 1] as const;
type Who = (typeof caches)[number];
/** For each cache, by thing. */
type Counts = readonly [Map<Thing, number>, Map<Thing, number>];
const noCounts = (): Counts => [new Map(), new Map()];
const raise = (counts: Map<Thing, number>, thing: Thing, to: number): void => {
  counts.set(thing, Math.max(to, counts.get(thing) ?? 0));
};

type Result = Pick<CacheResult<number>, 'value' | 'stale' | 'level'>;

/** What has been invalidated by whom, as far as it was called for, has reached the store, and is acknowledged. */
class Truth {
  readonly #called = noCounts();
  readonly #forgotten = noCounts();
  readonly #reached = noCounts();
  readonly #acknowledged = { all: noCounts(), forgotten: noCounts() };
  /** For each value: what it is of, and the invalidations by each cache that it is newer than. */
  readonly #values: { readonly of: Thing; readonly newerThan: [number, number] }[] = [];

  /** A value that begins now: it is newer than everything that was called for. */
  begin(thing: Thing): number {
    const newerThan = caches.map((who) => this.#called[who].get(thing) ?? 0) as [number, number];
    return this.#values.push({ of: thing, newerThan }) - 1;
  }

  /** @returns what to do when it is acknowledged */
  invalidate(who: Who, invalidation: Invalidation): () => void {
    const counts = thingsOf(invalidation).map((thing) => [thing, (this.#called[who].get(thing) ?? 0) + 1] as const);
    const forgets = invalidation.type !== 'expire';
    for (const [thing, count] of counts) {
      this.#called[who].set(thing, count);
      if (forgets) this.#forgotten[who].set(thing, count);
    }
    return () => {
      for (const [thing, count] of counts) {
        raise(this.#acknowledged.all[who], thing, count);
        if (forgets) raise(this.#acknowledged.forgotten[who], thing, count);
      }
    };
  }

  /** Everything that was called for has been told by now. */
  acknowledgeAll(): void {
    for (const who of caches) {
      for (const thing of things) {
        raise(this.#acknowledged.all[who], thing, this.#called[who].get(thing) ?? 0);
        raise(this.#acknowledged.forgotten[who], thing, this.#forgotten[who].get(thing) ?? 0);
      }
    }
  }

  reach(who: Who, invalidation: Invalidation): void {
    for (const thing of thingsOf(invalidation)) raise(this.#reached[who], thing, this.#called[who].get(thing) ?? 0);
  }

  /** A value that was set by hand is new when it reaches the store, as far as other processes go: set() does not wait for that. */
  reachWith(who: Who, value: number): void {
    const { of, newerThan } = this.#values[value] ?? {};
    const other = who === 0 ? 1 : 0;
    if (of && newerThan) newerThan[other] = Math.max(newerThan[other], this.#reached[other].get(of) ?? 0);
  }

  /**
   * What a read that begins now must not be older than: everything that its own cache was called for, and what others have
   * had acknowledged. @returns the check of what it got
   */
  read(who: Who | undefined, thing: Thing, hearsOthers: boolean): (result: Result) => void {
    const least = (own: Counts, others: Counts): number[] =>
      caches.map((cache) => (cache === who ? own : others)[cache].get(thing) ?? 0);
    const fresh = least(this.#called, this.#acknowledged.all);
    const standIn = least(this.#forgotten, this.#acknowledged.forgotten);
    return ({ value, stale, level }) => {
      const { of, newerThan } = this.#values[value] ?? {};
      expect(of).toBe(thing);
      for (const cache of caches) {
        // Without a feed neither memory nor what is under way can know what others do.
        if (cache !== who && !hearsOthers && level !== 'computed') continue;
        const expected = (stale ? standIn : fresh)[cache] ?? 0;
        expect(newerThan?.[cache], `${level} ${stale || 'fresh'}`).toBeGreaterThanOrEqual(expected);
      }
    };
  }
}

function thingsOf(invalidation: Invalidation): Thing[] {
  if (invalidation.type === 'clear') return [...things];
  if (invalidation.type !== 'tags') return things.filter((thing) => invalidation.keys.includes(idOf(thing)));
  return things.filter((thing) => tagsOf(thing).some((tag) => invalidation.tags.includes(tag)));
}

/** Tells the truth what reaches the store; can also do what it was asked to and then be late or fail all the same. */
function witnessed(store: CacheStore, who: Who, truth: Truth, after: () => Promise<void>): CacheStore {
  const { openFeed } = store;
  return {
    name: store.name,
    getMany: (read) => store.getMany(read),
    async setMany(write) {
      const stored = await store.setMany(write);
      for (const [index, { entry }] of write.entries.entries()) {
        const byHand = entry.tags.find((tag) => tag.startsWith('by hand '));
        if (byHand && stored[index]) truth.reachWith(who, Number(byHand.slice(8)));
      }
      await after();
      return stored;
    },
    async invalidate(told) {
      await store.invalidate(told);
      truth.reach(who, told.invalidation);
      await after();
    },
    ...(openFeed ? { openFeed: (namespace: string) => openFeed.call(store, namespace) } : {}),
  };
}

/** A Map behind a Keyv's methods, each of which takes a while. */
function slowKeyv(clock: FakeClock, nextMs: () => number) {
  const texts = new Map<string, string>();
  const later = <T>(run: () => T): Promise<T> =>
    new Promise((resolve) => {
      const ms = nextMs();
      if (ms === 0) resolve(run());
      else clock.schedule(ms, () => resolve(run()));
    });
  return {
    get: (key: string) => later(() => texts.get(key)),
    getMany: (some: string[]) => later(() => some.map((key) => texts.get(key))),
    set: (key: string, value: string) => later(() => void texts.set(key, value)),
    delete: (key: string) => later(() => texts.delete(key)),
  };
}

const kinds = [
  'memory',
  'memory without a feed',
  'memory in one process',
  'keyv in one process',
  'keyv in two processes',
] as const;
type Kind = (typeof kinds)[number];

function storesOf(kind: Kind, clock: FakeClock, nextMs: () => number): readonly [CacheStore, CacheStore] {
  if (kind.startsWith('keyv')) {
    const keyv = slowKeyv(clock, nextMs);
    const make = () => keyvStore(keyv, { clock });
    return [make(), make()];
  }
  const store = memoryStore();
  const peer = store.peer();
  return kind === 'memory without a feed' ? [withoutFeed(store), withoutFeed(peer)] : [store, peer];
}

const who = fc.constantFrom(...caches);
const key = fc.constantFrom(...keys);
const troubles = fc.constantFrom<Trouble | undefined>(
  ...([undefined, undefined, 1, 5, 20, 30, 45, 60, 80, 120, 'reject', 'throw', 'hang', 'full'] as const),
);
const computeMs = fc.constantFrom(0, 0, 3, 12, 30);
const steps = fc.oneof(
  {
    arbitrary: fc.record({
      do: fc.constant('read' as const),
      who,
      key,
      computeMs,
      fails: fc.boolean(),
      namesTagsLate: fc.boolean(),
      leaveMs: fc.constantFrom(undefined, undefined, undefined, 2, 40),
    }),
    weight: 6,
  },
  { arbitrary: fc.record({ do: fc.constant('get' as const), who, key }), weight: 2 },
  { arbitrary: fc.record({ do: fc.constant('look' as const), key }), weight: 2 },
  { arbitrary: fc.record({ do: fc.constant('read both' as const), who, computeMs }), weight: 1 },
  { arbitrary: fc.record({ do: fc.constant('stream' as const), who, key, computeMs }), weight: 2 },
  { arbitrary: fc.record({ do: fc.constant('set' as const), who, key }), weight: 2 },
  { arbitrary: fc.record({ do: fc.constant('delete' as const), who, key }), weight: 2 },
  { arbitrary: fc.record({ do: fc.constant('expire' as const), who, key }), weight: 1 },
  { arbitrary: fc.record({ do: fc.constant('tags' as const), who, tag: fc.constantFrom(...tagsOf('k0')) }), weight: 2 },
  { arbitrary: fc.record({ do: fc.constant('clear' as const), who }), weight: 1 },
  {
    arbitrary: fc.record({
      do: fc.constant('trouble' as const),
      who,
      operation: fc.constantFrom('getMany' as const, 'setMany' as const, 'invalidate' as const, undefined),
      trouble: fc.oneof(troubles, fc.array(troubles, { maxLength: 6 })),
    }),
    weight: 3,
  },
  {
    arbitrary: fc.record({ do: fc.constant('after' as const), who, trouble: fc.constantFrom(0, 10, 30, 70, 'reject') }),
    weight: 2,
  },
  {
    arbitrary: fc.record({
      do: fc.constant('advance' as const),
      ms: fc.constantFrom(1, 2, 5, 10, 20, 40, 60, 1_000, 3_000),
    }),
    weight: 6,
  },
);
type Step = typeof steps extends fc.Arbitrary<infer T> ? T : never;

const setUps = fc.record({
  maxEntries: fc.constantFrom(1, 100),
  grace: fc.constantFrom(0, '1m' as const),
  staleWhileRevalidate: fc.constantFrom(0, '2s' as const),
  ttl: fc.constantFrom<Duration>('1s', '1h'),
  schemaMs: fc.constantFrom(undefined, 0, 20),
  latencies: fc.array(fc.constantFrom(0, 0, 1, 3, 15), { minLength: 1, maxLength: 8 }),
});
type SetUp = typeof setUps extends fc.Arbitrary<infer T> ? T : never;

const gone = 'the computation failed';

class Run {
  readonly #clock = createFakeClock();
  readonly #truth = new Truth();
  readonly #hearsOthers: boolean;
  readonly #isOneProcess: boolean;
  readonly #tellsOnlyTags: boolean;
  readonly #caches: readonly Cache[];
  readonly #chaos: readonly ReturnType<typeof chaosStore>[];
  readonly #after: (number | 'reject' | string)[] = [0, 0];
  readonly #work: Promise<unknown>[] = [];
  readonly #onlooker: () => Cache;

  constructor(kind: Kind, { latencies, schemaMs, ...options }: SetUp) {
    const clock = this.#clock;
    let calls = 0;
    const stores = storesOf(kind, clock, () => latencies[calls++ % latencies.length] ?? 0);
    this.#hearsOthers = kind === 'memory';
    this.#isOneProcess = kind.endsWith('in one process');
    this.#tellsOnlyTags = kind === 'keyv in two processes';
    this.#chaos = caches.map((cache) => {
      const store = witnessed(stores[cache], cache, this.#truth, () => this.#settleAfter(cache));
      return chaosStore(store, { clock });
    });
    const schema = schemaMs === undefined ? {} : { schema: this.#slowSchema(schemaMs) };
    const make = (store: CacheStore): Cache => createCache({ ...options, ...schema, name: 'n', clock, store });
    this.#caches = this.#chaos.map(make);
    this.#onlooker = () => make(stores[0]);
  }

  async all(all: readonly Step[]): Promise<void> {
    for (const step of all) await this.#step(this.#isOneProcess && 'who' in step ? { ...step, who: 0 } : step);
    await this.#clock.advance(500);
    await Promise.all(this.#work);
    await this.#recover();
  }

  /** Once the store is well, everything that was deferred is told, and everybody has the truth. */
  async #recover(): Promise<void> {
    for (const chaos of this.#chaos) chaos.trouble(undefined);
    this.#after.fill(0);
    await this.#clock.advance(150_000);
    this.#truth.acknowledgeAll();
    const used = this.#isOneProcess ? this.#chaos.slice(0, 1) : this.#chaos;
    const before = used.map(({ calls }) => calls.length);
    for (const key of keys) {
      for (const who of caches) {
        this.#later(this.#read({ who, key, computeMs: 0 }));
        this.#later(this.#stream(who, key, 0));
      }
      this.#later(this.#look(key));
    }
    for (const cache of this.#caches) this.#later(cache.get('unknown'));
    await this.#clock.advance(500);
    await Promise.all(this.#work);
    for (const [index, { calls }] of used.entries()) expect(calls.length).toBeGreaterThan(before[index] ?? 0);
  }

  async #step(step: Step): Promise<void> {
    switch (step.do) {
      case 'advance':
        return this.#clock.advance(step.ms);
      case 'trouble':
        return this.#chaos[step.who]?.trouble(step.trouble, step.operation);
      case 'after':
        this.#after[step.who] = step.trouble;
        return;
      case 'read':
        return this.#later(this.#read(step));
      case 'get':
        return this.#later(this.#get(step.who, step.key));
      case 'look':
        return this.#later(this.#look(step.key));
      case 'read both':
        return this.#later(this.#readBoth(step.who, step.computeMs));
      case 'stream':
        return this.#later(this.#stream(step.who, step.key, step.computeMs));
      case 'set':
        return this.#set(step.who, step.key);
      default:
        return this.#invalidate(step);
    }
  }

  #later(work: Promise<unknown>): void {
    this.#work.push(work);
    work.catch(() => {}); // it is seen at the end
  }

  async #read(step: {
    who: Who;
    key: Key;
    computeMs: number;
    fails?: boolean;
    namesTagsLate?: boolean;
    leaveMs?: number | undefined;
  }): Promise<void> {
    const check = this.#truth.read(step.who, step.key, this.#hearsOthers);
    const leaving = new AbortController();
    if (step.leaveMs !== undefined) this.#clock.schedule(step.leaveMs, () => leaving.abort());
    const tags = tagsOf(step.key);
    try {
      const reading = this.#caches[step.who]?.resolve(
        step.key,
        async ({ addTags }) => {
          const value = this.#truth.begin(step.key);
          await this.#sleep(step.computeMs);
          if (step.namesTagsLate) addTags(...tags);
          if (step.fails) throw new Error(gone);
          return value;
        },
        { signal: leaving.signal, ...(step.namesTagsLate ? {} : { tags }) },
      );
      if (reading) check(await reading);
    } catch (error) {
      if (leaving.signal.aborted || (error instanceof Error && error.message === gone)) return;
      throw error;
    }
  }

  async #get(who: Who, key: Key): Promise<void> {
    const check = this.#truth.read(who, key, this.#hearsOthers);
    const found = await this.#caches[who]?.get<number>(key);
    if (found) check(found);
  }

  /** What a third process finds, which has nothing but what is in the store. */
  async #look(key: Key): Promise<void> {
    const check = this.#truth.read(undefined, key, true);
    const found = await this.#onlooker().get<number>(key);
    if (found) check(found);
  }

  async #readBoth(who: Who, ms: number): Promise<void> {
    const checks = keys.map((key) => this.#truth.read(who, key, this.#hearsOthers));
    const computed = this.#caches[who]?.getOrSetMany(keys, async (missing, { addTags }) => {
      const values = missing.map((key) => this.#truth.begin(key));
      await this.#sleep(ms);
      addTags(...keys.flatMap(tagsOf));
      return values;
    });
    // It may have come from anywhere; and it may have joined one that fails.
    const values = await computed?.catch((error: Error) => void expect(error.message).toBe(gone));
    if (!values) return;
    for (const [index, check] of checks.entries())
      check({ value: values[index] ?? -1, stale: 'slow', level: 'memory' });
  }

  async #stream(who: Who, key: Key, ms: number): Promise<void> {
    const check = this.#truth.read(who, streamOf(key), this.#hearsOthers);
    const stream = await this.#caches[who]?.stream(key, () => this.#produce(key, ms), { tags: tagsOf(key) });
    for await (const value of stream?.chunks ?? []) check({ value, stale: false, level: stream?.level ?? 'computed' });
  }

  async *#produce(key: Key, ms: number): AsyncGenerator<number> {
    const value = this.#truth.begin(streamOf(key));
    await this.#sleep(ms);
    yield value;
    await this.#sleep(ms);
  }

  /** Where nobody else writes, nothing older is served from then on. */
  #set(who: Who, key: Key): void {
    if (this.#isOneProcess) this.#truth.invalidate(who, { type: 'delete', keys: [idOf(key)] });
    const value = this.#truth.begin(key);
    this.#later(
      this.#caches[who]?.set(key, value, { tags: [...tagsOf(key), `by hand ${value}`] }) ?? Promise.resolve(),
    );
  }

  #invalidate(step: Extract<Step, { do: 'delete' | 'expire' | 'tags' | 'clear' }>): void {
    const cache = this.#caches[step.who];
    if (!cache || (this.#tellsOnlyTags && 'key' in step)) return;
    const ids = 'key' in step ? [idOf(step.key), idOf(streamOf(step.key))] : [];
    const invalidation: Invalidation =
      step.do === 'clear'
        ? { type: 'clear' }
        : step.do === 'tags'
          ? { type: 'tags', tags: [step.tag] }
          : { type: step.do, keys: ids };
    const acknowledged = this.#truth.invalidate(step.who, invalidation);
    const calledAt = this.#clock.now();
    const doing =
      'key' in step ? cache[step.do](step.key) : step.do === 'tags' ? cache.invalidateTags([step.tag]) : cache.clear();
    this.#later(
      doing.then(({ deferred }) => {
        expect(this.#clock.now() - calledAt).toBeLessThanOrEqual(50);
        if (!deferred) acknowledged();
      }),
    );
  }

  /** Takes everything, and its time. */
  #slowSchema(ms: number): StandardSchema {
    const validate = async (value: unknown): Promise<{ value: unknown }> => {
      await this.#sleep(ms);
      return { value };
    };
    return { '~standard': { version: 1, vendor: 'test', validate } };
  }

  async #settleAfter(cache: Who): Promise<void> {
    const trouble = this.#after[cache];
    if (trouble === 'reject') throw new Error('it was done, and then the connection was lost');
    await this.#sleep(Number(trouble));
  }

  async #sleep(ms: number): Promise<void> {
    if (ms > 0) await new Promise<void>((resolve) => void this.#clock.schedule(ms, resolve));
  }
}

describe('no read after an acknowledged invalidation returns older data', () => {
  it.each(kinds)(
    'over a store in any trouble: %s',
    async (kind) => {
      await fc.assert(
        fc.asyncProperty(fc.array(steps, { maxLength: 40, size: 'max' }), setUps, async (all, options) =>
          new Run(kind, options).all(all),
        ),
        { numRuns: 250 },
      );
    },
    60_000,
  );
});
