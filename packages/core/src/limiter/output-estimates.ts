import type { CostByUnit } from './contract.js';
import { type Amounts, capacityOf, type Dimension } from './dimensions.js';
import { Estimates } from './feedback/estimates.js';
import type { EstimateOf } from './limiter-types.js';

/** What a call may be expected to answer, in tokens, never more than the smallest limit has room for beside its input. */
export class OutputEstimates {
  readonly #dimensions: readonly Dimension[];
  readonly #capacities: Amounts;
  readonly #estimates = new Estimates();

  constructor(dimensions: readonly Dimension[]) {
    this.#dimensions = dimensions;
    this.#capacities = dimensions.map(capacityOf);
  }

  /** The cost with its output, unless it says that itself. */
  expected(cost: CostByUnit, estimate: EstimateOf): CostByUnit {
    if (cost.outputTokens !== undefined || cost.tokens !== undefined) return cost;
    const expected = this.#estimates.expected(labelOf(estimate), maxOf(estimate));
    return { ...cost, outputTokens: Math.min(expected, this.#room(cost.inputTokens ?? 0)) };
  }

  learn(estimate: EstimateOf, outputTokens: number | undefined): void {
    if (outputTokens !== undefined) this.#estimates.learn(labelOf(estimate), outputTokens, maxOf(estimate));
  }

  #room(inputTokens: number): number {
    return this.#dimensions.reduce((room, { unit }, index) => {
      const capacity = this.#capacities[index] ?? 0;
      if (unit === 'outputTokens') return Math.min(room, capacity);
      return unit === 'tokens' ? Math.min(room, Math.max(0, capacity - inputTokens)) : room;
    }, Number.POSITIVE_INFINITY);
  }
}

function labelOf({ model, route = '' }: EstimateOf): string {
  return `${model}\n${route}`;
}

function maxOf({ maxOutputTokens: max }: EstimateOf): { readonly max?: number } {
  return max === undefined ? {} : { max };
}
