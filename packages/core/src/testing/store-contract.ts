import type { CacheStore } from '../cache/index.js';
import { type Clock, systemClock } from '../kernel/index.js';
import { entryPromises } from './contract-entries.js';
import { fencePromises } from './contract-fences.js';
import { invalidationPromises } from './contract-invalidations.js';
import { leasePromises, pairLeasePromises } from './contract-leases.js';
import { pairPromises } from './contract-pairs.js';
import { pairStreamPromises, streamPromises } from './contract-streams.js';
import { type Damage, type DeclarePairPromise, type DeclarePromise, StoreProbe } from './store-probe.js';

/** One promise of the contract; `run` rejects with an AssertionError when the store breaks it. */
export interface StoreContractCase {
  readonly name: string;
  run(): Promise<void>;
}

export interface StoreContractOptions {
  /** The clock of the store under test. Default: the system's. */
  readonly clock?: Clock;
  /**
   * Whether the store itself refuses a value whose key was deleted or expired since its fence. Default true: a store that
   * says false makes the weaker promise, and has to say so where it is documented.
   */
  readonly fencesKeys?: boolean;
  /** Damages what `store`, the last one made, holds under a key: from then on it must be `'unreadable'`. */
  readonly damage?: Damage;
  /** Two stores over the same data, as two processes have them. */
  readonly makePair?: () => StorePair | Promise<StorePair>;
  /** How long it may take one of the two to hear what the other has invalidated, where it hears it at all. Default 2,000. */
  readonly newsWithinMs?: number;
}

export type StorePair = readonly [CacheStore, CacheStore];

/**
 * What every `CacheStore` must keep, as named cases for any test runner:
 * ```ts
 * for (const { name, run } of storeContract(() => memoryStore())) it(name, run);
 * ```
 * @param make an empty store, or one in which nobody else uses the namespaces `contract` and `contract:...`; called once for
 *   each case
 */
export function storeContract(
  make: () => CacheStore | Promise<CacheStore>,
  options: StoreContractOptions = {},
): readonly StoreContractCase[] {
  const { clock = systemClock, fencesKeys = true, damage, makePair, newsWithinMs = 2_000 } = options;
  const cases: StoreContractCase[] = [];
  const promise: DeclarePromise = (name, keep) => {
    cases.push({ name, run: async () => keep(new StoreProbe(await make(), clock)) });
  };
  entryPromises(promise, damage);
  invalidationPromises(promise);
  fencePromises(promise, fencesKeys);
  leasePromises(promise);
  streamPromises(promise);
  if (makePair) {
    const probes = async (): Promise<readonly [StoreProbe, StoreProbe]> => {
      const [first, second] = await makePair();
      return [new StoreProbe(first, clock), new StoreProbe(second, clock)];
    };
    const promiseOfPair: DeclarePairPromise = (name, keep) => {
      cases.push({ name, run: async () => keep(...(await probes())) });
    };
    pairPromises(promiseOfPair, { fencesKeys, newsWithinMs });
    pairLeasePromises(promiseOfPair, newsWithinMs);
    pairStreamPromises(promiseOfPair, newsWithinMs);
  }
  return cases;
}
