import type { CalendarPeriod } from './contract.js';

/** The limits of a limiter, resolved: in this order they are asked, charged and reported, by their index. */
export type Dimension = WindowDimension | CalendarDimension | ConcurrencyDimension;

export interface WindowDimension {
  readonly kind: 'window';
  readonly name: string;
  readonly unit: string;
  readonly limit: number;
  readonly windowMs: number;
  /** Undefined: no more than the limit itself. */
  readonly burst: number | undefined;
}

export interface CalendarDimension {
  readonly kind: 'calendar';
  readonly name: string;
  readonly unit: string;
  readonly limit: number;
  readonly per: CalendarPeriod;
  readonly timeZone: string;
}

export interface ConcurrencyDimension {
  readonly kind: 'concurrency';
  readonly name: string;
  readonly unit: 'concurrency';
  readonly limit: number;
}

/** What is asked of each dimension, by index. */
export type Amounts = readonly number[];

/** What one account answers: nothing here allocates more than it must, since it is made for every request. */
export interface Verdict {
  readonly ok: boolean;
  /** Index of the dimension that binds. */
  readonly binding: number;
  /** 0 when ok. */
  readonly waitMs: number;
  /** By dimension: units left, which may be fractions; milliseconds until all is there again; until this request fits. */
  readonly remaining: Amounts;
  readonly resetMs: Amounts;
  readonly waitsMs: Amounts;
}

/** The most that could ever be taken at once: what is above it is impossible. */
export function capacityOf(dimension: Dimension): number {
  return dimension.kind === 'window' ? (dimension.burst ?? dimension.limit) : dimension.limit;
}
