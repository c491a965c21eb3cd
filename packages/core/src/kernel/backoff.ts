import type { Random } from './random.js';

/**
 * Full jitter (M. Brooker, "Exponential Backoff And Jitter", AWS 2015): a delay drawn evenly from 0 to the exponential
 * step, so that callers who failed together do not come back together.
 * @param retry 0 for the first retry
 */
export function fullJitterMs(retry: number, baseMs: number, capMs: number, random: Random): number {
  return random() * Math.min(capMs, baseMs * 2 ** retry);
}
