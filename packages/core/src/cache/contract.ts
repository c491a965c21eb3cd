import type { Duration } from '../kernel/index.js';

/** Where a value came from: this process' memory, the store, somebody else's computation under way, or a new one. */
export type CacheLevel = 'memory' | 'store' | 'shared' | 'computed';

export interface CacheCall {
  /** Default: the tenant of the running CallContext. */
  readonly tenant?: string;
  /** Detaches this caller; the work goes on while others wait for it. The CallContext's signal counts as well. */
  readonly signal?: AbortSignal;
  /** For what this call computes, instead of the cache's ttl. */
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
 * Values by key, computed at most once at a time. A key is any data (see `canonicalKey`); each caller gets a value of
 * its own, so that changing it changes nobody else's.
 */
export interface Cache {
  readonly name: string;
  /**
   * The cached value, or the outcome of `compute`, which runs once however many ask meanwhile. Its error goes to all who
   * wait and is not kept. null, undefined, 0, '' and false are values like any other.
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
  /** Forgets a value in both tiers; a computation that is under way is not kept either. */
  delete(key: unknown, call?: CacheCall): Promise<void>;
  /** Waits for writes to the store that are under way: at most one store deadline. */
  close(): Promise<void>;
}
