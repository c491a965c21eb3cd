import type { Duration } from '../kernel/index.js';
import type { Cost, Decision, Reservation } from './contract.js';
import type { LimiterStatus } from './status.js';

export interface TakeCall {
  /** The longest wait for its turn; 0 decides at once. Default: the limiter's. The deadline of the call's context counts as well. */
  readonly timeout?: Duration;
  /** Ends the wait, with its reason; nothing is charged then. That of the call's context does as well. */
  readonly signal?: AbortSignal;
  /** From 0, the most urgent, to 9. Default 5. */
  readonly priority?: number;
  /** Whose turn it takes where several wait for one key. Default: the tenant of the call's context. */
  readonly tenant?: string;
}

export interface ReserveCall extends TakeCall {
  /** When the reservation settles by itself. Default: the limiter's `leaseTtl`. */
  readonly ttl?: Duration;
  /** What to learn from, and to expect, where the cost names no `outputTokens`. */
  readonly estimate?: EstimateOf;
}

/** Calls that are alike in how much they answer. */
export interface EstimateOf {
  readonly model: string;
  readonly route?: string;
  /** The most that the call may answer: `max_tokens`. */
  readonly maxOutputTokens?: number;
}

/** What a provider has answered, as far as its limits go. */
export interface ProviderAnswer {
  /** The key that paid for the request. */
  readonly key?: string;
  readonly status: number;
  readonly headers?: HeadersLike;
  /** When the request was sent, on the clock's monotonic scale. Default: now. */
  readonly sentAt?: number;
}

export type HeadersLike = Headers | Readonly<Record<string, string | readonly string[] | undefined>>;

/** Spends a quota, and never more than there is. */
export interface Limiter {
  readonly name: string;
  /** Whether a store counts, which takes a moment: then there is no deciding at once. */
  readonly isShared: boolean;
  /**
   * Takes at once, or refuses and takes nothing. While others wait for the key it refuses, so that nobody is overtaken.
   * Synchronous; O(1).
   * @throws WarmpathError `WP_BAD_OPTION`, also where `isShared`: there `take()` with a timeout of 0 does the same
   */
  tryTake(key?: string, cost?: Cost): Decision;
  /** The same as a reservation. @throws as `tryTake()` */
  tryReserve(key?: string, cost?: Cost, call?: Pick<ReserveCall, 'ttl' | 'estimate'>): Reservation;
  /**
   * Takes what the request costs, when it is its turn; or refuses, and takes nothing. Who would have to wait for longer than
   * it may is refused at once. Turns go by priority, then evenly over tenants, then to the earliest deadline.
   * @throws WarmpathError `WP_BAD_OPTION`, `WP_CLOSED`; the reason of a signal that is aborted
   */
  take(key?: string, cost?: Cost, call?: TakeCall): Promise<Decision>;
  /**
   * The same for a call whose cost is known only afterwards: reserves what it is expected to cost, until it is settled.
   * @throws as `take()`
   */
  reserve(key?: string, cost?: Cost, call?: ReserveCall): Promise<Reservation>;
  /**
   * Learns from a provider's answer: 429 and 529 halve the rate, once for all requests that were under way; success lets it
   * grow again; headers say what is left and when there will be more. Malformed headers are as if absent.
   */
  observe(answer: ProviderAnswer): void;
  /** `fetch`, with every answer observed: for the clients of providers. */
  observing(fetch: typeof globalThis.fetch, key?: string): typeof globalThis.fetch;
  status(): LimiterStatus;
  /** Refuses who waits with `WP_CLOSED`. Idempotent. */
  close(): Promise<void>;
}
