import type { BreakerState } from '../kernel/index.js';
import type { DecidedBy } from './contract.js';
import type { Amounts, Verdict } from './dimensions.js';

/** Where accounts are kept and decided on: in this process, or in a store that others ask as well. */
export interface Desk<Answer extends DeskAnswer | Promise<DeskAnswer>> {
  /** Whether others ask it as well. */
  readonly isShared: boolean;
  /** Who decides, as long as all is well. */
  readonly decidesAs: DecidedBy;
  /** Takes all or nothing. Never rejects. */
  take(key: string, amounts: Amounts, options: DeskTake): Answer;
  /** As `take`, where that needs nobody else; undefined: it does. Only desks that are shared have it. */
  takeNow?(key: string, amounts: Amounts): DeskAnswer | undefined;
  /** Corrects what `charge` has charged: by dimension, below 0 comes back, above 0 is charged now. Nobody waits for it. */
  settle(charge: Charge, corrections: Amounts): void;
  /** Keeps the place of a lease for so much longer. Nobody waits for it. */
  extend(charge: Charge, ttlMs: number): void;
  /**
   * What it would be told, as far as this process knows, without taking anything and without asking anybody.
   * @param limits as those of a `DeskTake`
   */
  look(key: string, amounts: Amounts, limits?: Amounts): Verdict;
  /** The fullest of the accounts in use, as far as this process knows, and how many there are. */
  standing(): DeskStanding;
  close(): Promise<void>;
}

export interface DeskTake {
  /** What each dimension holds at this moment, where feedback has made that less than its limit. */
  readonly limits?: Amounts | undefined;
  /** For calls whose cost is known only afterwards: takes a place in the dimensions of concurrency as well. */
  readonly leaseTtlMs?: number | undefined;
}

export interface DeskAnswer {
  readonly verdict: Verdict;
  readonly decidedBy: DecidedBy;
  /** Undefined where nothing was charged. */
  readonly charge: Charge | undefined;
  /** The store is away, and the answer is not about the quota. */
  readonly isUnavailable?: boolean;
}

/** What an answer has charged, for its settlement; how it looks is the business of the desk. */
export interface Charge {
  readonly key: string;
  /** On the monotonic scale of the clock: from then on it is settled as it is. Infinity without a lease. */
  readonly expiresAt: number;
}

export interface DeskStanding {
  readonly keys: number;
  /** By dimension, in units; 0 where there is no account. */
  readonly used: Amounts;
  readonly store?: { readonly name: string; readonly state: BreakerState; readonly peers: number };
}
