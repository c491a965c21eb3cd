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

export interface StoreLeaseRequest {
  readonly namespace: string;
  readonly keys: readonly string[];
  /** What `getMany` answered with for these keys, alone or among others. */
  readonly fence: Fence;
  /** Unique: it tells one holder from all others. */
  readonly token: string;
  readonly signal: AbortSignal;
}

export interface StoreLeases {
  /**
   * In the order of the keys: `'granted'` is the right to compute it; `'held'` while somebody else does; or the entry that
   * has come since the fence.
   */
  readonly outcomes: readonly ('granted' | 'held' | StoredEntry)[];
  /** To store with, also what is computed in spite of being held: in place of the one that was given. */
  readonly fence: Fence;
  /** How long a lease lasts unless it is renewed. */
  readonly ttlMs: number;
}

export interface StoreLeaseHold {
  readonly namespace: string;
  readonly keys: readonly string[];
  readonly token: string;
  readonly signal: AbortSignal;
}

/** Who computes what, among all who share a store: one at a time for each key. What may be stored is the fence's affair. */
export interface StoreLeasing {
  acquire(request: StoreLeaseRequest): Promise<StoreLeases>;
  /** Leases that are lost stay lost. */
  renew(hold: StoreLeaseHold): Promise<void>;
  /** Ends those that are still held by the token. `setMany` does not. */
  release(hold: StoreLeaseHold): Promise<void>;
}

/** Some chunks of a stream, in whatever form, or with `isLast` how it has ended. */
export interface StreamPiece {
  /** How many chunks of the stream there are up to the end of this piece: a later piece has more, but for the last one. */
  readonly end: number;
  readonly bytes: Uint8Array;
  readonly isLast: boolean;
}

export interface StoreStreamPlace {
  readonly namespace: string;
  readonly key: string;
  readonly signal: AbortSignal;
}

export interface StoreStreamAppend extends StoreStreamPlace {
  /** The token that its producer has asked for the lease with. Each run has a log of its own. */
  readonly run: string;
  /** How many chunks there are before the pieces. */
  readonly from: number;
  /** None: to hear whether somebody follows, and to keep the log. */
  readonly pieces: readonly StreamPiece[];
}

export interface StoreStreamState {
  /** Whether somebody follows the run. If not, nothing was written. */
  readonly isFollowed: boolean;
  /** How many chunks the log has now; when they are fewer than `from`, nothing was written: its beginning is missing. */
  readonly length: number;
}

export interface StoreStreamRead extends StoreStreamPlace {
  readonly run: string;
  /** How many chunks are known. */
  readonly from: number;
  /** 0: only to go on following. */
  readonly mostPieces: number;
}

export interface StoreStreamPieces {
  /** Whether there is a log of the run. */
  readonly isThere: boolean;
  /** In order, from the one with the next chunk on, which may begin earlier. */
  readonly pieces: readonly StreamPiece[];
}

/**
 * Streams that one process produces and others follow while it does, each run in a log of its own. A run that nobody follows
 * has none. Whoever watches the key in a feed is called when a run begins to be followed, and when its log grows.
 *
 * What one has said lasts as long as a lease does: a run is followed for so long after each `read`; a log stays for so long
 * after each `append` and, once it has its last piece, after each `read`.
 */
export interface StoreStreaming {
  /** @returns the token that has the lease of the key; undefined when nobody has it */
  holder(of: StoreStreamPlace): Promise<string | undefined>;
  /** Pieces that end where the log has come to already are not written again; none are after the last one. */
  append(append: StoreStreamAppend): Promise<StoreStreamState>;
  read(read: StoreStreamRead): Promise<StoreStreamPieces>;
}

/** What other users of the same store do, for caches that hold values in memory too. */
export interface StoreFeed {
  /**
   * What others have invalidated since the last call, oldest first; `'gap'` when that cannot be said any more: what memory
   * holds has to be compared with the store then. Undefined when there is nothing. Synchronous, asked on hits in memory.
   */
  poll(): readonly Invalidation[] | 'gap' | undefined;
  /** For how many milliseconds it has not been known that everything was heard. Without it `poll` always knows. */
  silentMs?(): number;
  /**
   * Calls when a key may be worth another look: its lease has ended, it was invalidated, a stream of it is followed or goes
   * on (see `StoreStreaming`), or the feed has begun anew.
   * @returns how to end it
   */
  watch?(key: string, onChange: () => void): () => void;
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
  /** Where computations are shared with others, too. Such a store may refuse values whose fence is not of `acquire`. */
  readonly leasing?: StoreLeasing;
  /** Where streams under way are shared with others, too. Only beside `leasing`. */
  readonly streaming?: StoreStreaming;
  /** Where others share the store and it can tell what they do. */
  openFeed?(namespace: string): StoreFeed;
}
