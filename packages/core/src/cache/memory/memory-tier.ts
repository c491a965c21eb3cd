import type { EvictionPolicy, Limit } from './eviction.js';
import { Lru } from './lru.js';
import { MemoryEntry, type MemoryFields } from './memory-entry.js';
import type { Partition } from './partition.js';
import { Partitions } from './partitions.js';
import { S3Fifo } from './s3-fifo.js';

export type { MemoryEntry, MemoryFields };

/** The limit that an entry left for, or `too-large`: it was never let in. */
export type EvictionReason = Limit | 'too-large';

export interface MemoryTierOptions {
  /** At least 1. A Map of V8 cannot be trusted with more than 2^23 entries that come and go, so neither is the tier. */
  readonly maxEntries: number;
  readonly maxBytes: number;
  readonly maxBytesPerTenant: number | undefined;
  readonly eviction: 's3-fifo' | 'lru';
  /** Called once for each entry that memory lets go of or refuses by itself, when everything is in order again. */
  readonly onEvict?: (entry: MemoryEntry, reason: EvictionReason) => void;
}

interface Departure {
  readonly entry: MemoryEntry;
  readonly reason: EvictionReason;
}

const mapLimit = 2 ** 23;

/** One entry may take this part of the byte limit, and of its tenant's. */
const largestPart = 0.1;

/**
 * The first tier: entries by tenant and key, bounded in number and in estimated bytes. It knows nothing of time, freshness or isolation.
 * Each tenant's entries are a partition with a policy of its own, those without a tenant are one more; see `Partitions` for who gives way to whom.
 * `get`, `use`, `remove` and `delete` are O(1), `set` is amortised O(1); with n tenants `set` and removals cost O(log n) more at worst.
 */
export class MemoryTier {
  readonly #maxEntries: number;
  readonly #maxBytes: number;
  readonly #maxBytesPerTenant: number;
  readonly #onEvict: ((entry: MemoryEntry, reason: EvictionReason) => void) | undefined;
  readonly #partitions: Partitions;
  readonly #createPolicy: () => EvictionPolicy;
  #policy: EvictionPolicy;

  constructor({ maxEntries, maxBytes, maxBytesPerTenant, eviction, onEvict }: MemoryTierOptions) {
    this.#maxEntries = Math.min(maxEntries, mapLimit);
    this.#maxBytes = maxBytes;
    this.#maxBytesPerTenant = maxBytesPerTenant ?? Number.POSITIVE_INFINITY;
    this.#onEvict = onEvict;
    this.#partitions = new Partitions(this.#maxEntries, maxBytes);
    this.#createPolicy = eviction === 'lru' ? () => new Lru() : () => new S3Fifo(() => this.#partitions.size);
    this.#policy = this.#createPolicy();
  }

  get size(): number {
    return this.#partitions.size;
  }

  /** The estimate of all entries, and of what it takes to keep their tenants apart. */
  get bytes(): number {
    return this.#partitions.bytes;
  }

  /** Does not count as use. */
  get(tenant: string | undefined, key: string): MemoryEntry | undefined {
    return this.#partitions.find(tenant)?.entries.get(key);
  }

  /** Counts a hit. */
  use(entry: MemoryEntry): void {
    this.#partitions.touch(entry.partition);
    this.#policy.use(entry);
  }

  /**
   * Keeps a value under a key, in place of what the key had, and evicts what has to make room.
   * @returns undefined when it is not kept, and then the key has nothing: it is above a tenth of the byte limit or of its tenant's, or nobody has to
   * make room for it, since it alone would be more than any other tenant has
   */
  set(tenant: string | undefined, key: string, fields: MemoryFields): MemoryEntry | undefined {
    const partition = this.#partitions.of(tenant);
    const entry = new MemoryEntry(partition, key, fields);
    const departures: Departure[] = [];
    const older = partition.entries.get(key);
    if (older) {
      entry.succeed(older);
      this.#unqueue(older);
    }
    const refusal = this.#isTooLarge(entry) ? 'too-large' : this.#makeRoom(entry, departures);
    if (refusal) {
      entry.queue = 0;
      if (older) partition.entries.delete(key);
      departures.push({ entry, reason: refusal });
    } else {
      partition.entries.set(key, entry);
      this.#policy.admit(entry);
      this.#partitions.resize(partition, 1, entry.bytes);
      this.#partitions.touch(partition);
    }
    this.#partitions.leaveIfEmpty(partition);
    for (const departure of departures) this.#onEvict?.(departure.entry, departure.reason);
    return refusal ? undefined : entry;
  }

  /** @returns what was there */
  delete(tenant: string | undefined, key: string): MemoryEntry | undefined {
    const entry = this.get(tenant, key);
    if (entry) this.remove(entry);
    return entry;
  }

  /** Takes an entry out, unless it has left already. */
  remove(entry: MemoryEntry): void {
    const { partition } = entry;
    if (entry.queue === 0 || !this.#partitions.isKnown(partition)) return;
    this.#unqueue(entry);
    partition.entries.delete(entry.key);
    this.#partitions.leaveIfEmpty(partition);
  }

  /** Takes no longer for many entries than for few. */
  clear(): void {
    this.#partitions.clear();
    this.#policy = this.#createPolicy();
  }

  #isTooLarge({ bytes, tenant }: MemoryEntry): boolean {
    if (bytes > this.#maxBytes * largestPart) return true;
    return tenant !== undefined && bytes > this.#maxBytesPerTenant * largestPart;
  }

  /** @returns the limit that cannot be kept, if there is one */
  #makeRoom({ partition, bytes }: MemoryEntry, departures: Departure[]): Limit | undefined {
    const partitions = this.#partitions;
    partitions.enter(partition);
    if (partition.tenant !== undefined) {
      while (partition.bytes + bytes > this.#maxBytesPerTenant) {
        if (!this.#evict(partition, 'tenant', departures)) return 'tenant';
      }
    }
    for (;;) {
      const limit = this.#exceededBy(bytes);
      if (!limit) return undefined;
      const victim = partitions.victimFor(partition, bytes);
      if (!victim || !this.#evict(victim, limit, departures)) return limit;
      if (victim !== partition) partitions.leaveIfEmpty(victim);
    }
  }

  #exceededBy(bytes: number): Limit | undefined {
    if (this.#partitions.size >= this.#maxEntries) return 'entries';
    return this.#partitions.bytes + bytes > this.#maxBytes ? 'bytes' : undefined;
  }

  #evict(partition: Partition, limit: Limit, departures: Departure[]): boolean {
    const entry = this.#policy.evict(partition, limit);
    if (!entry) return false;
    partition.entries.delete(entry.key);
    this.#partitions.resize(partition, -1, -entry.bytes);
    departures.push({ entry, reason: limit });
    return true;
  }

  #unqueue(entry: MemoryEntry): void {
    const { partition } = entry;
    partition.queueOf(entry)?.remove(entry);
    this.#partitions.resize(partition, -1, -entry.bytes);
  }
}
