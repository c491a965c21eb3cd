import { vi } from 'vitest';
import type { Cache, CacheEvent, CacheOptions, CacheStore, Computation } from '../src/cache/index.js';
import { createCache } from '../src/cache/index.js';
import { type ChaosStore, chaosStore, createFakeClock, type FakeClock, memoryStore } from '../src/testing/index.js';

interface SetUp {
  readonly clock: FakeClock;
  readonly cache: Cache;
  readonly events: readonly CacheEvent[];
  /** What happened, in a few words each: see `words`. */
  readonly log: readonly string[];
}

/** A cache on a fake clock, and all that it says. */
export function setUp({
  clock = createFakeClock(),
  ...options
}: Omit<Partial<CacheOptions>, 'clock'> & { clock?: FakeClock } = {}): SetUp {
  const events: CacheEvent[] = [];
  const log: string[] = [];
  const onEvent = (event: CacheEvent): void => {
    events.push(event);
    log.push(words(event));
  };
  return { clock, events, log, cache: createCache({ name: 'test', clock, onEvent, ...options }) };
}

interface StoredSetUp extends SetUp {
  readonly store: ChaosStore;
  /** Another cache on the same data, as another process has it. */
  another(): SetUp;
}

/** The same with a store behind it that has trouble on demand. */
export function setUpWithStore(options: Omit<Partial<CacheOptions>, 'clock'> = {}): StoredSetUp {
  const clock = createFakeClock();
  const plain = memoryStore({ clock });
  const store = chaosStore(plain, { clock });
  const another = (): SetUp => setUp({ ...options, clock, store: plain.peer() });
  return { ...setUp({ ...options, clock, store }), store, another };
}

/** `store` without a feed: what others invalidate is seen in what it answers only. */
export function withoutFeed(store: CacheStore): CacheStore {
  const { name } = store;
  return {
    name,
    getMany: (read) => store.getMany(read),
    setMany: (write) => store.setMany(write),
    invalidate: (invalidation) => store.invalidate(invalidation),
  };
}

/** An event in a few words: its type, then level, reason, staleness and the like as far as they say something. */
export function words(event: CacheEvent): string {
  const said: unknown[] = [event.type];
  switch (event.type) {
    case 'cache.hit':
      said.push(event.level, event.stale);
      break;
    case 'cache.computed':
      said.push(event.background && 'background', event.notModified && 'not modified');
      break;
    case 'cache.failed':
      said.push(event.background && 'background');
      break;
    case 'cache.unstored':
    case 'cache.evicted':
    case 'cache.rejected':
      said.push(event.reason);
      break;
    case 'cache.invalidated':
      said.push(event.by, event.count, event.foreign && 'foreign', event.deferred && 'deferred');
      break;
    case 'cache.store-failed':
      said.push(event.operation);
      break;
    case 'cache.store-state':
      said.push(event.access, event.state);
      break;
    case 'cache.audit':
      said.push(event.operation, event.outcome);
      break;
    default:
  }
  return said.filter(Boolean).join(' ');
}

interface Deferred<T> {
  /** The computation, to be ended by hand. */
  readonly compute: ReturnType<typeof vi.fn<(computation: Computation) => Promise<T>>>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
  /** Those of its runs. */
  readonly signals: readonly AbortSignal[];
}

/** A computation that the test ends by hand. */
export function deferred<T = string>(): Deferred<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const signals: AbortSignal[] = [];
  const compute = vi.fn(({ signal }: Computation) => {
    signals.push(signal);
    return promise;
  });
  return { compute, resolve, reject, signals };
}

/** What a computation fails with. */
export function failing(message = 'no luck') {
  return vi.fn((): Promise<never> => Promise.reject(new Error(message)));
}

/** Whether a promise has settled by now, and how. */
export function watch<T>(promise: Promise<T>): {
  readonly outcome: () => T | 'pending' | { readonly failed: unknown };
} {
  let outcome: T | 'pending' | { readonly failed: unknown } = 'pending';
  promise.then(
    (value) => {
      outcome = value;
    },
    (error) => {
      outcome = { failed: error };
    },
  );
  return { outcome: () => outcome };
}
