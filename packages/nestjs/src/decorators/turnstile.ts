import type { Duration } from '@warmpath/core/kernel';
import type { Cost, Decision, Lease, Limiter, LimiterOptions } from '@warmpath/core/limiter';
import { RateLimitedException } from '../rate-limited-exception.js';
import { announceRefusal } from '../request-context.js';

export interface TurnstileOptions {
  readonly limits: Pick<LimiterOptions, 'limits'>;
  readonly wait: Duration;
  /** What clients are told that the limiter is called. */
  readonly policy: string;
}

/**
 * Lets one call through.
 * @returns where it has a place among those at the same time, the lease of that
 * @throws RateLimitedException
 */
export type Turnstile = (
  payer: string | undefined,
  cost: Cost | undefined,
  priority: number | undefined,
) => Promise<Lease | undefined>;

/** The way past a limiter, the shortest that there is. */
export function turnstile(limiter: Limiter, { limits, wait, policy }: TurnstileOptions): Turnstile {
  const holds = limits.limits?.some((limit) => 'concurrent' in limit) ?? false;
  const isImmediate = wait === 0 && !limiter.isShared;
  const checked = <D extends Decision>(decision: D): D & { readonly ok: true } => {
    if (decision.ok) return decision as D & { readonly ok: true };
    const refusal = new RateLimitedException(limiter, decision, policy);
    announceRefusal(refusal.getStatus(), refusal.headers);
    throw refusal;
  };
  return async function pass(payer, cost, priority) {
    const call = { timeout: wait, ...(priority !== undefined && { priority }) };
    if (holds) return checked(await limiter.reserve(payer, cost, call)).lease;
    checked(isImmediate ? limiter.tryTake(payer, cost) : await limiter.take(payer, cost, call));
    return undefined;
  };
}
