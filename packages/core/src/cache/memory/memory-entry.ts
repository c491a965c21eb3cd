import { stringBytes } from '../isolation/footprint.js';
import type { Partition } from './partition.js';

/** What the cache knows of a value that it wants kept. */
export interface MemoryFields {
  readonly value: unknown;
  /** Whether the value itself may be handed out. */
  readonly isShareable: boolean;
  /** The three times are monotonic milliseconds. Memory rounds them down to whole ones. */
  readonly storedAt: number;
  readonly freshUntil: number;
  readonly keptUntil: number;
  /** What the value took to compute, kept to the microsecond; 0 when that is not known. */
  readonly computeMs: number;
  readonly tags: readonly string[] | undefined;
  readonly fence: number;
  readonly id: string | undefined;
  /** What the value takes on the heap; memory adds key, tags and its own part. */
  readonly valueBytes: number;
}

/**
 * What one entry takes beside its key, tags and value: this object, its slot in a Map and its fingerprint in the ghost
 * queue, which both grow by doubling. Measured at 166 to 208 bytes, see benchmarks/memory-bytes.ts.
 */
const overheadBytes = 200;

const tagBytes = 8;

/** The low bits hold what the eviction policy counts. */
const queueShift = 16;
const queueMask = 3 << queueShift;
const shareableBit = 1 << 18;

/** Where an entry is queued: nowhere when it has left, or one of the two queues of its partition. */
export type QueueNumber = 0 | 1 | 2;

/**
 * One value in memory. V8 gives a number that is no small integer an object of its own, 16 bytes more: so times are
 * whole milliseconds, the cost is whole microseconds, and what takes few bits shares a field. Every field is set to the
 * same kinds of values in the same order, and an infinite or very distant time makes only its own entry larger.
 */
export class MemoryEntry {
  readonly partition: Partition;
  readonly key: string;
  readonly value: unknown;
  readonly tags: readonly string[] | undefined;
  /** The digest of tenant and key, where others know it by that. */
  id: string | undefined;
  /** The cache's sequence number when it was last found right. */
  fence: number;
  /** An estimate of all that it takes, key, tags and overhead included. */
  readonly bytes: number;
  /** Its neighbours in its queue, which alone changes them. */
  previous: MemoryEntry | undefined;
  next: MemoryEntry | undefined;
  /** The low 16 bits belong to the eviction policy; then the number of the queue, and whether it is shareable. */
  bits: number;
  readonly #storedAt: number;
  #freshUntil: number;
  #keptUntil: number;
  readonly #computeUs: number;

  constructor(partition: Partition, key: string, fields: MemoryFields) {
    this.partition = partition;
    this.key = key;
    this.value = fields.value;
    this.tags = fields.tags;
    this.id = fields.id;
    this.fence = fields.fence;
    this.bytes = overheadBytes + stringBytes(key) + bytesOfTags(fields.tags) + Math.ceil(fields.valueBytes);
    this.previous = undefined;
    this.next = undefined;
    this.bits = fields.isShareable ? shareableBit : 0;
    this.#storedAt = Math.floor(fields.storedAt);
    this.#freshUntil = Math.floor(fields.freshUntil);
    this.#keptUntil = Math.floor(fields.keptUntil);
    this.#computeUs = Math.round(fields.computeMs * 1_000);
  }

  get tenant(): string | undefined {
    return this.partition.tenant;
  }

  get isShareable(): boolean {
    return (this.bits & shareableBit) !== 0;
  }

  get queue(): QueueNumber {
    return ((this.bits & queueMask) >> queueShift) as QueueNumber;
  }

  set queue(number: QueueNumber) {
    this.bits = (this.bits & ~queueMask) | (number << queueShift);
  }

  /** Takes over what the entry of the same key that it replaces has earned. */
  succeed(older: MemoryEntry): void {
    this.bits = (this.bits & shareableBit) | (older.bits & ~shareableBit);
  }

  get storedAt(): number {
    return this.#storedAt;
  }

  get freshUntil(): number {
    return this.#freshUntil;
  }

  set freshUntil(monotonicMs: number) {
    this.#freshUntil = Math.floor(monotonicMs);
  }

  get keptUntil(): number {
    return this.#keptUntil;
  }

  set keptUntil(monotonicMs: number) {
    this.#keptUntil = Math.floor(monotonicMs);
  }

  get computeMs(): number {
    return this.#computeUs / 1_000;
  }
}

function bytesOfTags(tags: readonly string[] | undefined): number {
  if (tags === undefined) return 0;
  let bytes = 0;
  for (const tag of tags) bytes += tagBytes + stringBytes(tag);
  return bytes;
}
