import type { EvictionPolicy, Limit } from './eviction.js';
import { fingerprint, GhostQueue } from './ghost-queue.js';
import type { MemoryEntry } from './memory-entry.js';
import type { Partition } from './partition.js';

// What an entry carries in its low 16 bits: its uses since it came into its queue, its weight, and the rounds that it
// may still make in the small queue.
const usesMask = 0xf;
const weightShift = 4;
const weightMask = 0x7 << weightShift;
const roundsShift = 8;
const round = 1 << roundsShift;
const roundsMask = 0xf << roundsShift;

const mostUses = 3;
const mostWeight = 4;
/** More than this many takes an entry from the small queue to the main one. */
const usesToStay = 1;
/** The small queue gives way first while it holds this part or more. */
const smallPart = 0.1;
const ghostPart = 0.9;
const roundsPerWeight = 2;
/** How many of the last entries say what is usual. */
const densityWindow = 1_024;
/** So many entries that have earned to stay are passed over at most: some 50 µs, rather than the whole queue at once. */
const mostPassedOver = 1_000;

/**
 * S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: FIFO queues are all you need for cache eviction, SOSP 2023). New entries go
 * through a small queue. Those used more than once there move to the main one, the others leave, and a ghost queue
 * remembers their keys: one that comes back from there goes to the main queue at once. At the head of the main queue an
 * entry goes to its end again as often as it was used, up to three times. So a scan passes through the small queue and
 * pushes out nothing that is in use.
 *
 * Cost counts in powers of two as in CAMP (Ghandeharizadeh, Irani, Lam, Yap, Middleware 2014): what costs 2^w times the
 * usual to compute per byte has the weight w, up to 4. It makes 2w more rounds in the small queue, moves to the main
 * one after a single use, has w rounds there from the start, and each use counts for 1 + 2w of up to 3 + 3w. The usual
 * is the geometric mean of the last thousand or so of the partition, which a few very dear ones do not move. Where all
 * cost the same per byte this is S3-FIFO to the letter, but for the bound below.
 *
 * A use is O(1). An eviction is amortised O(1) over uses and admissions, and passes over a thousand entries at most.
 */
export class S3Fifo implements EvictionPolicy {
  readonly #ghost = new GhostQueue();
  readonly #heldEntries: () => number;

  /** @param heldEntries how many entries all partitions hold; the ghost queue remembers nine tenths as many */
  constructor(heldEntries: () => number) {
    this.#heldEntries = heldEntries;
  }

  admit(entry: MemoryEntry): void {
    const { partition } = entry;
    const weight = weightOf(entry);
    entry.bits = (entry.bits & ~weightMask) | (weight << weightShift);
    const queue = partition.queueOf(entry);
    if (queue) {
      this.use(entry);
      queue.push(entry);
    } else if (this.#ghost.take(fingerprint(entry.key, partition.seed), this.#window)) enterMain(entry);
    else {
      entry.bits |= weight * roundsPerWeight * round;
      partition.small.push(entry);
    }
  }

  use(entry: MemoryEntry): void {
    const { bits } = entry;
    const weight = (bits & weightMask) >> weightShift;
    const uses = Math.min((bits & usesMask) + 1 + 2 * weight, mostUses + 3 * weight);
    entry.bits = (bits & ~usesMask) | uses;
  }

  evict(partition: Partition, limit: Limit): MemoryEntry | undefined {
    const { small, main } = partition;
    for (let passedOver = 0; ; passedOver++) {
      const isSmall = main.size === 0 || isFull(partition, limit);
      const queue = isSmall && small.first ? small : main;
      const entry = queue.first;
      if (entry === undefined) return undefined;
      queue.remove(entry);
      const isSpared = passedOver < mostPassedOver && (queue === small ? spareInSmall(entry) : spareInMain(entry));
      if (isSpared) continue;
      if (queue === small) this.#ghost.add(fingerprint(entry.key, partition.seed), this.#window);
      return entry;
    }
  }

  get #window(): number {
    return Math.ceil(ghostPart * this.#heldEntries());
  }
}

/** Whether the small queue holds its part of what the limit counts. */
function isFull({ small, main }: Partition, limit: Limit): boolean {
  if (limit === 'entries') return small.size >= smallPart * (small.size + main.size);
  return small.bytes >= smallPart * (small.bytes + main.bytes);
}

function spareInSmall(entry: MemoryEntry): boolean {
  if ((entry.bits & usesMask) > usesToStay) enterMain(entry);
  else if ((entry.bits & roundsMask) > 0) {
    entry.bits -= round;
    entry.partition.small.push(entry);
  } else return false;
  return true;
}

function spareInMain(entry: MemoryEntry): boolean {
  if ((entry.bits & usesMask) === 0) return false;
  entry.bits--;
  entry.partition.main.push(entry);
  return true;
}

function enterMain(entry: MemoryEntry): void {
  const weight = (entry.bits & weightMask) >> weightShift;
  entry.bits = (entry.bits & ~(usesMask | roundsMask)) | weight;
  entry.partition.main.push(entry);
}

/** How many times the usual it cost per byte, as a power of two; an unknown cost is a usual one. */
function weightOf({ computeMs, bytes, partition }: MemoryEntry): number {
  if (!(computeMs > 0 && computeMs < Number.POSITIVE_INFINITY)) return 0;
  const density = Math.log2(computeMs / bytes);
  partition.densities = Math.min(partition.densities + 1, densityWindow);
  partition.meanDensity += (density - partition.meanDensity) / partition.densities;
  return Math.min(Math.max(Math.floor(density - partition.meanDensity), 0), mostWeight);
}
