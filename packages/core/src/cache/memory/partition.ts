import { stringBytes } from '../isolation/footprint.js';
import { EntryQueue } from './entry-queue.js';
import { fingerprint } from './ghost-queue.js';
import type { MemoryEntry } from './memory-entry.js';

/** This object, its Map and its queues, as measured. */
const overheadBytes = 600;

/** The entries of one tenant, or of all calls without one. It is evicted from apart from all others. */
export class Partition {
  readonly tenant: string | undefined;
  /** It is forgotten, with all that is in it, once its tier is in another era. */
  readonly era: number;
  readonly entries: Map<string, MemoryEntry> = new Map();
  /** Where entries prove themselves; empty under LRU. */
  readonly small: EntryQueue = new EntryQueue(1);
  readonly main: EntryQueue = new EntryQueue(2);
  /** What it takes beside its entries, so that a flood of tenants is bounded like one of entries. */
  readonly overheadBytes: number;
  /** Mixed into the fingerprints of its keys. */
  readonly seed: number;
  /** The mean of log2 of what its entries cost to compute per byte, over those that came in last. */
  meanDensity = 0;
  /** Of how many that is the mean. */
  densities = 0;
  /** The larger of what it has of the byte limit and of the entry limit. */
  share = 0;
  /** Its index in the heap of shares; -1 while it has no entries. */
  heapIndex = -1;
  /** The generation of tenants in which it was last used, and its neighbours in the order of that. */
  usedIn = 0;
  previous: Partition | undefined = undefined;
  next: Partition | undefined = undefined;

  constructor(tenant: string | undefined, era: number) {
    this.tenant = tenant;
    this.era = era;
    this.overheadBytes = tenant === undefined ? 0 : overheadBytes + stringBytes(tenant);
    this.seed = tenant === undefined ? 0 : fingerprint(tenant, 0);
  }

  get size(): number {
    return this.small.size + this.main.size;
  }

  get bytes(): number {
    return this.overheadBytes + this.small.bytes + this.main.bytes;
  }

  queueOf(entry: MemoryEntry): EntryQueue | undefined {
    if (entry.queue === 0) return undefined;
    return entry.queue === 1 ? this.small : this.main;
  }
}
