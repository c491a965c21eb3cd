import type { CostByUnit, DecidedBy, RefusalReason } from './contract.js';
import type { SharedEvent } from './shared/events.js';

/** Who asked is in none of them: keys may be names of people. */
export type LimiterEvent =
  | SharedEvent
  | {
      readonly type: 'limiter.allowed';
      readonly limiter: string;
      /** The one of which the least is left, and how many whole units of it. */
      readonly dimension: string;
      readonly remaining: number;
      /** How long its caller was kept waiting. */
      readonly waitedMs: number;
      readonly decidedBy: DecidedBy;
    }
  | {
      readonly type: 'limiter.refused';
      readonly limiter: string;
      /** The one that binds. */
      readonly dimension: string;
      readonly remaining: number;
      readonly reason: RefusalReason;
      readonly waitMs: number;
      readonly decidedBy: DecidedBy;
    }
  | {
      readonly type: 'limiter.settled';
      readonly limiter: string;
      readonly reserved: CostByUnit;
      readonly actual: CostByUnit;
    }
  | {
      /** A provider has said, by an error or in its headers, that less is to be had than the limits say, or time has passed since. */
      readonly type: 'limiter.rate-changed';
      readonly limiter: string;
      /** Parts of the limits: 1 is all of them. */
      readonly from: number;
      readonly to: number;
      readonly why: string;
    };
