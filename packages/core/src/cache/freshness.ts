import type { Lifetime } from './entry.js';
import type { ResolvedCacheOptions } from './options.js';

/**
 * XFetch (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, VLDB 2015): whether a read
 * at `now` refreshes an entry ahead of its time. The chance grows as the end comes near and with how long the value takes
 * to compute: exp(-left / (beta * computeMs)).
 * @param chance in [0, 1)
 */
export function isRefreshedEarly(
  now: number,
  { freshUntil, computeMs }: { readonly freshUntil: number; readonly computeMs: number },
  beta: number,
  chance: () => number,
): boolean {
  const scaleMs = computeMs * beta;
  // A chance of 2^-53, the smallest above 0, has a logarithm of -36.7: further out no draw can say yes.
  if (freshUntil - now > scaleMs * 37) return false;
  return now - scaleMs * Math.log(1 - chance()) >= freshUntil;
}

/** The ttl of a value for which nobody has chosen one. */
export function ttlMsOf(
  value: unknown,
  { ttlMs, negativeTtlMs }: Pick<ResolvedCacheOptions, 'ttlMs' | 'negativeTtlMs'>,
): number {
  return value === null || value === undefined ? negativeTtlMs : ttlMs;
}

/** How long a new value is good for: its ttl, cut short by chance, and then as long as it may stand in. */
export function lifetimeOf(
  options: Pick<ResolvedCacheOptions, 'jitter' | 'random' | 'staleWhileRevalidateMs' | 'graceMs'>,
  ttlMs: number,
  tags: readonly string[],
  computeMs: number,
): Lifetime {
  const { jitter, random, staleWhileRevalidateMs, graceMs } = options;
  const freshMs = jitter === 0 ? ttlMs : ttlMs * (1 - jitter * random());
  return { freshMs, keptMs: freshMs + Math.max(staleWhileRevalidateMs, graceMs), computeMs, tags };
}
