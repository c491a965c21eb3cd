/** What a store keeps of one value. */
export interface StoredEntry {
  /** What the cache's codec made of the value; a store need not understand it. */
  readonly bytes: Uint8Array;
  /** The times are wall-clock milliseconds since 1970, since other processes read them. */
  readonly storedAt: number;
  /** Served as it is until then; 0 once the entry was expired by hand. */
  readonly freshUntil: number;
  /** Kept until then to stand in when a computation is slow or fails; never before `freshUntil`. */
  readonly keptUntil: number;
  /** How long the value took to compute: what a hit saves. */
  readonly computeMs: number;
  readonly tags: readonly string[];
}

/**
 * What a store knew of its invalidations when it was asked: opaque to everybody else. A value whose computation began with
 * a fence is stored only if nothing that covers it was invalidated since.
 */
export type Fence = unknown;

export interface StoreRead {
  /** The cache that asks; its entries, tags and clears are its own. */
  readonly namespace: string;
  readonly keys: readonly string[];
  /** Tags that the values are known to have, for stores that can learn of them in the same round trip. */
  readonly tags: readonly string[];
  /** Aborted when the answer is no longer waited for. */
  readonly signal: AbortSignal;
}

export interface StoreAnswer {
  /**
   * In the order of the keys; undefined where there is none, or one that was invalidated; `'unreadable'` where what is there
   * is damaged, foreign or of another version: it counts as none.
   */
  readonly entries: readonly (StoredEntry | 'unreadable' | undefined)[];
  readonly fence: Fence;
}

export interface StoreWrite {
  readonly namespace: string;
  readonly entries: readonly {
    readonly key: string;
    readonly entry: StoredEntry;
    /** As the store gave it before the computation began; undefined for a value that is new by itself. */
    readonly fence: Fence;
  }[];
  readonly signal: AbortSignal;
}

/** What is no longer right. `expire` keeps the values to stand in, everything else forgets them. */
export type Invalidation =
  | { readonly type: 'delete'; readonly keys: readonly string[] }
  | { readonly type: 'expire'; readonly keys: readonly string[] }
  | { readonly type: 'tags'; readonly tags: readonly string[] }
  | { readonly type: 'clear' };

export interface StoreInvalidation {
  readonly namespace: string;
  readonly invalidation: Invalidation;
  readonly signal: AbortSignal;
}

/** What other users of the same store invalidate, for caches that hold values in memory too. */
export interface StoreFeed {
  /**
   * What others have invalidated since the last call, oldest first; `'gap'` when that cannot be said any more; undefined
   * when there is nothing. Synchronous, asked on hits in memory.
   */
  poll(): readonly Invalidation[] | 'gap' | undefined;
  close(): void;
}

/**
 * A tier that outlives the process or is shared by processes. The cache puts a deadline on every call, so a store may be
 * slow, fail or hang. It must never return an entry other than the one that was set under the key, nor one that was
 * invalidated, by its key, by one of its tags or by a clear of its namespace, before the call was made.
 */
export interface CacheStore {
  readonly name: string;
  getMany(read: StoreRead): Promise<StoreAnswer>;
  /** @returns for each entry whether it was stored; false: it was invalidated since its fence */
  setMany(write: StoreWrite): Promise<readonly boolean[]>;
  invalidate(invalidation: StoreInvalidation): Promise<void>;
  /** Where others share the store and it can tell what they do. */
  openFeed?(namespace: string): StoreFeed;
}
