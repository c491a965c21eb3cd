/**
 * The token bucket as arithmetic (GCRA, ITU-T I.371): state in, state out; the caller owns memory and time.
 * The state is one number, the theoretical arrival time `tat`: the instant at which the bucket will be full again.
 */
export interface BucketRate {
  /** Milliseconds that one unit takes to come back. */
  readonly unitMs: number;
  /** Units that a full bucket holds. */
  readonly burst: number;
}

export type BucketAnswer =
  | { readonly ok: true; readonly tat: number; readonly remaining: number; readonly resetMs: number }
  | {
      readonly ok: false;
      /** How long until the same request would pass, if nobody else takes anything meanwhile. */
      readonly waitMs: number;
      readonly remaining: number;
      readonly resetMs: number;
    };

/** Takes `weight` units at the instant `now`, or nothing at all. */
export function take(rate: BucketRate, tat: number, weight: number, now: number): BucketAnswer {
  const from = Math.max(tat, now);
  const taken = from + weight * rate.unitMs;
  const waitMs = taken - now - rate.burst * rate.unitMs;
  if (waitMs > tolerance(now + rate.burst * rate.unitMs))
    return { ok: false, waitMs, remaining: remaining(rate, from, now), resetMs: from - now };
  return { ok: true, tat: taken, remaining: remaining(rate, taken, now), resetMs: taken - now };
}

function remaining({ unitMs, burst }: BucketRate, tat: number, now: number): number {
  return Math.max(0, Math.floor(burst - (tat - now) / unitMs + 1e-9));
}

/** Sums of doubles are off by some ulps of the largest instant in them; a unit that is due must not be refused for that. */
function tolerance(latest: number): number {
  return Math.max(1, latest) * 4 * Number.EPSILON;
}
