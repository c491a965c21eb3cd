import type { EvictionPolicy, Limit } from './eviction.js';
import { Lru } from './lru.js';
import { MemoryEntry, type MemoryFields } from './memory-entry.js';
import type { Partition } from './partition.js';
import { Partitions } from './partitions.js';
import { S3Fifo } from './s3-fifo.js';

export type { MemoryEntry };

/** The limit that an entry left for, or `too-large`: it was never let in. */
export type EvictionReason = Limit | 'too-large';

export interface MemoryTierOptions {
  /** At least 1. No more than 2^23 are kept: V8 refuses to grow a Map that has more of them coming and going. */
  readonly maxEntries: number;
  readonly maxBytes: number;
  readonly maxBytesPerTenant: number | undefined;
  readonly eviction: 's3-fifo' | 'lru';
  /** Called once for each entry that is evicted or refused, when all is in order again: it may call back. */
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
 * The first tier: entries by tenant and key, bounded in number and in estimated bytes. It knows nothing of time,
 * freshness or isolation. Each tenant's entries are a partition, evicted from apart from all others, and those without
 * a tenant are one more, without a quota; `Partitions` says who gives way to whom.
 *
 * `get` and `use` are O(1) and allocate nothing; `set`, `delete` and `remove` are amortised O(1), and where there are n
 * tenants O(log n) at worst.
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
   * @returns undefined when it is not kept, and then the key has nothing: it takes more than a tenth of the byte limit
   * or of its tenant's, or it alone would be more than what any other tenant has, so that nobody makes room
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
