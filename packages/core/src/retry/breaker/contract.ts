import type { Clock, Duration, Random } from '../../kernel/index.js';
import type { Policy } from '../policy.js';
import type { BreakerEvent } from './events.js';
import type { SavedWindow } from './window.js';

export interface BreakerOptions {
  /** Names the backend in errors and events. Default `'breaker'`. */
  readonly name?: string;
  /** Opens after this many failures in a row. Default 5. */
  readonly consecutive?: number;
  /** Opens when this share of the calls in the window has failed. Default 0.5. */
  readonly failureRate?: number;
  /** The calls that the rates are of: of the last while, in tenths of it, or the last so many. Default `'30s'`. */
  readonly window?: Duration | { readonly calls: number };
  /** With fewer calls in the window the rates say nothing. Default 10, or as many as the window holds where that is less. */
  readonly minCalls?: number;
  /** A call that takes as long is slow, whatever came of it; of a stream, its time to the first chunk. Default: none is slow. */
  readonly slowCall?: Duration;
  /** Opens when this share of the calls in the window was slow. Default 0.5. */
  readonly slowRate?: number;
  /**
   * How long the backend is left alone at first, less up to 20 % by chance, so that processes that opened together do not come back
   * together. Twice as long each time that it opens again before it has stayed closed for as long as it was left alone. Default 10 s.
   */
  readonly pause?: Duration;
  /** The longest pause. Default 5 min. */
  readonly maxPause?: Duration;
  /** How many calls are let through after a pause to see what becomes of them. `failureRate` is of these as well. Default 3. */
  readonly probes?: number;
  /**
   * Whether an error says that the backend is in trouble; one that does not is passed over, as if there had been no call. Default:
   * the transient ones (`failureClass`). A client's fault (any 4xx, also a 404: it may come from a proxy before a dead server),
   * a rate limit and a refusal by a limiter, a bulkhead or a breaker inside say nothing of a backend's health, nor does a caller's
   * leaving, which this is not asked about.
   */
  readonly isFailure?: (error: unknown) => boolean;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly onEvent?: (event: BreakerEvent) => void;
}

export type BreakerState = 'closed' | 'open' | 'half-open';

/** Why it has opened; `held`: by `open()`. */
export type OpenReason = 'consecutive' | 'failure-rate' | 'slow-rate' | 'probes' | 'held';

export interface BreakerStats {
  readonly state: BreakerState;
  /** In the window: calls that count, those of them that failed, and those that were slow. */
  readonly calls: number;
  readonly failures: number;
  readonly slow: number;
  /** Shares of `calls`; 0 where there are none. */
  readonly failureRate: number;
  readonly slowRate: number;
  /** Failures in a row up to now. */
  readonly consecutive: number;
  /** How often it has refused a call, and how often it has opened, since it was made. */
  readonly rejected: number;
  readonly opened: number;
  /** How long it goes on refusing. Infinity: until `close()`. */
  readonly pauseLeftMs: number;
}

/** What came of a call that the breaker has not seen to its end. */
export type BreakerOutcome =
  | { readonly ok: true; readonly ms?: number }
  | { readonly ok: false; readonly ms?: number; readonly error?: unknown };

/** Plain JSON. Times are ages and remains, so that it can be restored on another machine or after a restart. */
export interface BreakerSnapshot {
  readonly version: 1;
  /** Milliseconds since 1970, by the wall clock: what has passed since then has passed for the breaker too. */
  readonly savedAt: number;
  /** One that is half-open is saved as open with no pause left: its probes belong to this process. */
  readonly state: 'closed' | 'open';
  /** Present while it is open. */
  readonly cause?: OpenCause;
  /** The last pause without its chance; 0 for none that the next one would be the double of. */
  readonly pauseMs: number;
  readonly pauseLeftMs: number;
  readonly closedForMs: number;
  readonly consecutive: number;
  readonly window: SavedWindow;
}

/** The numbers that it opened on. */
export interface OpenCause {
  readonly why: OpenReason;
  readonly calls: number;
  readonly failures: number;
  readonly slow: number;
}

/** A policy that leaves a backend alone after failures. All of it is O(1) in time and memory, and it has no timers. */
export interface BreakerPolicy extends Policy {
  readonly name: string;
  /** As a call would find it now: `half-open` as soon as the pause is over. */
  readonly state: BreakerState;
  stats(): BreakerStats;
  /** Whether a call would be let through now. Takes no permit. */
  allows(): boolean;
  /**
   * Tells of a call that was not made through the policy, or of what came later; of an error it decides whether it counts. A stream
   * begun by `firstChunk` is watched to its end without this. Nothing during a pause, and a probe after it.
   */
  record(outcome: BreakerOutcome): void;
  /** Refuses everything until `close()`. */
  open(): void;
  /** Closes it, forgetting what has been. */
  close(): void;
  save(): BreakerSnapshot;
  /**
   * Takes over what another breaker was. Outcomes of a window of another kind are left out.
   * @throws WarmpathError `WP_BAD_OPTION`
   */
  restore(snapshot: BreakerSnapshot): void;
}
