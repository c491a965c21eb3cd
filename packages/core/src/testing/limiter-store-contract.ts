import { systemClock } from '../kernel/index.js';
import type { LimiterStore } from '../limiter/index.js';
import { groupPromises } from './contract-groups.js';
import { pairLimitsPromises } from './contract-limit-pairs.js';
import { placePromises, settlementPromises } from './contract-settlements.js';
import { takePromises, timePromises } from './contract-takes.js';
import { type DeclareLimitsPairPromise, type DeclareLimitsPromise, LimitsProbe, windowOf } from './limits-probe.js';
import type { StoreContractCase } from './store-contract.js';

export interface LimiterStoreContractOptions {
  /** Lets so much of the store's time pass. Default: waits. */
  readonly pass?: (ms: number) => Promise<void>;
  /** Two stores over the same accounts, as two processes have them. */
  readonly makePair?: () => LimiterStorePair | Promise<LimiterStorePair>;
  /** Loses all that the last store or pair has, as a server that starts empty. */
  readonly lose?: () => unknown;
}

export type LimiterStorePair = readonly [LimiterStore, LimiterStore];

/**
 * What every `LimiterStore` must keep, as named cases for any test runner:
 * ```ts
 * for (const { name, run } of limiterStoreContract(() => memoryLimits())) it(name, run);
 * ```
 * @param make an empty store, or one in which nobody else uses limiters whose names begin with `contract`; called once for
 *   each case
 */
export function limiterStoreContract(
  make: () => LimiterStore | Promise<LimiterStore>,
  options: LimiterStoreContractOptions = {},
): readonly StoreContractCase[] {
  const { pass = waited, makePair, lose } = options;
  const cases: StoreContractCase[] = [];
  const probe = (store: LimiterStore): LimitsProbe =>
    new LimitsProbe(store, { dimensions: [windowOf(10, 60_000)], pass });
  const promise: DeclareLimitsPromise = (name, keep) => {
    cases.push({ name, run: async () => keep(probe(await make())) });
  };
  takePromises(promise);
  groupPromises(promise);
  timePromises(promise);
  settlementPromises(promise);
  placePromises(promise);
  if (makePair) {
    const promiseOfPair: DeclareLimitsPairPromise = (name, keep) => {
      const run = async (): Promise<void> => {
        const [first, second] = await makePair();
        return keep(probe(first), probe(second));
      };
      cases.push({ name, run });
    };
    pairLimitsPromises(promiseOfPair, lose);
  }
  return cases;
}

function waited(ms: number): Promise<void> {
  return new Promise((resolve) => systemClock.schedule(ms, resolve));
}
