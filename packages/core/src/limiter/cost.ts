import { badOption } from '../kernel/index.js';
import type { Cost, CostByUnit } from './contract.js';
import type { Amounts, Dimension } from './dimensions.js';

/** Units that every cost may name, whether they are limited or not. */
const knownUnits: readonly string[] = ['requests', 'tokens', 'inputTokens', 'outputTokens'];

/** Turns costs into amounts by dimension. */
export class CostPlan {
  readonly #where: string;
  readonly #dimensions: readonly Dimension[];
  readonly #units: ReadonlySet<string>;
  /** What a plain number counts: requests, or the only unit that is limited. */
  readonly #plainUnit: string;
  readonly #one: Amounts;

  constructor(where: string, dimensions: readonly Dimension[]) {
    this.#where = where;
    this.#dimensions = dimensions;
    const limited = new Set(dimensions.filter(({ kind }) => kind !== 'concurrency').map(({ unit }) => unit));
    const [only = 'requests'] = limited;
    this.#units = new Set([...knownUnits, ...limited]);
    this.#plainUnit = limited.size === 1 ? only : 'requests';
    this.#one = Object.freeze(this.#amounts({ [this.#plainUnit]: 1 }));
  }

  /** @throws WarmpathError `WP_BAD_OPTION` */
  amountsOf(cost: Cost | undefined): Amounts {
    if (cost === undefined || cost === 1) return this.#one;
    if (typeof cost === 'number') {
      if (!(cost >= 0)) throw badOption(this.#where, 'cost', 'a number from 0 up, or numbers by unit', cost);
      return this.#amounts({ requests: 1, [this.#plainUnit]: cost });
    }
    this.#check(cost);
    return this.#amounts(cost);
  }

  /** A cost by its units, however it is written. @throws WarmpathError `WP_BAD_OPTION` */
  unitsOf(cost: Cost = {}): CostByUnit {
    if (typeof cost === 'number') return { [this.#plainUnit]: cost };
    this.#check(cost);
    return cost;
  }

  /**
   * A cost in the end by its units. Of input and output the one that is not named is as in `reserved`: else a limit on both
   * would take it for nothing.
   * @throws WarmpathError `WP_BAD_OPTION`
   */
  actualOf(actual: Cost, reserved: CostByUnit): CostByUnit {
    const named = this.#byUnit(actual);
    const { tokens, inputTokens, outputTokens } = named;
    if (tokens !== undefined || (inputTokens === undefined) === (outputTokens === undefined)) return named;
    return {
      ...named,
      inputTokens: inputTokens ?? reserved.inputTokens ?? 0,
      outputTokens: outputTokens ?? reserved.outputTokens ?? 0,
    };
  }

  /** What has to be corrected to come from `reserved` to the cost in the end; units that are not named stay as they are. */
  corrections(reserved: Amounts, actual: CostByUnit): Amounts {
    const total = tokensOf(actual);
    return this.#dimensions.map(({ kind, unit }, index) => {
      const used = unit === 'tokens' ? total : actual[unit];
      return kind === 'concurrency' || used === undefined ? 0 : used - (reserved[index] ?? 0);
    });
  }

  /** The opposite of `amountsOf`, as far as units are limited. */
  byUnit(amounts: Amounts): CostByUnit {
    const named: Record<string, number> = {};
    for (const [index, { kind, unit }] of this.#dimensions.entries()) {
      if (kind !== 'concurrency') named[unit] = amounts[index] ?? 0;
    }
    return named;
  }

  /** 0 says that there was no call at all: then nothing of it counts. */
  #byUnit(actual: Cost): CostByUnit {
    if (actual === 0) return Object.fromEntries(Array.from(this.#units, (unit) => [unit, 0]));
    if (typeof actual !== 'number') {
      this.#check(actual);
      // An account would be in debt for ever.
      const endless = Object.keys(actual).find((unit) => actual[unit] === Number.POSITIVE_INFINITY);
      if (endless) throw badOption(this.#where, `actual.${endless}`, 'a finite number', actual[endless]);
      return actual;
    }
    if (!(actual > 0 && Number.isFinite(actual))) {
      throw badOption(this.#where, 'actual', 'a finite number from 0 up, or numbers by unit', actual);
    }
    return { [this.#plainUnit]: actual };
  }

  #check(cost: CostByUnit): void {
    if (typeof cost !== 'object' || cost === null || Array.isArray(cost)) {
      throw badOption(this.#where, 'cost', 'a number from 0 up, or numbers by unit', cost);
    }
    for (const unit in cost) {
      const amount = cost[unit];
      if (!this.#units.has(unit)) {
        const names = Array.from(this.#units, (name) => `'${name}'`).join(', ');
        throw badOption(this.#where, `cost.${unit}`, `left out, since the units of this limiter are ${names}`, amount);
      }
      if (amount !== undefined && !(typeof amount === 'number' && amount >= 0)) {
        throw badOption(this.#where, `cost.${unit}`, 'a number from 0 up', amount);
      }
    }
  }

  /** A cost that does not say so is of one request. */
  #amounts(cost: CostByUnit): number[] {
    const dimensions = this.#dimensions;
    const amounts = new Array<number>(dimensions.length);
    for (let index = 0; index < amounts.length; index++) {
      const { kind, unit } = dimensions[index] as Dimension;
      if (kind === 'concurrency') amounts[index] = 1;
      else if (unit === 'tokens') amounts[index] = tokensOf(cost) ?? 0;
      else amounts[index] = unit === 'requests' ? (cost.requests ?? 1) : (cost[unit] ?? 0);
    }
    return amounts;
  }
}

function tokensOf({ tokens, inputTokens, outputTokens }: CostByUnit): number | undefined {
  if (tokens !== undefined) return tokens;
  if (inputTokens === undefined && outputTokens === undefined) return undefined;
  return (inputTokens ?? 0) + (outputTokens ?? 0);
}
