import type { Clock, Duration } from '../../kernel/index.js';
import type { Policy } from '../policy.js';
import type { BulkheadEvent } from './events.js';

export interface BulkheadOptions {
  /** Names the backend in errors and events. Default `'bulkhead'`. */
  readonly name?: string;
  /** How many calls may run at once, or how that is found out. Default 10. */
  readonly maxConcurrent?: number | AdaptiveConcurrency;
  /** How many may wait for a place. Default 0: what finds none is refused. */
  readonly maxWaiting?: number;
  /** How long one may wait. Default: as long as its caller's deadline allows. */
  readonly timeout?: Duration;
  readonly clock?: Clock;
  readonly onEvent?: (event: BulkheadEvent) => void;
}

/**
 * A limit that falls while calls take longer than they do without a queue before them, and grows while they do not (Gradient2). Now and
 * then it is halved for a moment, to see how long calls take then: let some wait, or they are refused meanwhile.
 */
export interface AdaptiveConcurrency {
  /** Default 1. */
  readonly min?: number;
  /** Default 200. */
  readonly max?: number;
  /** Default 20, or what `min` and `max` allow. */
  readonly initial?: number;
  /**
   * What is watched. `'duration'`, the default: the time until the outcome, which of a stream is its first chunk. `'chunk'`: the time of
   * one chunk of a stream after the first, for models whose answers differ in length; calls without streams are passed over.
   */
  readonly measure?: 'duration' | 'chunk';
}

export interface BulkheadStats {
  readonly limit: number;
  readonly running: number;
  readonly waiting: number;
  /** Since it was made: refused, for whichever reason; and how many have waited for their place, and for how long together. */
  readonly rejected: number;
  readonly waited: number;
  readonly waitedMs: number;
}

/** A policy that lets only so many calls run at once. */
export interface BulkheadPolicy extends Policy {
  readonly name: string;
  stats(): BulkheadStats;
}
