import type { BreakerState } from '../kernel/index.js';
import type { DimensionStanding } from './contract.js';

/** How a limiter stands: of all keys the one that has used most of its limits. */
export interface LimiterStatus {
  readonly dimensions: readonly DimensionStatus[];
  /** Keys that are remembered here. */
  readonly keys: number;
  /** Callers that wait for their turn. */
  readonly waiting: number;
  /** Reservations that have neither been settled nor expired. */
  readonly reserved: number;
  /** The part of the limits that is in force: 1, or less where a provider has refused for its rate. */
  readonly rate: number;
  /** The last change of the rate; undefined where there was none. */
  readonly lastChange?: RateChange;
  /** Where several processes count together. */
  readonly store?: { readonly name: string; readonly state: BreakerState; readonly peers: number };
}

export interface DimensionStatus extends Pick<DimensionStanding, 'dimension' | 'unit' | 'limit' | 'remaining'> {
  readonly used: number;
}

export interface RateChange {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly from: number;
  readonly to: number;
  readonly why: string;
}
