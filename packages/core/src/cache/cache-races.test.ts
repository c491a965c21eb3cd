import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withoutFeed } from '../../test/cache-set-up.js';
import type { Clock } from '../kernel/index.js';
import { memoryStore } from '../testing/index.js';
import { type Cache, type CacheResult, type CacheStore, type Computation, createCache } from './index.js';

const keys = ['a', 'b'] as const;
type Key = (typeof keys)[number];

/** What a value was made of: how often its source had changed by then. */
interface Version {
  /** Changes that were made known in a way that forgets what was kept. */
  readonly hard: number;
  /** And by `expire`, which lets what was kept stand in. */
  readonly soft: number;
}

/** The whole truth about the sources of both keys. */
class Truth {
  readonly #versions: Record<Key, Version> = { a: { hard: 0, soft: 0 }, b: { hard: 0, soft: 0 } };

  of(key: Key): Version {
    return this.#versions[key];
  }

  change(key: Key, kind: keyof Version): void {
    const { hard, soft } = this.#versions[key];
    this.#versions[key] = kind === 'hard' ? { hard: hard + 1, soft: soft + 1 } : { hard, soft: soft + 1 };
  }
}

const invalidated = fc.record({
  type: fc.constantFrom('delete', 'expire', 'set', 'declared', 'inside', 'clear'),
  key: fc.constantFrom(...keys),
});
const asked = fc.record({
  type: fc.constantFrom('getOrSet', 'many', 'get'),
  key: fc.constantFrom(...keys),
  fails: fc.boolean(),
  /** Whether the computation names its tag before it starts its work, or after. */
  isTaggedEarly: fc.boolean(),
});
const passed = fc.record({ type: fc.constant('time'), ms: fc.constantFrom(5, 10, 30) });
const step = fc.record({
  process: fc.nat(1),
  /** How many turns it waits. */
  at: fc.nat(6),
  what: fc.oneof(
    { weight: 4, arbitrary: asked },
    { weight: 3, arbitrary: invalidated },
    { weight: 1, arbitrary: passed },
  ),
});
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

type Turn = (label: string) => Promise<void>;

/** Each call takes two turns: one until the store sees it, one until its answer is back. */
function takingTurns(store: CacheStore, turn: Turn): CacheStore {
  const taking = async <T>(label: string, call: () => Promise<T>): Promise<T> => {
    await turn(`${label} asked`);
    const answer = await call();
    await turn(`${label} answered`);
    return answer;
  };
  return {
    ...store,
    getMany: (read) => taking('read', () => store.getMany(read)),
    setMany: (write) => taking('write', () => store.setMany(write)),
    invalidate: (invalidation) => taking('invalidate', () => store.invalidate(invalidation)),
  };
}

/** One that a step may move, and on which nothing is ever late. */
function handClock() {
  let now = 0;
  const clock: Clock = { now: () => now, wall: () => 1e12 + now, schedule: () => ({ cancel: () => {} }) };
  return {
    clock,
    advance: (ms: number): void => {
      now += ms;
    },
  };
}

/** What a process must not serve any more: all that is older than this, by key. */
type Required = Record<Key, Version>;

class World {
  readonly truth = new Truth();
  readonly hand = handClock();
  readonly processes: { readonly cache: Cache; readonly required: Required }[];
  readonly #turn: Turn;

  constructor(turn: Turn, storeOf: ((process: number) => CacheStore) | undefined, processes: number) {
    this.#turn = turn;
    this.processes = Array.from({ length: processes }, (_, index) => ({
      cache: createCache({
        name: 'test',
        clock: this.hand.clock,
        ttl: 10,
        staleWhileRevalidate: 10,
        grace: 40,
        earlyRefresh: 2,
        random: () => 0.9,
        ...(storeOf ? { store: takingTurns(storeOf(index), turn) } : {}),
      }),
      required: { a: this.truth.of('a'), b: this.truth.of('b') },
    }));
  }

  async run({ process, at, what }: Step): Promise<void> {
    for (let turn = 0; turn < at; turn++) await this.#turn('wait');
    if ('ms' in what) this.hand.advance(what.ms);
    else if ('fails' in what) await this.#ask(process, what);
    else await this.#invalidate(process, what.type, what.key);
  }

  /** Nobody gets what is older than what was invalidated before they asked. */
  async #ask(process: number, what: Extract<Step['what'], { fails: boolean }>): Promise<void> {
    const { cache, required } = this.#process(process);
    const { key, type } = what;
    const least = required[key];
    const compute = (computation: Computation) => this.#compute(key, what, computation);
    const call = { tags: ['declared'] };
    const noResult = (): undefined => undefined; // a failed computation is an answer, too
    if (type === 'many') {
      // How stale each value is is not said here: so it may be what stands in.
      const leastOfEach = keys.map((each) => ({ ...required[each], soft: 0 }));
      const many = (missing: readonly Key[], computation: Computation) =>
        Promise.all(missing.map((each) => this.#compute(each, what, computation)));
      const values = await cache.getOrSetMany(keys, many, call).catch(noResult);
      for (const [index, each] of leastOfEach.entries()) if (values) this.#check(values[index], each);
      return;
    }
    const result: CacheResult<Version> | undefined =
      type === 'get' ? await cache.get<Version>(key) : await cache.resolve(key, compute, call).catch(noResult);
    if (result) this.#check(result.value, result.stale === false ? least : { ...least, soft: 0 });
  }

  async #compute(
    key: Key,
    { fails, isTaggedEarly }: { fails: boolean; isTaggedEarly: boolean },
    { addTags }: Computation,
  ) {
    const version = this.truth.of(key);
    if (isTaggedEarly) addTags(`inside ${key}`);
    const began = this.hand.clock.now();
    await this.#turn('compute');
    await this.#turn('compute');
    if (this.hand.clock.now() === began && fails) this.hand.advance(1);
    if (fails) throw new Error('no luck');
    if (!isTaggedEarly) addTags(`inside ${key}`);
    return version;
  }

  #check(value: Version | undefined, least: Version): void {
    expect(value).toBeDefined();
    expect(value?.hard).toBeGreaterThanOrEqual(least.hard);
    expect(value?.soft).toBeGreaterThanOrEqual(least.soft);
  }

  async #invalidate(process: number, type: string, key: Key): Promise<void> {
    const { cache } = this.#process(process);
    if (type === 'set' && this.processes.length > 1) return; // other processes are not told of it
    const meant = type === 'clear' || type === 'declared' ? keys : [key];
    for (const each of meant) this.truth.change(each, type === 'expire' ? 'soft' : 'hard');
    // An expiry says nothing of what others are about to forget.
    const versions = meant.map((each) => ({ ...this.truth.of(each), ...(type === 'expire' ? { hard: 0 } : {}) }));
    const require = (index: number): void => {
      const { required } = this.#process(index);
      for (const [at, each] of meant.entries()) {
        const [now, then] = [required[each], versions[at] as Version];
        required[each] = { hard: Math.max(now.hard, then.hard), soft: Math.max(now.soft, then.soft) };
      }
    };
    const done = this.#call(cache, type, key);
    require(process); // here it holds from the call on
    const outcome = await done;
    // With others it holds once the store has it.
    if (outcome && !outcome.deferred) for (const index of this.processes.keys()) require(index);
  }

  async #call(cache: Cache, type: string, key: Key): Promise<{ readonly deferred: boolean } | undefined> {
    if (type === 'delete') return cache.delete(key);
    if (type === 'expire') return cache.expire(key);
    if (type === 'clear') return cache.clear();
    if (type === 'declared') return cache.invalidateTags(['declared']);
    if (type === 'inside') return cache.invalidateTags([`inside ${key}`]);
    await cache.set(key, this.truth.of(key), { tags: ['declared', `inside ${key}`] });
    return undefined;
  }

  #process(index: number) {
    const process = this.processes[index % this.processes.length];
    if (!process) throw new Error('There is no such process');
    return process;
  }
}

const shared = () => {
  const first = memoryStore();
  const peers = [first, first.peer()];
  return (process: number): CacheStore => peers[process] ?? first;
};

const worlds: Record<
  string,
  { readonly processes: number; readonly stores: () => ((process: number) => CacheStore) | undefined }
> = {
  'in memory alone': { processes: 1, stores: () => undefined },
  'with a store': { processes: 1, stores: shared },
  'with a store that tells no news': {
    processes: 1,
    stores: () => {
      const store = withoutFeed(memoryStore());
      return () => store;
    },
  },
  'with two processes on one store': { processes: 2, stores: shared },
};

describe('in whatever order things happen, nobody gets what was invalidated before they asked', () => {
  const numRuns = Number(process.env.WARMPATH_RACES ?? 400);

  it.each(Object.entries(worlds))('%s', (_, { processes, stores }) =>
    fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(step, { minLength: 2, maxLength: 14, size: 'max' }),
        async (scheduler, steps) => {
          const world = new World((label) => scheduler.schedule(Promise.resolve(), label), stores(), processes);
          await scheduler.waitFor(Promise.all(steps.map((each) => world.run(each))));
          await scheduler.waitIdle();
          // What is left when all is done is right, too.
          const questions = keys.flatMap((key) =>
            world.processes.map((_each, process) =>
              world.run({ process, at: 0, what: { type: 'get', key, fails: false, isTaggedEarly: true } }),
            ),
          );
          await scheduler.waitFor(Promise.all(questions));
        },
      ),
      { numRuns },
    ),
  );
});
