import { RecentQuantile } from '../../kernel/index.js';

/** Reserving this quantile leaves one call in ten to owe something in the end, and keeps little in reserve for nothing. */
const share = 0.9;
/** A changed behaviour is learned after this many calls, and what was before is forgotten after twice as many. */
const memory = 250;
/** Below this many samples a ninth decile says little, so the ceiling is taken. */
const samplesNeeded = 50;
/**
 * From then on the estimate goes from the ceiling to what is learned, and is there with this many samples: of the calls that
 * began together the short ones complete first, so the first samples say too little.
 */
const samplesTrusted = 250;

export interface EstimatesOptions {
  /** How many labels are remembered; the one that has learned nothing for the longest time goes first. Default 1,000. */
  readonly maxLabels?: number;
  /** Tokens, for a label not known well enough and without a declared maximum. Default 1,024. */
  readonly ceiling?: number;
}

/** What a call may generate at most, where it says so (`max_tokens`). */
export interface Declared {
  readonly max?: number | undefined;
}

interface Learned {
  /** Of the declared maximum, from 0 to 1. */
  shares?: RecentQuantile;
  /** Where none was declared. */
  tokens?: RecentQuantile;
}

/**
 * How many tokens calls will generate, learned from those that have completed: the ninth decile for each label, relative to
 * the declared maximum or, where none is declared, absolute. Both calls are O(1); a label takes 1 to 2 kB.
 */
export class Estimates {
  readonly #labels = new Map<string, Learned>();
  readonly #maxLabels: number;
  readonly #ceiling: number;

  constructor({ maxLabels = 1_000, ceiling = 1_024 }: EstimatesOptions = {}) {
    this.#maxLabels = maxLabels;
    this.#ceiling = ceiling;
  }

  /** Labels that are remembered. */
  get size(): number {
    return this.#labels.size;
  }

  /**
   * Whole tokens to reserve. Until 50 calls have been learned from: the declared maximum, or the ceiling of the options; from
   * 250 on what was learned; in between something between. Never above a declared maximum.
   */
  expected(label: string, { max }: Declared = {}): number {
    const learned = this.#labels.get(label);
    if (!isCount(max)) return wholeFrom(between(this.#ceiling, learned?.tokens, 1));
    return Math.min(max, wholeFrom(between(max, learned?.shares, max)));
  }

  /**
   * A call has completed with so many tokens. Calls that were cut short do not belong here: they would have gone on, so they
   * would teach too little. What is not a number from 0 up is passed over.
   */
  learn(label: string, actual: number, { max }: Declared = {}): void {
    if (!isCount(actual) || max === 0) return;
    const learned = this.#touch(label);
    const kind = isCount(max) ? 'shares' : 'tokens';
    learned[kind] ??= new RecentQuantile(share, memory);
    // Both are bounded, so that the sums of the estimator stay finite.
    learned[kind].add(isCount(max) ? Math.min(actual / max, 1) : Math.min(actual, Number.MAX_SAFE_INTEGER));
  }

  #touch(label: string): Learned {
    const learned = this.#labels.get(label) ?? {};
    this.#labels.delete(label);
    this.#labels.set(label, learned);
    if (this.#labels.size > this.#maxLabels) {
      const [oldest = ''] = this.#labels.keys();
      this.#labels.delete(oldest);
    }
    return learned;
  }
}

/** From the ceiling to what was learned, in parts of `unit`, by how many samples there are. */
function between(ceiling: number, learned: RecentQuantile | undefined, unit: number): number {
  if (learned?.value === undefined) return ceiling;
  const trust = (learned.count - samplesNeeded) / (samplesTrusted - samplesNeeded);
  return ceiling + (learned.value * unit - ceiling) * Math.min(1, Math.max(0, trust));
}

/** Rounded up, but for the errors of doubles: 0.07 * 100 is 7.000000000000001. */
function wholeFrom(tokens: number): number {
  return Math.ceil(tokens - 1e-6);
}

function isCount(value: number | undefined): value is number {
  return value !== undefined && Number.isFinite(value) && value >= 0;
}
