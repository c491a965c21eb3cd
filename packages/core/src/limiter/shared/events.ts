import type { BreakerState } from '../../kernel/index.js';

export type StoreOperation = 'take' | 'settle' | 'extend' | 'peers';

/** What a limiter reports of the store that it shares with others. */
export type SharedEvent =
  | {
      readonly type: 'limiter.store-failed';
      readonly limiter: string;
      readonly store: string;
      readonly operation: StoreOperation;
      readonly error: unknown;
    }
  | {
      /** `open`: the store is left alone for a while; `half-open`: one call tries it; `closed`: it is asked. */
      readonly type: 'limiter.store-state';
      readonly limiter: string;
      readonly store: string;
      readonly state: BreakerState;
    }
  | {
      /** What was allowed while the store could not be asked counts there now. */
      readonly type: 'limiter.debt-told';
      readonly limiter: string;
      readonly keys: number;
    };
