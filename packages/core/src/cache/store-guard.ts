import { deadlineError } from '../kernel/index.js';
import type { ResolvedCacheOptions } from './options.js';
import type { StoredEntry } from './store.js';

/**
 * The second tier as the cache sees it: every call has a deadline and none of them fails. A read that is late, refused
 * or of a hanging store is a miss; a write is tried once, in the background. Each failure is one event.
 */
export class StoreGuard {
  readonly #options: ResolvedCacheOptions;
  /** The writes that are waited for, by key: none is older than one store deadline. */
  readonly #writes = new Map<string, Promise<unknown>>();
  /** The keys being deleted, each with how many deletions are under way. */
  readonly #deletions = new Map<string, number>();

  constructor(options: ResolvedCacheOptions) {
    this.#options = options;
  }

  async get(key: string): Promise<StoredEntry | undefined> {
    if (this.#deletions.has(key)) return undefined; // what is there may be what is being deleted
    const entry = await this.#attempt('get', key, (store) => store.get(key));
    return entry && entry.expiresAt > this.#options.clock.wall() ? entry : undefined;
  }

  set(key: string, entry: StoredEntry): void {
    const ttlMs = entry.expiresAt - this.#options.clock.wall();
    if (ttlMs <= 0) return;
    const write = Promise.all([
      this.#writes.get(key),
      this.#attempt('set', key, (store) => store.set(key, entry, ttlMs)),
    ]);
    this.#writes.set(key, write);
    void write.then(() => {
      if (this.#writes.get(key) === write) this.#writes.delete(key);
    });
  }

  /** Comes after the writes of the key that are under way, or one of them could undo it. */
  async delete(key: string): Promise<void> {
    this.#deletions.set(key, (this.#deletions.get(key) ?? 0) + 1);
    await this.#writes.get(key);
    await this.#attempt('delete', key, (store) => store.delete(key));
    const others = (this.#deletions.get(key) ?? 1) - 1;
    if (others > 0) this.#deletions.set(key, others);
    else this.#deletions.delete(key);
  }

  /** Resolves when no write is under way: after at most one store deadline. */
  async settled(): Promise<void> {
    await Promise.all(this.#writes.values());
  }

  #attempt<T>(
    operation: 'get' | 'set' | 'delete',
    key: string,
    call: (store: NonNullable<ResolvedCacheOptions['store']>) => Promise<T>,
  ): Promise<T | undefined> {
    const { store, storeTimeoutMs, clock, name, onEvent } = this.#options;
    if (!store) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      let over = false; // a call that fails after its deadline has been reported once already
      const fail = (error: unknown): void => {
        if (over) return;
        over = true;
        timer.cancel();
        onEvent?.({ type: 'cache.store-failed', cache: name, store: store.name, operation, error });
        resolve(undefined);
      };
      const timer = clock.schedule(
        storeTimeoutMs,
        () => fail(deadlineError(`Store '${store.name}' (${operation})`, storeTimeoutMs)),
        { background: true },
      );
      // A store that throws at once, or answers at once, is as good as one that does so later.
      new Promise<T>((settle) => settle(call(store))).then(
        (value) => {
          // Too late to know whether it is still wanted: its key may have been deleted meanwhile.
          if (over && operation === 'set') void this.delete(key);
          over = true;
          timer.cancel();
          resolve(value);
        },
        (error) => fail(error),
      );
    });
  }
}
