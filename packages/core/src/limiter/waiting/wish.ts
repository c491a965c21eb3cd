import type { Clock } from '../../kernel/index.js';
import type { Amounts } from '../dimensions.js';

/** What somebody waits for. */
export interface Wish {
  readonly key: string;
  /** By dimension. */
  readonly amounts: Amounts;
  /** Tenants take turns. */
  readonly tenant: string;
  /** A whole number from 0, the most urgent, to 9. */
  readonly priority: number;
  /** Until when it may wait, monotonic milliseconds; Infinity: for ever. */
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
}

/** What came of trying to take. */
export interface Attempt<V> {
  readonly ok: boolean;
  /** Until it would pass if nobody else took anything; of no interest when ok. */
  readonly waitMs: number;
  readonly verdict: V;
  /** Something may be given back earlier without `wake` being called. */
  readonly isUpperBound?: boolean;
}

export type Outcome<V> =
  | { readonly refused?: undefined; readonly verdict: V }
  | {
      /** `deadline`: it would pass too late, or has waited until then. `queue-full`: too many wait already. */
      readonly refused: 'deadline' | 'queue-full';
      /** How long it would have had to wait from then on, as predicted. */
      readonly predictedWaitMs: number;
    };

/** Only `attempt` may fail. All others but it and `giveBack` are called often, and change nothing. */
export interface WaitingRoomOptions<V, W extends Wish = Wish> {
  readonly clock: Clock;
  /**
   * Tries to take what is wished for, all or nothing. At once, or as a promise, which has to settle: its key waits for it.
   * There is one attempt at a time for each key. When it fails, its wish fails and no other.
   */
  readonly attempt: (wish: W) => Attempt<V> | Promise<Attempt<V>>;
  /** An attempt has taken something for a wish that has been aborted or refused meanwhile. */
  readonly giveBack: (wish: W, verdict: V) => void;
  /** What a wish costs, for fairness among tenants: the largest share of a limit that it takes. */
  readonly costOf: (wish: W) => number;
  /** How long a wish has to wait until what is queued before it, by dimension, and the wish itself have passed. */
  readonly predictMs: (wish: W, queuedAmounts: Amounts) => number;
  /** The share of a tenant relative to the others, above 0. Asked for each wish. */
  readonly weightOf: (tenant: string) => number;
  /** What waits for so long rises by a class of priority. 0 or Infinity: never. */
  readonly agingMs: number;
  /** Of all keys together. */
  readonly maxWaiting: number;
  /** Whose room it is, for the messages of errors. */
  readonly what: string;
}
