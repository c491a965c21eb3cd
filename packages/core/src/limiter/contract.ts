import type { Duration } from '../kernel/index.js';

/**
 * What one request costs. A number is that many `requests`. Each unit is a number from 0 up, fractions included; `requests` is
 * 1 unless said otherwise, `tokens` the sum of `inputTokens` and `outputTokens`, every other unit 0. Units without a limit of
 * their own are free; beside these four there are those that the limits name, such as `usd`.
 */
export type Cost = number | CostByUnit;

export interface CostByUnit {
  readonly requests?: number;
  readonly inputTokens?: number;
  readonly outputTokens?: number;
  readonly tokens?: number;
  readonly [unit: string]: number | undefined;
}

/** So much in any window of that length, wherever it begins. */
export interface WindowLimit {
  /** What it is called in decisions, events and headers. Default: unit and window, such as `requests/1m`. */
  readonly name?: string;
  /** Default `requests`. */
  readonly unit?: string;
  readonly limit: number;
  /** A second to a day, or any other length. */
  readonly window: Duration;
  /** The most that may come at once; what follows is spaced evenly. 1 paces requests. Default: the limit. */
  readonly burst?: number;
}

/** So much in each hour, day, week or month of the calendar: it begins anew at their end, as the quotas of providers do. */
export interface CalendarLimit {
  /** Default: unit and period, such as `requests/day`. */
  readonly name?: string;
  /** Default `requests`. */
  readonly unit?: string;
  readonly limit: number;
  /** Weeks begin on Monday. */
  readonly per: CalendarPeriod;
  /** Of the calendar, by its IANA name, such as `America/Los_Angeles`. Default `UTC`. */
  readonly timeZone?: string;
}

export type CalendarPeriod = 'hour' | 'day' | 'week' | 'month';

/** So many at the same time: each reservation is one until it is settled or expires. */
export interface ConcurrencyLimit {
  /** Default `concurrency`. */
  readonly name?: string;
  readonly concurrent: number;
}

export type Limit = WindowLimit | CalendarLimit | ConcurrencyLimit;

/**
 * Who has counted. `memory`: this process, for which nobody else counts; `store`: the store that several share; `lease`: this
 * process, out of what it has taken from the store in advance; `local`: this process, within its share, while the store is
 * away; `none`: nobody, since the store is away and `onStoreError` says to allow or to refuse then.
 */
export type DecidedBy = 'memory' | 'store' | 'lease' | 'local' | 'none';

/** How one of the limits stands after a decision. */
export interface DimensionStanding {
  readonly dimension: string;
  readonly unit: string;
  readonly limit: number;
  /** Of a calendar limit the length of the present period; of a limit on concurrency 0. */
  readonly windowMs: number;
  /** Whole units that could be taken now. */
  readonly remaining: number;
  /** Until nothing is used any more; where that depends on reservations under way, until the last of them expires. */
  readonly resetMs: number;
  /** On a refusal: until this dimension would let the same request pass; 0 where it would now. */
  readonly waitMs: number;
}

interface Standing {
  /** The dimension that binds: the one with the longest wait on a refusal, else the one of which the least is left. */
  readonly dimension: string;
  readonly limit: number;
  /** Whole units of it that could be taken now. */
  readonly remaining: number;
  readonly resetMs: number;
  readonly decidedBy: DecidedBy;
  /** All of them, in the order of the limits. */
  readonly dimensions: readonly DimensionStanding[];
}

export interface Allowed extends Standing {
  readonly ok: true;
}

/**
 * `quota`: there is not enough left. `impossible`: the cost is above what the limit ever holds, so it would never pass.
 * `deadline`: it would pass too late for the caller. `queue-full`: too many wait already. `store-unavailable`: nobody can tell.
 */
export type RefusalReason = 'quota' | 'impossible' | 'deadline' | 'queue-full' | 'store-unavailable';

/** A refusal is a value: it says why, what binds and when to come back. It has charged nothing, unless `penalise` is set. */
export interface Refused extends Standing {
  readonly ok: false;
  readonly reason: RefusalReason;
  /**
   * Milliseconds until the same request would pass if nobody else asked; behind others in a queue, as predicted. Exact for
   * windows and calendars; for concurrency as long as reservations are kept on average, and at most until one expires; Infinity
   * when impossible.
   */
  readonly waitMs: number;
}

export type Decision = Allowed | Refused;

/** What was reserved for a call whose cost is known only afterwards. */
export interface Lease {
  /** What is charged so far, by unit. */
  readonly reserved: CostByUnit;
  /** Milliseconds until it settles by itself at what is reserved; 0 once it has settled. */
  readonly leftMs: number;
  /**
   * The cost in the end: what was reserved above it comes back, what was used beyond it is owed, and later callers wait.
   * Units that are not named stay as reserved. Only the first settlement counts, and none after the lease has expired.
   * @param actual default: what was reserved. Pass 0 for a call that was never sent.
   * @param end `cut`: the call was aborted or broke off, so nothing is to be learned from what it has used
   * @throws WarmpathError `WP_BAD_OPTION`
   */
  settle(actual?: Cost, end?: LeaseEnd): void;
  /** For a call that lasts: it expires this long from now. Nothing once it has settled. */
  extend(ttl: Duration): void;
  /** Settles at what was reserved, at the end of a `using` block. */
  [Symbol.dispose](): void;
}

/** Default `complete`. */
export type LeaseEnd = 'complete' | 'cut';

export type Reservation = (Allowed & { readonly lease: Lease }) | Refused;
