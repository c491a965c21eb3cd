import type { ByteSize, Clock, Duration, Random } from '../kernel/index.js';
import type { BatcherEvent } from './events.js';

/** What a batch function is given beside its items. */
export interface BatchCall<Result> {
  /** Aborted when the last of its callers has left, when its `timeout` is over, or when the batcher gives up on closing. */
  readonly signal: AbortSignal;
  /** What keeps these items apart from others, where something does: see `LoadCall.apart`. */
  readonly apart: unknown;
  /** 1, or more when transient failures have had these items sent again. */
  readonly attempt: number;
  /**
   * Answers the item at `index` while the others are still under way: its callers have the result, or the Error, at once.
   * The first answer counts. Whoever answers all items in this way returns nothing.
   */
  settle(index: number, result: Result | Error): void;
}

/**
 * What a batch function may return: one result for each item in their order, results by key, or nothing where it has called
 * `settle` for each. An Error in the place of a result fails that item alone.
 */
export type BatchResults<Result, Key> = readonly (Result | Error)[] | ReadonlyMap<Key, Result | Error> | undefined;

/**
 * Answers many items in one call. It runs with the tenant of its items, or with none where `scope` is `'shared'`, and in nobody's
 * AsyncLocalStorage. It may be
 * called again with some of the items after an error, see `BatcherOptions.classify`.
 */
export type BatchFunction<Item, Result, Key = unknown> = (
  items: readonly Item[],
  call: BatchCall<Result>,
  // A function that settles each item has nothing to return.
  // biome-ignore lint/suspicious/noConfusingVoidType: see above
) => Promise<BatchResults<Result, Key> | void> | BatchResults<Result, Key>;

/**
 * What a failed call says about its items.
 * - `'composition'`: they do not go together, or one of them is bad. The batch is split until each item has its own answer.
 * - `'transient'`: it may work later. What is not answered yet is sent again, see `attempts`. A 500 that stays is taken for
 *   `'unknown'` then, since it may be an item's fault.
 * - `'global'`: no item can succeed now. All fail at once.
 * - `'unknown'`: as composition, once anything shows that it is one. Where both halves fail, and so do two items alone, it
 *   is global.
 */
export type FailureKind = 'composition' | 'transient' | 'global' | 'unknown';

/** A composition error that says how much goes into one call: later batches keep to it. */
export interface StatedCap {
  readonly kind: 'composition';
  readonly maxItems?: number;
  /** In what `weight` measures. */
  readonly maxWeight?: number;
}

export interface BatcherOptions<Item = unknown, Key = unknown> {
  /** Names the batcher in errors and events. Default `'batcher'`. */
  readonly name?: string;
  /** The most items of a batch. Default 32. */
  readonly maxItems?: number;
  /** What an item weighs, such as its tokens: 0 or more. */
  readonly weight?: (item: Item) => number;
  /** The most that the items of a batch weigh together. One that weighs more alone is refused. Needs `weight`. */
  readonly maxWeight?: number;
  /** The most bytes of a batch: of texts in UTF-8, of binary data as it is, of anything else as JSON. Default: unlimited. */
  readonly maxBytes?: ByteSize;
  /**
   * The longest that an item waits for others. Default 50 ms. Less while nothing is under way: no longer than a call takes,
   * and not at all unless others can be expected within that time. So a single call on an idle batcher goes at the end of
   * its turn. 0: always at the end of the turn.
   */
  readonly window?: Duration;
  /** The most calls under way at a time, of all tenants and models. Default 16. */
  readonly maxConcurrent?: number;
  /** The most items waiting; more are refused with `WP_OVERLOADED`. Default 100,000. */
  readonly maxWaiting?: number;
  /**
   * What makes two items the same, so that those of one batch travel once. Default: the item itself, which for texts and
   * numbers is their value. `false`: every item travels.
   */
  readonly key?: ((item: Item) => Key) | false;
  /**
   * Whose items travel together. `'caller'` (default): those of one tenant, and the call runs as that tenant. `'shared'`:
   * everybody's, and the call runs as nobody; for work that treats all alike, such as embedding a text.
   */
  readonly scope?: 'caller' | 'shared';
  /** Items for which this differs never travel together, such as those for two models. Default: what the call says. */
  readonly apart?: (item: Item) => unknown;
  /** How long one call may take; after that its signal is aborted, which counts as transient. Default: as long as anybody waits. */
  readonly timeout?: Duration;
  /**
   * How often an item is sent at the most when errors are transient, the first time included. Default 2. Once, where each
   * caller who waits for it has a `retry` around the load.
   */
  readonly attempts?: number;
  /** What a failed call says about its items. Undefined leaves it to the default, `classifyFailure`. */
  readonly classify?: (error: unknown, items: readonly Item[]) => FailureKind | StatedCap | undefined;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly onEvent?: (event: BatcherEvent) => void;
}

/** How somebody asks for an item. The signal and the deadline of the running call context count as well. */
export interface LoadCall {
  readonly signal?: AbortSignal;
  /** Items for which this differs never travel together. Default: what the option `apart` says, and else all may. */
  readonly apart?: unknown;
}

/** What a batcher has done so far, and what it does now. */
export interface BatcherStats {
  /** Calls that were sent, those of splits and repeats included. */
  readonly batches: number;
  /** Items in them; one that was sent twice counts twice. */
  readonly items: number;
  /** Loads that joined an item that was waiting already. */
  readonly joined: number;
  /** How full the batches were on average, from 0 to 1: of the limit that each of them was closest to. 0 before the first. */
  readonly efficiency: number;
  /** Calls that splits and repeats have cost. */
  readonly splits: number;
  readonly repeats: number;
  /** What waits and what is under way. */
  readonly waiting: number;
  readonly underWay: number;
}

export interface Batcher<Item, Result> {
  readonly name: string;
  /**
   * The result of one item, which travels with others. A caller whose signal is aborted, or whose deadline passes, leaves:
   * before the batch goes its item is taken out, afterwards the call goes on for the others and is aborted when nobody is
   * left. Cost: below a microsecond.
   * @throws WarmpathError `WP_CLOSED`, `WP_OVERLOADED`, `WP_BATCH_ITEM_TOO_LARGE`, `WP_BATCH_MISMATCH`, `WP_DEADLINE`; the
   *   error that is the item's result, or that of its call
   */
  load(item: Item, call?: LoadCall): Promise<Result>;
  /** `load` for each item, in their order; rejects with the first failure. */
  loadMany(items: readonly Item[], call?: LoadCall): Promise<Result[]>;
  /** `loadMany` that never rejects for an item: an Error stands in the place of what failed. */
  loadSettled(items: readonly Item[], call?: LoadCall): Promise<(Result | Error)[]>;
  stats(): BatcherStats;
  /**
   * Sends what is waiting, refuses what comes later (`WP_CLOSED`) and waits for the calls under way, for 5 s at the most:
   * those that are not over by then are aborted and their items rejected.
   */
  close(): Promise<void>;
}
