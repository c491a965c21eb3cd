/** Sums of doubles are off in their last digits: what is due must not be refused for that. */
const slack = 1 + 1e-9;

/**
 * Whether an amount fits beside what is used. Nothing always does; more than the limit does where nothing is used, since a limit
 * that feedback has reduced must not shut out a large request for ever.
 */
export function fits(amount: number, used: number, limit: number): boolean {
  return used + amount <= limit * slack || !(amount > 0) || (used === 0 && limit > 0);
}

/** From `now` to an instant, rounded so that the sum of both is never before it. */
export function waitUntil(instant: number, now: number): number {
  let waitMs = Math.max(0, instant - now);
  while (now + waitMs < instant) waitMs += Math.abs(instant) * Number.EPSILON;
  return waitMs;
}
