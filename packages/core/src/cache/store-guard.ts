import { deadlineError } from '../kernel/index.js';
import type { ResolvedCacheOptions } from './options.js';
import type { StoredEntry } from './store.js';

/**
 * The second tier as the cache sees it: every call has a deadline and none of them fails. A read that is late, refused
 * or of a hanging store is a miss; a write is tried once, in the background. Each failure is one event.
 */
export class StoreGuard {
  readonly #options: ResolvedCacheOptions;
  readonly #writes = new Set<Promise<unknown>>();

  constructor(options: ResolvedCacheOptions) {
    this.#options = options;
  }

  async get(key: string): Promise<StoredEntry | undefined> {
    const entry = await this.#attempt('get', (store) => store.get(key));
    return entry && entry.expiresAt > this.#options.clock.wall() ? entry : undefined;
  }

  set(key: string, entry: StoredEntry): void {
    const ttlMs = entry.expiresAt - this.#options.clock.wall();
    if (ttlMs > 0) this.#inBackground(this.#attempt('set', (store) => store.set(key, entry, ttlMs)));
  }

  async delete(key: string): Promise<void> {
    await this.#attempt('delete', (store) => store.delete(key));
  }

  /** Resolves when no write is under way: after at most one store deadline. */
  async settled(): Promise<void> {
    await Promise.all(this.#writes);
  }

  #inBackground(write: Promise<unknown>): void {
    this.#writes.add(write);
    void write.finally(() => this.#writes.delete(write));
  }

  #attempt<T>(
    operation: 'get' | 'set' | 'delete',
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
      let answer: Promise<T>;
      try {
        answer = call(store);
      } catch (error) {
        return fail(error);
      }
      answer.then(
        (value) => {
          over = true;
          timer.cancel();
          resolve(value);
        },
        (error) => fail(error),
      );
    });
  }
}
