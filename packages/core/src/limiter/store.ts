import type { Amounts, Dimension, Verdict } from './dimensions.js';

/**
 * Accounts that several processes share. Every call is one atomic step on the store's own time; it rejects when the store
 * cannot be asked. Deadlines, breakers and what happens instead are not its business.
 */
export interface LimiterStore {
  /** What events call it. */
  readonly name: string;
  /** Whether `take` knows `more`. Default false: each is asked for alone. */
  readonly takesMore?: boolean;
  /** Takes all or nothing. */
  take(request: StoreTake): Promise<StoreVerdict>;
  /** Corrects what was charged, and gives back the place of a lease. At most once for each lease: it is not repeated. */
  settle(request: StoreSettle): Promise<void>;
  /** @returns false when the lease has expired already */
  extend(request: StoreExtend): Promise<boolean>;
  /** Says that this process is alive. @returns how many have said so in the last few seconds, this one included */
  peers(signal: AbortSignal): Promise<number>;
  close(): Promise<void>;
}

/** Which account. Limiters of one name share theirs; a change in the shape of the dimensions begins a new one. */
export interface StoreAccount {
  readonly limiter: string;
  readonly key: string;
  readonly dimensions: readonly Dimension[];
  readonly signal: AbortSignal;
}

export interface StoreTake extends StoreAccount {
  readonly amounts: Amounts;
  /** What a dimension holds at this moment, by index, where that is less or more than its limit. Default: the limits. */
  readonly limits?: Amounts;
  /** Charged in any case and first, above the limits if need be: what was allowed while the store could not be asked. */
  readonly debt?: Amounts;
  /**
   * What this process has had of the account that still counts, and the generation in which it had it. Where the store has
   * lost the account since, this is charged first, once for each process and generation.
   */
  readonly own?: { readonly generation: string; readonly amounts: Amounts };
  /** How long ago, by a clock that only goes on, this process was told `at`: shows that the store's clock has jumped. */
  readonly since?: { readonly at: number; readonly agoMs: number };
  /** Also takes a place in the dimensions of concurrency, until it is settled or this has passed. */
  readonly lease?: { readonly id: string; readonly ttlMs: number };
  /** Charges a refusal as well. */
  readonly penalise?: boolean;
  /**
   * Further ones, at most 63, each decided by itself, in this order, after `amounts`, with the same `limits` and `penalise`. Not
   * with `lease`, nor with dimensions of concurrency. Only a store that claims `takesMore` is asked so.
   */
  readonly more?: readonly Amounts[];
}

export interface StoreVerdict extends Verdict {
  /**
   * Those of the further ones, each with what was left right after it. Where all were granted, `binding` and `resetMs` of all may
   * be those of the last.
   */
  readonly more?: readonly StoreVerdict[];
  /** Changes when the store has lost the account and begun a new one. */
  readonly generation: string;
  /** The account's time, in milliseconds: of use for `since` and for settling. */
  readonly at: number;
}

export interface StoreSettle extends StoreAccount {
  /** When it was charged, by the account's time. */
  readonly at: number;
  readonly generation: string;
  /** By dimension: below 0 comes back, above 0 is charged now. */
  readonly corrections: Amounts;
  /** Gives back its place in the dimensions of concurrency. */
  readonly leaseId?: string;
}

export interface StoreExtend extends StoreAccount {
  readonly leaseId: string;
  readonly ttlMs: number;
}
