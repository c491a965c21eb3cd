import type { CacheLevel } from './contract.js';
import type { CacheEvent } from './events.js';
import type { Voided } from './flight.js';
import { keepable } from './isolation.js';
import { type MemoryEntry, MemoryTier } from './memory-tier.js';
import type { ResolvedCacheOptions } from './options.js';
import { StoreGuard } from './store-guard.js';

type UnstoredReason = Extract<CacheEvent, { type: 'cache.unstored' }>['reason'];

/** Memory before the store: what they hold, what is put into them, and one event for each of it. */
export class Tiers {
  readonly #options: ResolvedCacheOptions;
  readonly #memory: MemoryTier;
  readonly #store: StoreGuard;

  constructor(options: ResolvedCacheOptions) {
    this.#options = options;
    this.#memory = new MemoryTier(options.maxEntries, options.clock);
    this.#store = new StoreGuard(options);
  }

  /** What memory holds. */
  peek(id: string): MemoryEntry | undefined {
    const entry = this.#memory.get(id);
    if (entry) this.hit(id, 'memory', this.age(entry), entry.computeMs);
    return entry;
  }

  /** What the store holds, promoted to memory unless the key was invalidated while the store was asked. */
  async fetch(id: string, isVoid: () => Voided | undefined): Promise<MemoryEntry | undefined> {
    if (!this.#options.store) return undefined;
    const stored = await this.#store.get(id);
    if (!stored || isVoid()) return undefined;
    const now = this.#options.clock.now();
    const wall = this.#options.clock.wall();
    const entry = {
      value: stored.value,
      storedAt: now - Math.max(0, wall - stored.storedAt),
      // Never longer than it was to live at first: wall clocks step back, and those of two machines differ.
      expiresAt: now + Math.min(stored.expiresAt - wall, stored.expiresAt - stored.storedAt),
      computeMs: stored.computeMs,
    };
    this.#memory.set(id, entry);
    this.hit(id, 'store', this.age(entry), entry.computeMs);
    return entry;
  }

  /** A computation begins. @returns when, for `keep` and `failed` */
  miss(id: string): number {
    this.#options.onEvent?.({ type: 'cache.miss', cache: this.#options.name, key: id });
    return this.#options.clock.now();
  }

  /** Keeps a copy in both tiers and returns it, or the value itself where it may not or cannot be kept. */
  keep(id: string, ttlMs: number, value: unknown, began: number, voided: Voided | undefined): unknown {
    const { clock, name, onEvent } = this.#options;
    const now = clock.now();
    const computeMs = now - began;
    onEvent?.({ type: 'cache.computed', cache: name, key: id, ms: computeMs });
    const kept = keepable(value);
    if (voided || !kept) {
      this.unstored(id, voided ?? 'not-cloneable');
      return kept ? kept.copy : value;
    }
    this.#memory.set(id, { value: kept.copy, storedAt: now, expiresAt: now + ttlMs, computeMs });
    const wall = clock.wall();
    this.#store.set(id, { value: kept.copy, storedAt: wall, expiresAt: wall + ttlMs, computeMs });
    return kept.copy;
  }

  /** Forgets in memory at once; resolves when the store has answered. */
  async delete(id: string): Promise<void> {
    this.#memory.delete(id);
    await this.#store.delete(id);
  }

  /** Resolves when no write to the store is waited for any more. */
  settled(): Promise<void> {
    return this.#store.settled();
  }

  age(entry: MemoryEntry): number {
    return this.#options.clock.now() - entry.storedAt;
  }

  hit(id: string, level: Exclude<CacheLevel, 'computed'>, ageMs: number, savedMs: number): void {
    this.#options.onEvent?.({ type: 'cache.hit', cache: this.#options.name, key: id, level, ageMs, savedMs });
  }

  failed(id: string, began: number, error: unknown): void {
    const { clock, name, onEvent } = this.#options;
    onEvent?.({ type: 'cache.failed', cache: name, key: id, ms: clock.now() - began, error });
  }

  unstored(id: string, reason: UnstoredReason): void {
    this.#options.onEvent?.({ type: 'cache.unstored', cache: this.#options.name, key: id, reason });
  }
}
