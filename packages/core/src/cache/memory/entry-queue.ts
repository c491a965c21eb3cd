import type { MemoryEntry, QueueNumber } from './memory-entry.js';

/** A doubly linked list through the entries themselves: everything is O(1) and allocates nothing. */
export class EntryQueue {
  /** The first to leave. */
  first: MemoryEntry | undefined = undefined;
  size = 0;
  bytes = 0;
  #last: MemoryEntry | undefined = undefined;
  readonly #number: QueueNumber;

  /** @param number what its entries carry as their `queue` */
  constructor(number: QueueNumber) {
    this.#number = number;
  }

  /** Puts an entry that is in no queue behind all others. */
  push(entry: MemoryEntry): void {
    const last = this.#last;
    entry.queue = this.#number;
    entry.previous = last;
    if (last === undefined) this.first = entry;
    else last.next = entry;
    this.#last = entry;
    this.size++;
    this.bytes += entry.bytes;
  }

  /** Takes one of its entries out. */
  remove(entry: MemoryEntry): void {
    const { previous, next } = entry;
    if (previous === undefined) this.first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    entry.previous = undefined;
    entry.next = undefined;
    entry.queue = 0;
    this.size--;
    this.bytes -= entry.bytes;
  }
}
