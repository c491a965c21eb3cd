import { GhostQueue } from './ghost-queue.js';
import { Partition } from './partition.js';
import { ShareHeap } from './share-heap.js';

/** A tenant counts as gone when so many new ones have come, and half as many as there are. */
const fewestNewcomers = 100;

/** Tenants that left are known again at least until so many others have left. */
const fewestDeparted = 1_024;

/**
 * All partitions with entries, what they hold together, and which of them has to give way.
 *
 * That is the one with the largest share, a share being the larger of its parts of the two limits (dominant resource
 * fairness, Ghodsi et al., NSDI 2011). At a limit the largest share is above the average, so a tenant within 1/n of
 * both limits never gives way to another's flood. Tenants that are gone would keep their last entries for ever then, so
 * one that did nothing while new tenants came, half as many as there are and at least a hundred, gives way before all
 * others, down to its last entry. A tenant that comes back is not new, so none can make the others look gone by itself.
 */
export class Partitions {
  /** Entries of all partitions. */
  size = 0;
  /** What these entries and the partitions themselves take. */
  bytes = 0;
  readonly #maxEntries: number;
  readonly #maxBytes: number;
  #era = 0;
  #untenanted = new Partition(undefined, 0);
  #tenants = new Map<string, Partition>();
  #heap = new ShareHeap();
  /** How many new tenants have come. */
  #generation = 0;
  /** Partitions with entries in the order of the generation of their last use. */
  #first: Partition | undefined = undefined;
  #last: Partition | undefined = undefined;
  /** The tenants that left last. */
  #departed = new GhostQueue();

  constructor(maxEntries: number, maxBytes: number) {
    this.#maxEntries = maxEntries;
    this.#maxBytes = maxBytes;
  }

  find(tenant: string | undefined): Partition | undefined {
    return tenant === undefined ? this.#untenanted : this.#tenants.get(tenant);
  }

  /** The partition of a tenant, or one that may `enter`. */
  of(tenant: string | undefined): Partition {
    return this.find(tenant) ?? new Partition(tenant, this.#era);
  }

  /** Whether it has not been forgotten by `clear`. */
  isKnown(partition: Partition): boolean {
    return partition.era === this.#era;
  }

  /** Takes in a partition that is about to get an entry. */
  enter(partition: Partition): void {
    if (partition.heapIndex >= 0) return;
    const { tenant, seed } = partition;
    if (tenant !== undefined) {
      this.#tenants.set(tenant, partition);
      if (!this.#departed.take(seed, this.#departedKnown)) this.#generation++;
    }
    this.bytes += partition.overheadBytes;
    partition.share = this.#shareOf(partition.bytes, partition.size);
    this.#heap.add(partition);
    this.#link(partition);
  }

  /** Lets a partition go that has no entries. */
  leaveIfEmpty(partition: Partition): void {
    if (partition.size > 0 || partition.heapIndex < 0) return;
    const { tenant, seed } = partition;
    if (tenant !== undefined) {
      this.#tenants.delete(tenant);
      this.#departed.add(seed, this.#departedKnown);
    }
    this.bytes -= partition.overheadBytes;
    this.#heap.remove(partition);
    this.#unlink(partition);
  }

  /** Something of the partition was used. */
  touch(partition: Partition): void {
    if (partition.usedIn === this.#generation || partition.heapIndex < 0 || !this.isKnown(partition)) return;
    this.#unlink(partition);
    this.#link(partition);
  }

  /** Something came into the partition, or with negative numbers left it. O(log n) in the number of partitions. */
  resize(partition: Partition, entries: number, bytes: number): void {
    this.size += entries;
    this.bytes += bytes;
    partition.share = this.#shareOf(partition.bytes, partition.size);
    this.#heap.update(partition);
  }

  /** Who gives way, so that a partition can get an entry; undefined when the entry itself has to. */
  victimFor(partition: Partition, entryBytes: number): Partition | undefined {
    const idle = this.#first;
    if (idle && idle !== partition && this.#generation - idle.usedIn > this.#idleAfter) return idle;
    const other = this.#heap.largestBut(partition);
    if (!other) return partition.size > 0 ? partition : undefined;
    if (other.share >= this.#shareOf(partition.bytes + entryBytes, partition.size + 1)) return other;
    // With all of its own entries gone it might still have the largest share and not fit: then they stay.
    const aloneBytes = partition.overheadBytes + entryBytes;
    const fits =
      this.bytes - partition.bytes + aloneBytes <= this.#maxBytes && this.size - partition.size + 1 <= this.#maxEntries;
    return fits || other.share >= this.#shareOf(aloneBytes, 1) ? partition : undefined;
  }

  /** Forgets everything, in the time that it takes to drop the references. */
  clear(): void {
    this.#era++;
    this.#untenanted = new Partition(undefined, this.#era);
    this.#tenants = new Map();
    this.#heap = new ShareHeap();
    this.#departed = new GhostQueue();
    this.#first = undefined;
    this.#last = undefined;
    this.size = 0;
    this.bytes = 0;
  }

  get #idleAfter(): number {
    return Math.max(this.#heap.size / 2, fewestNewcomers);
  }

  get #departedKnown(): number {
    return Math.max(this.#heap.size, fewestDeparted);
  }

  #shareOf(bytes: number, entries: number): number {
    return Math.max(bytes / this.#maxBytes, entries / this.#maxEntries);
  }

  #link(partition: Partition): void {
    partition.usedIn = this.#generation;
    partition.previous = this.#last;
    if (this.#last) this.#last.next = partition;
    else this.#first = partition;
    this.#last = partition;
  }

  #unlink(partition: Partition): void {
    const { previous, next } = partition;
    if (previous) previous.next = next;
    else this.#first = next;
    if (next) next.previous = previous;
    else this.#last = previous;
    partition.previous = undefined;
    partition.next = undefined;
  }
}
