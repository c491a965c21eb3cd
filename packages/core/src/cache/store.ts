/** What a store keeps of one computed value. */
export interface StoredEntry {
  readonly value: unknown;
  /** Wall-clock milliseconds since 1970, since other processes read it. */
  readonly storedAt: number;
  readonly expiresAt: number;
  /** How long the value took to compute: what a hit saves. */
  readonly computeMs: number;
}

/**
 * A second tier that outlives the process or is shared between processes. The cache puts a deadline on every call, so a
 * store may be slow, fail or hang; it must not return an entry other than the one that was set under the key.
 */
export interface CacheStore {
  readonly name: string;
  /** The entry, or undefined when there is none or what is there is not an entry of ours. */
  get(key: string): Promise<StoredEntry | undefined>;
  /** @param ttlMs after which the store may forget the entry */
  set(key: string, entry: StoredEntry, ttlMs: number): Promise<void>;
  delete(key: string): Promise<void>;
}
