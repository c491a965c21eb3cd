import { Breaker, type Clock } from '../../kernel/index.js';

/** What a store has to be able to do: the stores of `@warmpath/core/cache` can, and more. */
export interface ResponseStore {
  readonly name: string;
  getMany(read: {
    readonly namespace: string;
    readonly keys: readonly string[];
    readonly tags: readonly string[];
    readonly signal: AbortSignal;
  }): Promise<{
    readonly entries: readonly (StoredResponse | 'unreadable' | undefined)[];
    /** Opaque: what the store knew of its invalidations when it was asked. */
    readonly fence: unknown;
  }>;
  setMany(write: {
    readonly namespace: string;
    readonly entries: readonly { readonly key: string; readonly entry: StoredResponse; readonly fence: unknown }[];
    readonly signal: AbortSignal;
  }): Promise<readonly boolean[]>;
  invalidate(invalidation: {
    readonly namespace: string;
    readonly invalidation: { readonly type: 'tags'; readonly tags: readonly string[] } | { readonly type: 'clear' };
    readonly signal: AbortSignal;
  }): Promise<void>;
  /** Where only who has asked for a key's lease may store what it did not have. */
  readonly leasing?: {
    acquire(request: {
      readonly namespace: string;
      readonly keys: readonly string[];
      readonly fence: unknown;
      readonly token: string;
      readonly signal: AbortSignal;
    }): Promise<{ readonly fence: unknown }>;
  };
}

export interface StoredResponse {
  readonly bytes: Uint8Array;
  readonly storedAt: number;
  readonly freshUntil: number;
  readonly keptUntil: number;
  readonly computeMs: number;
  readonly tags: readonly string[];
}

/**
 * Calls to a store that may be slow, or dead: each ends by a deadline, with undefined where it has failed, and after some failures
 * the store is left alone for a while. Nothing here rejects.
 */
export class ResponseStoreCalls {
  readonly store: ResponseStore;
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  readonly #breaker = new Breaker();
  readonly #writes = new Set<Promise<unknown>>();
  /** Calls that came back too late or not well. */
  failed = 0;

  constructor(store: ResponseStore, timeoutMs: number, clock: Clock) {
    this.store = store;
    this.#timeoutMs = timeoutMs;
    this.#clock = clock;
  }

  /** @param isAwaited false: the process need not stay alive for it */
  async attempt<T>(
    call: (store: ResponseStore, signal: AbortSignal) => Promise<T>,
    isAwaited = true,
  ): Promise<T | undefined> {
    if (!this.#breaker.allows(this.#clock.now())) return undefined;
    const controller = new AbortController();
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const timer = this.#clock.schedule(this.#timeoutMs, () => reject(late), { background: !isAwaited });
    try {
      call(this.store, controller.signal).then(resolve, reject);
      const value = await promise;
      this.#breaker.record(true, this.#clock.now());
      return value;
    } catch (error) {
      this.failed++;
      this.#breaker.record(false, this.#clock.now());
      controller.abort(error);
      return undefined;
    } finally {
      timer.cancel();
    }
  }

  /** How much is under way that nobody waits for. */
  get writes(): number {
    return this.#writes.size;
  }

  /** Nobody waits for it but `settled`. */
  write(begin: () => Promise<unknown>): void {
    const write = begin().finally(() => this.#writes.delete(write));
    this.#writes.add(write);
  }

  /** When no write is under way: after one deadline at the latest. */
  async settled(): Promise<void> {
    while (this.#writes.size > 0) await Promise.all(this.#writes);
  }
}

const late: Error = new Error('The store is late.');
