import type { MemoryEntry } from './memory-entry.js';
import type { Partition } from './partition.js';

/** The limit that an eviction is to keep: entries, bytes, or the bytes of one tenant. */
export type Limit = 'entries' | 'bytes' | 'tenant';

/** Who leaves. A policy orders the entries of each partition in its two queues. */
export interface EvictionPolicy {
  /** Queues an entry. One that succeeds another of its key names that one's queue already, though it is in none. */
  admit(entry: MemoryEntry): void;
  /** A hit. */
  use(entry: MemoryEntry): void;
  /** Takes the entry that is to leave out of its queue, and returns it; undefined when the partition has none. */
  evict(partition: Partition, limit: Limit): MemoryEntry | undefined;
}
