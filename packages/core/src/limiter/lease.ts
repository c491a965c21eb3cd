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
  readonly onSettled: (actual: CostByUnit, end: LeaseEnd) => void;
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
    const { costs, desk, charge, amounts, onSettled } = this.#options;
    const corrections = actual === undefined ? amounts.map(() => 0) : costs.corrections(amounts, actual);
    if (this.leftMs === 0) return;
    this.#isSettled = true;
    desk.settle(charge, corrections);
    onSettled(typeof actual === 'object' ? { ...this.reserved, ...actual } : this.reserved, end);
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
