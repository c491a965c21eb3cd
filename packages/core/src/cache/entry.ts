import type { Kept } from './isolation/isolation.js';
import type { MemoryEntry } from './memory/memory-tier.js';

/** One value with what the cache knows of it, whether memory keeps it or not. Times are on the monotonic scale. */
export type Entry = Pick<
  MemoryEntry,
  'value' | 'isShareable' | 'storedAt' | 'freshUntil' | 'keptUntil' | 'computeMs' | 'tags'
>;

/** How long a value that is kept now is good for, and what rules it. */
export interface Lifetime {
  readonly freshMs: number;
  /** From now on as well: it stands in once it is no longer fresh. */
  readonly keptMs: number;
  readonly computeMs: number;
  readonly tags: readonly string[];
}

/** @param kept undefined for a value that has no copy: it is handed out as it is */
export function newEntry(kept: Kept | undefined, value: unknown, now: number, lifetime: Lifetime): Entry {
  return {
    value: kept ? kept.value : value,
    isShareable: kept?.isShareable ?? true,
    storedAt: now,
    freshUntil: now + lifetime.freshMs,
    keptUntil: now + lifetime.keptMs,
    computeMs: lifetime.computeMs,
    tags: lifetime.tags.length > 0 ? lifetime.tags : undefined,
  };
}
