import { badOption, type Clock, type Duration, durationMs, rule } from '../kernel/index.js';
import type { Cost, CostByUnit, Lease, LeaseEnd } from './contract.js';
import type { CostPlan } from './cost.js';
import type { Charge, Desk, DeskAnswer } from './desk.js';
import type { Amounts } from './dimensions.js';

export interface LeaseOptions {
  readonly where: string;
  readonly costs: CostPlan;
  readonly desk: Pick<Desk<DeskAnswer>, 'settle' | 'extend'>;
  readonly clock: Clock;
  readonly charge: Charge;
  readonly amounts: Amounts;
  /** What the amounts were made of. */
  readonly cost: CostByUnit;
  /** @param answered the output tokens, where they were said */
  readonly onSettled: (actual: CostByUnit, end: LeaseEnd, answered: number | undefined) => void;
}

/** A reservation that is under way. It has no timer: that it has expired shows when it is asked. */
export class OpenLease implements Lease {
  readonly reserved: CostByUnit;
  readonly #options: LeaseOptions;
  #isSettled = false;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.reserved = options.costs.byUnit(options.amounts);
  }

  get leftMs(): number {
    if (this.#isSettled) return 0;
    return Math.max(0, this.#options.charge.expiresAt - this.#options.clock.now());
  }

  settle(actual?: Cost, end: LeaseEnd = 'complete'): void {
    const { costs, desk, charge, amounts, cost, onSettled } = this.#options;
    const named = actual === undefined ? {} : costs.actualOf(actual, cost);
    const corrections = costs.corrections(amounts, named);
    if (this.leftMs === 0) return;
    this.#isSettled = true;
    desk.settle(charge, corrections);
    const charged = costs.byUnit(amounts.map((amount, index) => amount + (corrections[index] ?? 0)));
    onSettled({ ...charged, ...named }, end, typeof actual === 'object' ? actual.outputTokens : undefined);
  }

  extend(ttl: Duration): void {
    const { where, desk, charge } = this.#options;
    if (!rule.positiveDuration.allows(ttl)) throw badOption(where, 'ttl', rule.positiveDuration.text, ttl);
    if (this.leftMs > 0) desk.extend(charge, durationMs(ttl));
  }

  [Symbol.dispose](): void {
    this.settle();
  }
}
