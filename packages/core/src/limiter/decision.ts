import type { Allowed, DecidedBy, DimensionStanding, RefusalReason, Refused } from './contract.js';
import type { Dimension, Verdict } from './dimensions.js';

/** What a verdict says of amounts, as a decision says it of limits that have names. */
class Standing {
  readonly dimension: string;
  readonly limit: number;
  readonly remaining: number;
  readonly resetMs: number;
  readonly decidedBy: DecidedBy;
  readonly #dimensions: readonly Dimension[];
  readonly #verdict: Verdict;

  constructor(dimensions: readonly Dimension[], verdict: Verdict, decidedBy: DecidedBy) {
    const { binding } = verdict;
    const dimension = dimensions[binding];
    this.dimension = dimension?.name ?? '';
    this.limit = dimension?.limit ?? 0;
    this.remaining = wholeUnits(verdict.remaining[binding]);
    this.resetMs = verdict.resetMs[binding] ?? 0;
    this.decidedBy = decidedBy;
    this.#dimensions = dimensions;
    this.#verdict = verdict;
  }

  /** Made when it is asked for: most callers want to know no more than whether they may. */
  get dimensions(): readonly DimensionStanding[] {
    const { remaining, resetMs, waitsMs } = this.#verdict;
    return this.#dimensions.map((dimension, index) => ({
      dimension: dimension.name,
      unit: dimension.unit,
      limit: dimension.limit,
      windowMs: windowMsOf(dimension),
      remaining: wholeUnits(remaining[index]),
      resetMs: resetMs[index] ?? 0,
      waitMs: waitsMs[index] ?? 0,
    }));
  }
}

export class AllowedDecision extends Standing implements Allowed {
  readonly ok = true;
}

export class RefusedDecision extends Standing implements Refused {
  readonly ok = false;
  readonly reason: RefusalReason;
  readonly waitMs: number;

  constructor(
    dimensions: readonly Dimension[],
    verdict: Verdict,
    decidedBy: DecidedBy,
    { reason, waitMs }: { readonly reason: RefusalReason; readonly waitMs: number },
  ) {
    super(dimensions, verdict, decidedBy);
    this.reason = reason;
    this.waitMs = waitMs;
  }
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
