import type { EvictionPolicy } from './eviction.js';
import type { MemoryEntry } from './memory-entry.js';
import type { Partition } from './partition.js';

/** What was unused for longest leaves: the control for other policies, blind to scans and to cost. All is O(1). */
export class Lru implements EvictionPolicy {
  admit(entry: MemoryEntry): void {
    entry.partition.main.push(entry);
  }

  use(entry: MemoryEntry): void {
    if (entry.queue === 0 || entry.next === undefined) return;
    const { main } = entry.partition;
    main.remove(entry);
    main.push(entry);
  }

  evict({ main }: Partition): MemoryEntry | undefined {
    const { first } = main;
    if (first !== undefined) main.remove(first);
    return first;
  }
}
