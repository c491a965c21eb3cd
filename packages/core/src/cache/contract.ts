import type { Duration } from '../kernel/index.js';

/** Where a value came from: this process' memory, the store, somebody else's computation under way, or a new one. */
export type CacheLevel = 'memory' | 'store' | 'shared' | 'computed';

/**
 * Why a value past its ttl was served: it is being refreshed in the background, its computation failed (or failed a moment
 * ago and is not tried again yet), or its computation takes longer than `softTimeout`.
 */
export type Staleness = 'revalidating' | 'failed' | 'slow';

/** Whose entry a call means. */
export interface TenantCall {
  /** Default: the tenant of the running CallContext. */
  readonly tenant?: string;
}

export interface ReadCall extends TenantCall {
  /** Detaches this caller; the work goes on while others wait for it. The CallContext's signal counts as well. */
  readonly signal?: AbortSignal;
}

export interface WriteCall extends TenantCall {
  /** How long what this call keeps is fresh, instead of the cache's ttl; 0 keeps nothing. */
  readonly ttl?: Duration;
  /** What `invalidateTags` may name to forget it. The computation may add to them. */
  readonly tags?: readonly string[];
}

export interface CacheCall extends ReadCall, WriteCall {}

export interface CollectCall<C> extends CacheCall {
  /** Whether a stream that ended is worth keeping; default: every one is. */
  readonly isComplete?: (chunks: readonly C[]) => boolean;
  /**
   * True: when its last reader leaves, the stream goes on in the background, to be kept; it is given up when its source
   * gives nothing for five minutes, and by `close`. One caller who says so is enough. Default: it is aborted.
   */
  readonly finishFill?: boolean;
}

export interface StreamCall<C> extends CollectCall<C> {
  /**
   * `'full'` (default): what is there already comes as fast as it is read. `'recorded'`: no chunk comes earlier after the
   * first call of `next` than it came from its source; a pause of more than 2 s is 2 s. That goes for a kept stream and for
   * one that is joined late alike, so who comes 3 s late stays 3 s behind, at the rhythm of the source.
   */
  readonly pace?: 'full' | 'recorded';
}

/** What a producer may give: chunks as they come, or all at once. */
export type Chunks<C> = AsyncIterable<C> | Iterable<C>;

/** What a computation is given, and what it may decide about its value before it ends. */
export interface Computation {
  /** Aborted when the last caller that waits for the value has left, or at the `hardTimeout`. */
  readonly signal: AbortSignal;
  /**
   * The entry that is to be replaced, where it is still kept: to ask upstream whether it has changed. Undefined where values
   * for several keys are computed together.
   */
  readonly previous: { readonly value: unknown; readonly ageMs: number } | undefined;
  /** How long the value is fresh, instead of the call's or the cache's ttl; 0 keeps nothing. */
  setTtl(ttl: Duration): void;
  addTags(...tags: readonly string[]): void;
  /** Those who wait get the value; it is not kept. */
  doNotStore(): void;
  /**
   * The previous value is right as it is: `return notModified()` gives it another ttl. What is returned after it does not count. It goes by its tags still.
   * @throws WarmpathError `WP_NOTHING_PREVIOUS` where there is none
   */
  notModified(): never;
}

/** What a producer is given, and what it may decide about its stream before that ends. Tags count from when they are named. */
export type StreamComputation = Pick<Computation, 'signal' | 'setTtl' | 'addTags' | 'doNotStore'>;

export interface CacheResult<V> {
  readonly value: V;
  readonly level: CacheLevel;
  /** Milliseconds since the value was computed, or last found not modified; 0 for one that is new. */
  readonly ageMs: number;
  /** False for a value within its ttl. */
  readonly stale: false | Staleness;
}

export interface CachedStream<C> {
  readonly level: CacheLevel;
  readonly ageMs: number;
  /** Every chunk from the first on. Iterate it once; leaving early lets go of the source when nobody else reads it. */
  readonly chunks: AsyncIterable<C>;
}

/** What became of an invalidation. In this process it always holds from the call on. */
export interface Invalidated {
  /**
   * The store could not be told yet. It will be, as soon as it answers; until then this process takes nothing from it that
   * the invalidation covers, while other processes on the same store may.
   */
  readonly deferred: boolean;
}

export interface WrapOptions<Args extends readonly unknown[]> extends Omit<WriteCall, 'tags'> {
  /** Part of every key. Default: the name of the function, which must have one. */
  readonly name?: string;
  /** What tells calls apart, as data. Default: all arguments. */
  readonly key?: (...args: Args) => unknown;
  readonly tags?: readonly string[] | ((...args: Args) => readonly string[]);
}

/** A function that answers from the cache. */
export interface Wrapped<Args extends readonly unknown[], V> {
  (...args: Args): Promise<V>;
  /** The cache's key for these arguments. */
  key(...args: Args): unknown;
  peek(...args: Args): V | undefined;
  /** Forgets what was kept for these arguments. */
  invalidate(...args: Args): Promise<Invalidated>;
  /** Asks anew for these arguments, keeping what is there to stand in for a failure. */
  expire(...args: Args): Promise<Invalidated>;
}

/**
 * Values by key, computed at most once at a time. A key is any data (see `canonicalKey`). Values are data too and isolated:
 * what one caller does to its value reaches no other (see `isolation` for how, and for what each way costs).
 */
export interface Cache {
  readonly name: string;
  /**
   * The cached value, or the outcome of `compute`, which runs once however many ask meanwhile. Its error goes to all who
   * wait and is not kept. null, undefined, 0, '' and false are values like any other. It runs as the tenant whose entry it
   * is and knows nothing else of the caller who came first; asking for its own key inside it would wait for itself.
   * @throws WarmpathError `WP_BAD_KEY`, `WP_TENANT_REQUIRED`; the computation's error; the reason of the caller's signal
   */
  getOrSet<V>(key: unknown, compute: (computation: Computation) => V | Promise<V>, call?: CacheCall): Promise<V>;
  /** `getOrSet`, saying where the value came from, how old it is, and whether it is stale. */
  resolve<V>(
    key: unknown,
    compute: (computation: Computation) => V | Promise<V>,
    call?: CacheCall,
  ): Promise<CacheResult<V>>;
  /** What memory holds and is fresh, without waiting, asking the store or computing; undefined when it holds nothing. */
  peek<V>(key: unknown, call?: TenantCall): V | undefined;
  /** What is kept and fresh, in memory or in the store; undefined when nothing is, or the store does not answer in time. */
  get<V>(key: unknown, call?: ReadCall): Promise<CacheResult<V> | undefined>;
  /** `get` for many keys, in their order: one round trip to the store for all that memory does not hold. */
  getMany<V>(keys: readonly unknown[], call?: ReadCall): Promise<(CacheResult<V> | undefined)[]>;
  /**
   * `getOrSet` for many keys, in their order: one round trip to the store, then one computation for all keys that neither
   * tier holds and nobody computes already, in copies. What it decides (ttl, tags, not to store) holds for all of them.
   * An Error in the place of a value fails that key alone: it goes to all who wait for that key, and to this call in the
   * place of all values, while the values of the other keys are kept and reach those who wait for them.
   * @throws WarmpathError `WP_BATCH_MISMATCH` when there is not one value for each missing key; the first error of a key
   */
  getOrSetMany<K, V>(
    keys: readonly K[],
    compute: (
      missing: readonly K[],
      computation: Computation,
    ) => readonly (V | Error)[] | Promise<readonly (V | Error)[]>,
    call?: CacheCall,
  ): Promise<V[]>;
  /**
   * Keeps a value that was had in another way. It takes the place of what is there and of what is being computed for its key,
   * also when it cannot be kept itself, having no copy, no room or no ttl: an old value is not served after a newer one was
   * set. Why it is not kept is an event; nothing is thrown. Other processes are told where the store can do that, as Redis
   * can: then what they have in memory and compute just now goes as well. Elsewhere `delete` first where that matters.
   */
  set(key: unknown, value: unknown, call?: WriteCall): Promise<void>;
  /** `set` for many, in one round trip. Of two values for one key the last one counts. */
  setMany(entries: Iterable<readonly [key: unknown, value: unknown]>, call?: WriteCall): Promise<void>;
  /**
   * A stream as a value: callers who come while it runs get it from its first chunk on, those who come later get the
   * kept one. `produce` is called once, when somebody reads, and its source is pulled as the fastest reader reads. Its error
   * goes to all readers. Only a stream that ended by itself is kept. Who joins waits for nothing; who comes first waits for
   * the store. What `getOrSet` keeps under the key is another entry; whatever forgets the key forgets both. Processes that
   * share a store which shares streams (`redisStore()`) count as one: the others follow what one produces.
   * @throws WarmpathError as `getOrSet`. Its iteration: the source's error, of which another process can tell no more than
   *   name, message, code and details; `WP_OVERLOADED` for a reader so far behind that memory cannot keep the stream for it;
   *   `WP_DEADLINE` for one that was idle for five minutes; `WP_STREAM_LOST` for one that has had chunks of another process
   *   which has died, or cannot be reached any more
   */
  stream<C>(
    key: unknown,
    produce: (computation: StreamComputation) => Chunks<C> | Promise<Chunks<C>>,
    call?: StreamCall<C>,
  ): Promise<CachedStream<C>>;
  /**
   * `stream` for those who want the whole: `toWhole` makes it of all chunks, for each caller anew. It shares the entry with
   * `stream`, and whatever is under way. A producer may give all chunks at once, so an upstream that is asked for a whole
   * answer serves streams too: `async ({ signal }) => toChunks(await answer(signal))`.
   */
  collect<C, V>(
    key: unknown,
    produce: (computation: StreamComputation) => Chunks<C> | Promise<Chunks<C>>,
    toWhole: (chunks: readonly C[]) => V,
    call?: CollectCall<C>,
  ): Promise<CacheResult<V>>;
  /** Forgets a value: in memory at once, in the store when it answers. What is being computed for it is not kept either. */
  delete(key: unknown, call?: TenantCall): Promise<Invalidated>;
  /** `delete`, but what is there is kept for its `grace`, to stand in when its next computation is slow or fails. */
  expire(key: unknown, call?: TenantCall): Promise<Invalidated>;
  /** Forgets every value, of every tenant, that was kept with one of these tags. */
  invalidateTags(tags: readonly string[]): Promise<Invalidated>;
  /** Forgets everything, of every tenant. The cost does not depend on how much there is. */
  clear(): Promise<Invalidated>;
  /**
   * A function whose answers are cached, with the means to ask for and forget them by its arguments. Its name is part of
   * the keys, so that two functions of one name share their answers: name them apart, unless that is meant.
   * @throws WarmpathError `WP_BAD_OPTION` for a function without a name, unless one is given
   */
  wrap<Args extends readonly unknown[], V>(
    fn: (...args: Args) => V | Promise<V>,
    options?: WrapOptions<Args>,
  ): Wrapped<Args, V>;
  /** Ends refreshes in the background, for good, and waits for writes to the store: at most one store deadline. */
  close(): Promise<void>;
}
