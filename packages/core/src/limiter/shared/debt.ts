import { Account } from '../account.js';
import type { Amounts, Dimension } from '../dimensions.js';
import { halves, type Moment, rates } from './own-record.js';

/** What is told to the store in one piece, and whether it has been. */
export class DebtBatch {
  readonly #account: Account;
  readonly #dimensions: readonly Dimension[];
  /** It can still change: nothing of it is on its way. */
  isOpen = true;
  /** When and where the store has charged it. */
  told: { readonly at: number; readonly generation: string; readonly moment: Moment } | undefined;

  constructor(dimensions: readonly Dimension[]) {
    this.#dimensions = dimensions;
    this.#account = new Account(dimensions);
  }

  /** What of it still counts: an outage that lasts for hours owes no more than its last windows. */
  owed({ now, wall }: Moment): Amounts | undefined {
    return rates(this.#dimensions, this.#account.used(now, wall));
  }

  charge(amounts: Amounts, { now, wall }: Moment): void {
    this.#account.charge(amounts, now, wall);
  }

  correct(corrections: Amounts, charged: Moment, moment: Moment): void {
    const { back, owed } = halves(corrections);
    if (back) this.#account.refund(back, charged.now, charged.wall, moment.now, moment.wall);
    if (owed) this.charge(owed, moment);
  }
}

/** What this process has allowed by itself, or has used beyond a reservation, and the store does not know. */
export class Debt {
  readonly #dimensions: readonly Dimension[];
  #open: DebtBatch | undefined;

  constructor(dimensions: readonly Dimension[]) {
    this.#dimensions = dimensions;
  }

  add(amounts: Amounts, moment: Moment): DebtBatch {
    this.#open ??= new DebtBatch(this.#dimensions);
    this.#open.charge(amounts, moment);
    return this.#open;
  }

  owed(moment: Moment): Amounts | undefined {
    const batch = this.#open;
    const owed = batch?.owed(moment);
    if (batch && !owed) {
      batch.isOpen = false; // what is still to come of it begins another
      this.#open = undefined;
    }
    return owed;
  }

  /** Takes it out, to be told; then either `told` of the batch is set or it comes back. */
  send(moment: Moment): { readonly batch: DebtBatch; readonly amounts: Amounts } | undefined {
    const amounts = this.owed(moment);
    const batch = this.#open;
    if (!amounts || !batch) return undefined;
    batch.isOpen = false;
    this.#open = undefined;
    return { batch, amounts };
  }

  /**
   * Nobody knows whether the store has charged it: it is told again. At worst it counts twice, for a window, which
   * refuses too much; the other way some of the quota would be spent twice.
   */
  restore(batch: DebtBatch, moment: Moment): void {
    const amounts = batch.owed(moment);
    if (!amounts) return;
    if (this.#open) {
      this.#open.charge(amounts, moment);
      return;
    }
    batch.isOpen = true;
    this.#open = batch;
  }
}
