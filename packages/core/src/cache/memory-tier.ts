import type { Clock } from '../kernel/index.js';

/** One value in memory. Times are on the clock's monotonic scale. */
export interface MemoryEntry {
  readonly value: unknown;
  readonly storedAt: number;
  readonly expiresAt: number;
  readonly computeMs: number;
}

/**
 * The first tier: at most `maxEntries` values, the one unused for longest leaving first. A Map iterates in order of
 * insertion, so taking an entry out and putting it back at each use keeps the order of use. All operations are O(1).
 */
export class MemoryTier {
  readonly #entries = new Map<string, MemoryEntry>();
  readonly #maxEntries: number;
  readonly #clock: Clock;

  constructor(maxEntries: number, clock: Clock) {
    this.#maxEntries = maxEntries;
    this.#clock = clock;
  }

  get(key: string): MemoryEntry | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#entries.delete(key);
    if (entry.expiresAt <= this.#clock.now()) return undefined;
    this.#entries.set(key, entry);
    return entry;
  }

  set(key: string, entry: MemoryEntry): void {
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    if (this.#entries.size <= this.#maxEntries) return;
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined) this.#entries.delete(oldest);
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }
}
