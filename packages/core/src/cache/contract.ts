import type { Duration } from '../kernel/index.js';

/** Where a value came from: this process' memory, the store, somebody else's computation under way, or a new one. */
export type CacheLevel = 'memory' | 'store' | 'shared' | 'computed';

export interface CacheCall {
  /** Default: the tenant of the running CallContext. */
  readonly tenant?: string;
  /** Detaches this caller; the work goes on while others wait for it. The CallContext's signal counts as well. */
  readonly signal?: AbortSignal;
  /** For what this call computes, instead of the cache's ttl; 0 keeps nothing. */
  readonly ttl?: Duration;
}

export interface StreamCall<C> extends CacheCall {
  /** Whether a stream that ended is worth keeping; default: every one is. */
  readonly isComplete?: (chunks: readonly C[]) => boolean;
}

/** What a computation is given. */
export interface Computation {
  /** Aborted when the last caller that waits for the value has left. */
  readonly signal: AbortSignal;
}

export interface CacheResult<V> {
  readonly value: V;
  readonly level: CacheLevel;
  /** Milliseconds since the value was computed; 0 for one that is new. */
  readonly ageMs: number;
}

export interface CachedStream<C> {
  readonly level: CacheLevel;
  readonly ageMs: number;
  /** Every chunk from the first on. Iterate it once; leaving early lets go of the source when nobody else reads it. */
  readonly chunks: AsyncIterable<C>;
}

/**
 * Values by key, computed at most once at a time. A key is any data (see `canonicalKey`). Values are data too: each caller
 * gets a structured clone of its own, so that changing it changes nobody else's, and class instances come back as plain
 * objects, at the first call as at every later one. What has no clone (a function, an open handle) is handed to those who
 * wait for it as it is and not kept.
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
  /** `getOrSet`, saying where the value came from and how old it is. */
  resolve<V>(
    key: unknown,
    compute: (computation: Computation) => V | Promise<V>,
    call?: CacheCall,
  ): Promise<CacheResult<V>>;
  /** What memory holds, without waiting, asking the store or computing; undefined when it holds nothing. */
  peek<V>(key: unknown, call?: CacheCall): V | undefined;
  /**
   * A stream as a value: callers who come while it runs get it from its first chunk on, those who come later get the
   * kept one. Only a stream that ended by itself is kept.
   */
  stream<C>(
    key: unknown,
    produce: (computation: Computation) => AsyncIterable<C>,
    call?: StreamCall<C>,
  ): Promise<CachedStream<C>>;
  /**
   * Forgets a value: in memory at once, in the store when it answers. A computation that is under way is not kept either. A
   * store that fails or is late keeps its entry up to the ttl, which is an event (`cache.store-failed`).
   */
  delete(key: unknown, call?: CacheCall): Promise<void>;
  /** Waits for writes to the store that are under way: at most one store deadline. */
  close(): Promise<void>;
}
