import type { CacheStore, StoredEntry } from '../cache/index.js';
import type { Clock } from '../kernel/index.js';

type Operation = 'get' | 'set' | 'delete';

/**
 * What a call to the store meets. `reject`: it fails. `throw`: it throws before it gives a promise. `hang`: it never
 * settles. A number is a delay in milliseconds, where it does most harm: a read is answered with what was there when it
 * was asked, a write or deletion reaches the store that much later.
 */
export type Trouble = 'reject' | 'throw' | 'hang' | number;

/** A store that has trouble on demand. */
export interface ChaosStore extends CacheStore {
  /** What calls meet from now on, those of one operation or all; undefined: none. */
  trouble(trouble: Trouble | undefined, operation?: Operation): void;
  /** Every call that was made, oldest first, such as `'get answers:kWc...'`. */
  readonly calls: readonly string[];
}

/** Puts trouble in front of a real store, to prove what its users do then. */
export function chaosStore(store: CacheStore, { clock }: { clock: Clock }): ChaosStore {
  const troubles = new Map<Operation, Trouble | undefined>();
  const calls: string[] = [];

  function meet<T>(operation: Operation, key: string, call: () => Promise<T>): Promise<T> {
    calls.push(`${operation} ${key}`);
    const trouble = troubles.get(operation);
    if (trouble === undefined) return call();
    if (trouble === 'throw') throw new Error(`${store.name} threw (${operation})`);
    if (trouble === 'reject') return Promise.reject(new Error(`${store.name} failed (${operation})`));
    if (trouble === 'hang') return new Promise(() => {});
    const later = new Promise<void>((resolve) => {
      clock.schedule(trouble, resolve);
    });
    if (operation !== 'get') return later.then(call);
    const answer = call();
    return later.then(() => answer);
  }

  return {
    name: store.name,
    get: (key) => meet('get', key, () => store.get(key)),
    set: (key, entry: StoredEntry, ttlMs) => meet('set', key, () => store.set(key, entry, ttlMs)),
    delete: (key) => meet('delete', key, () => store.delete(key)),
    trouble(trouble, operation) {
      for (const each of operation ? [operation] : (['get', 'set', 'delete'] as const)) troubles.set(each, trouble);
    },
    calls,
  };
}
