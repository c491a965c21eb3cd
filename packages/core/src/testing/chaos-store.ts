import type { CacheStore, StoreInvalidation } from '../cache/index.js';
import type { Clock } from '../kernel/index.js';

export type StoreOperation = 'getMany' | 'acquire' | 'setMany' | 'invalidate' | 'append' | 'follow';

/**
 * What a call to the store meets. `reject`: it fails. `throw`: it throws before it gives a promise. `hang`: it never
 * settles, aborted or not. `full`: there is no space left, so writes and invalidations fail and reads do not. A number is a
 * delay in milliseconds, where it does most harm: a read is answered with what was there when it was asked, a write or
 * invalidation reaches the store that much later, aborted or not.
 */
export type Trouble = 'reject' | 'throw' | 'hang' | 'full' | number;

/** A store that has trouble on demand. */
export interface ChaosStore extends CacheStore {
  /**
   * What calls meet from now on, those of one operation or all; undefined: none. A list is for the next calls, one each,
   * and then there is none; a function is asked at each call: so a store flaps.
   */
  trouble(
    trouble:
      | Trouble
      | undefined
      | readonly (Trouble | undefined)[]
      | ((operation: StoreOperation) => Trouble | undefined),
    operation?: StoreOperation,
  ): void;
  /** Every call that was made, oldest first, such as `'getMany kWc... 9fA...'` or `'invalidate tags user:1'`. */
  readonly calls: readonly string[];
}

type NextTrouble = (operation: StoreOperation) => Trouble | undefined;

const operations = ['getMany', 'acquire', 'setMany', 'invalidate', 'append', 'follow'] as const;

/** Puts trouble in front of a real store, to prove what its users do then. */
export function chaosStore(store: CacheStore, { clock }: { clock: Clock }): ChaosStore {
  const troubles = new Map<StoreOperation, NextTrouble>();
  const calls: string[] = [];

  function meet<T>(operation: StoreOperation, names: readonly string[], call: () => Promise<T>): Promise<T> {
    calls.push([operation, ...names].join(' '));
    const trouble = troubles.get(operation)?.(operation);
    const isWrite = operation !== 'getMany' && operation !== 'follow';
    if (trouble === undefined || (trouble === 'full' && !isWrite)) return call();
    if (trouble === 'throw') throw new Error(`${store.name} threw (${operation})`);
    if (trouble === 'reject') return Promise.reject(new Error(`${store.name} failed (${operation})`));
    if (trouble === 'full') return Promise.reject(noSpaceError(store.name, operation));
    if (trouble === 'hang') return new Promise(() => {});
    const later = new Promise<void>((resolve) => {
      clock.schedule(trouble, resolve);
    });
    if (isWrite) return later.then(call);
    const answer = call();
    return later.then(() => answer);
  }

  const { leasing, streaming, openFeed } = store;
  return {
    name: store.name,
    getMany: (read) => meet('getMany', read.keys, () => store.getMany(read)),
    setMany: (write) =>
      meet(
        'setMany',
        write.entries.map(({ key }) => key),
        () => store.setMany(write),
      ),
    invalidate: (invalidation) => meet('invalidate', namesOf(invalidation), () => store.invalidate(invalidation)),
    ...(leasing
      ? {
          leasing: {
            acquire: (request) => meet('acquire', request.keys, () => leasing.acquire(request)),
            renew: (hold) => meet('acquire', ['renew', ...hold.keys], () => leasing.renew(hold)),
            release: (hold) => meet('acquire', ['release', ...hold.keys], () => leasing.release(hold)),
          },
        }
      : {}),
    ...(streaming
      ? {
          streaming: {
            holder: (of) => meet('follow', ['holder', of.key], () => streaming.holder(of)),
            read: (read) => meet('follow', ['read', read.key], () => streaming.read(read)),
            append: (append) => meet('append', [append.key], () => streaming.append(append)),
          },
        }
      : {}),
    ...(openFeed ? { openFeed: (namespace: string) => openFeed.call(store, namespace) } : {}),
    trouble(trouble, operation) {
      const next = nextTrouble(trouble);
      for (const each of operation ? [operation] : operations) troubles.set(each, next);
    },
    calls,
  };
}

function nextTrouble(trouble: Parameters<ChaosStore['trouble']>[0]): NextTrouble {
  if (typeof trouble === 'function') return trouble;
  if (typeof trouble !== 'object') return () => trouble;
  let calls = 0;
  return () => trouble[calls++];
}

function namesOf({ invalidation }: StoreInvalidation): readonly string[] {
  if (invalidation.type === 'clear') return ['clear'];
  return [invalidation.type, ...(invalidation.type === 'tags' ? invalidation.tags : invalidation.keys)];
}

/** As the file system says it. */
function noSpaceError(name: string, operation: StoreOperation): Error {
  return Object.assign(new Error(`ENOSPC: no space left on device, ${name} (${operation})`), { code: 'ENOSPC' });
}
