import type { Allowed, DecidedBy, DimensionStanding, RefusalReason, Refused } from './contract.js';
import type { Dimension, Verdict } from './dimensions.js';

/**
 * What a verdict says of amounts, as a decision says it of limits that have names. One is made for every request, so it is a
 * class of its own rather than one that extends another: that would double the time that it takes to make.
 */
export class AllowedDecision implements Allowed {
  readonly ok = true;
  readonly dimension: string;
  readonly limit: number;
  readonly remaining: number;
  readonly resetMs: number;
  readonly decidedBy: DecidedBy;
  readonly #dimensions: readonly Dimension[];
  readonly #verdict: Verdict | undefined;

  /** @param left and `leftResetMs`: what the verdict says of the dimension that binds */
  constructor(
    dimensions: readonly Dimension[],
    verdict: Verdict | undefined,
    decidedBy: DecidedBy,
    left: number,
    leftResetMs: number,
  ) {
    const dimension = dimensions[verdict === undefined ? 0 : verdict.binding] as Dimension;
    this.dimension = dimension.name;
    this.limit = dimension.limit;
    this.remaining = Math.floor(left + 1e-9);
    this.resetMs = leftResetMs;
    this.decidedBy = decidedBy;
    this.#dimensions = dimensions;
    this.#verdict = verdict;
  }

  /** Made when it is asked for: most callers want to know no more than whether they may. */
  get dimensions(): readonly DimensionStanding[] {
    return standings(
      this.#dimensions,
      this.#verdict ?? {
        ok: true,
        binding: 0,
        waitMs: 0,
        remaining: [this.remaining],
        resetMs: [this.resetMs],
        waitsMs: [0],
      },
    );
  }
}

/** The same for what is refused. */
export class RefusedDecision implements Refused {
  readonly ok = false;
  readonly reason: RefusalReason;
  readonly waitMs: number;
  readonly dimension: string;
  readonly limit: number;
  readonly remaining: number;
  readonly resetMs: number;
  readonly decidedBy: DecidedBy;
  readonly #dimensions: readonly Dimension[];
  readonly #verdict: Verdict;

  constructor(
    dimensions: readonly Dimension[],
    verdict: Verdict,
    decidedBy: DecidedBy,
    { reason, waitMs }: { readonly reason: RefusalReason; readonly waitMs: number },
  ) {
    const { binding } = verdict;
    const { name, limit } = dimensions[binding] as Dimension;
    this.reason = reason;
    this.waitMs = waitMs;
    this.dimension = name;
    this.limit = limit;
    this.remaining = wholeUnits(verdict.remaining[binding]);
    this.resetMs = verdict.resetMs[binding] ?? 0;
    this.decidedBy = decidedBy;
    this.#dimensions = dimensions;
    this.#verdict = verdict;
  }

  get dimensions(): readonly DimensionStanding[] {
    return standings(this.#dimensions, this.#verdict);
  }
}

function standings(
  dimensions: readonly Dimension[],
  { remaining, resetMs, waitsMs }: Verdict,
): readonly DimensionStanding[] {
  return dimensions.map((dimension, index) => ({
    dimension: dimension.name,
    unit: dimension.unit,
    limit: dimension.limit,
    windowMs: windowMsOf(dimension),
    remaining: wholeUnits(remaining[index]),
    resetMs: resetMs[index] ?? 0,
    waitMs: waitsMs[index] ?? 0,
  }));
}

const nominalDays = { day: 1, week: 7, month: 30 } as const;

/** Of a calendar's period the usual length: some days have 23 hours, and months are what they are. 0 for concurrency. */
export function windowMsOf(dimension: Dimension): number {
  if (dimension.kind === 'window') return dimension.windowMs;
  if (dimension.kind === 'concurrency') return 0;
  return dimension.per === 'hour' ? 3_600_000 : nominalDays[dimension.per] * 86_400_000;
}

/** Sums of doubles are off by a little: what is a whole unit but for that is one. */
function wholeUnits(amount = 0): number {
  return Math.max(0, Math.floor(amount + 1e-9));
}
