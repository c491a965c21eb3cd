import type { Invalidation } from '../store.js';

/** A write whose turn comes once the earlier ones of its keys are over. */
export interface Turn {
  /** Undefined where there are none. */
  readonly earlier: Promise<unknown> | undefined;
  /** Whether no later write of the key waits behind it. */
  isLast(key: string): boolean;
  end(): void;
}

/**
 * What is on its way to the store and may still change what is there, in time or late. An invalidation has to come after
 * it, or is undone by it.
 */
export class PendingWrites {
  /** The last write of each key that is waited for: it comes after the earlier ones. */
  readonly #writes = new Map<string, Promise<void>>();
  /** All expiries of each key that are waited for: some stores expire by reading and writing again. */
  readonly #expiries = new Map<string, Promise<unknown>>();
  /** Those of values that were set: no fence rules them, so they must not be overtaken, and what they replace is wrong. */
  readonly #unfenced = new Map<string, Promise<void>>();
  /** For each key, how many calls are past their deadline and may land yet. Bounded by the calls under way. */
  readonly #late = new Map<string, number>();
  #unfencedLate = 0;

  /** Resolves when no write is waited for any more; undefined when none is now. */
  get written(): Promise<unknown> | undefined {
    return allOf([...this.#writes.values()]);
  }

  isLate(key: string): boolean {
    return this.#late.has(key);
  }

  /** Whether what the store has of the key is to be replaced by a value that was set. */
  isReplaced(key: string): boolean {
    return this.#unfenced.has(key);
  }

  beginWrite(keys: readonly string[], isFenced: boolean): Turn {
    const earlier = allOf(keys.map((key) => this.#writes.get(key)));
    const { promise: over, resolve } = Promise.withResolvers<void>();
    const places = isFenced ? [this.#writes] : [this.#writes, this.#unfenced];
    for (const place of places) for (const key of keys) place.set(key, over);
    return {
      earlier,
      isLast: (key) => this.#writes.get(key) === over,
      end: () => {
        for (const place of places) for (const key of keys) if (place.get(key) === over) place.delete(key);
        resolve();
      },
    };
  }

  expiring(keys: readonly string[], over: Promise<unknown>): void {
    for (const key of keys) {
      const all = Promise.all([this.#expiries.get(key), over]);
      this.#expiries.set(key, all);
      void all.then(() => {
        if (this.#expiries.get(key) === all) this.#expiries.delete(key);
      });
    }
  }

  /** Resolves when nothing that is waited for can undo the invalidation any more; undefined when nothing can now. */
  before(invalidation: Invalidation): Promise<unknown> | undefined {
    if (!('keys' in invalidation)) return allOf([...this.#unfenced.values()]);
    const { type, keys } = invalidation;
    const writes = keys.map((key) => this.#writes.get(key));
    return allOf(type === 'expire' ? writes : [...writes, ...keys.map((key) => this.#expiries.get(key))]);
  }

  /** Whether what is late can undo the invalidation yet. */
  mayUndo(invalidation: Invalidation): boolean {
    if (!('keys' in invalidation)) return this.#unfencedLate > 0;
    return invalidation.keys.some((key) => this.#late.has(key));
  }

  /** The call is past its deadline. @returns what to do once it has landed, or counts as lost */
  addLate(keys: readonly string[], isFenced: boolean): () => void {
    for (const key of keys) this.#late.set(key, (this.#late.get(key) ?? 0) + 1);
    if (!isFenced) this.#unfencedLate++;
    return () => {
      if (!isFenced) this.#unfencedLate--;
      for (const key of keys) {
        const others = (this.#late.get(key) ?? 1) - 1;
        if (others > 0) this.#late.set(key, others);
        else this.#late.delete(key);
      }
    };
  }
}

function allOf(promises: readonly (Promise<unknown> | undefined)[]): Promise<unknown> | undefined {
  return promises.some(Boolean) ? Promise.all(promises) : undefined;
}
