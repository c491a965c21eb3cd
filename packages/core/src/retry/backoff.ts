import { fullJitterMs, type Random } from '../kernel/index.js';

/**
 * The delay before a retry, from what is known: how many there were, the delay before, and a number drawn by chance. Both forms
 * are of M. Brooker, "Exponential Backoff And Jitter" (AWS, 2015): `full` draws evenly from 0 to the exponential step,
 * `decorrelated` from the base to three times the delay before.
 */
export type Jitter = 'full' | 'decorrelated';

export interface BackoffState {
  /** 0 before the first retry. */
  readonly retries: number;
  /** The delay before the last one, 0 before the first. */
  readonly previousMs: number;
}

/** @param capMs the longest delay */
export function backoffMs(jitter: Jitter, state: BackoffState, baseMs: number, capMs: number, random: Random): number {
  if (jitter === 'full') return fullJitterMs(state.retries, baseMs, capMs, random);
  return decorrelatedJitterMs(state.previousMs, baseMs, capMs, random);
}

/** Never below the base, unless the cap is. */
export function decorrelatedJitterMs(previousMs: number, baseMs: number, capMs: number, random: Random): number {
  const upper = Math.max(baseMs, previousMs * 3);
  return Math.min(capMs, baseMs + random() * (upper - baseMs));
}
