import type { Amounts } from '../dimensions.js';
import type { StoreCharge } from './own-record.js';

/** What was taken in advance at one time, as far as it was not known to be spent when the next was taken. */
export interface PrefetchedPart {
  readonly charge: StoreCharge;
  readonly amounts: number[];
}

/** Parts that are nearly spent are joined to the next: what is left of a dimension that nobody uses must not make a list. */
const mostParts = 4;

/**
 * Quota of one account that the store has charged and this process has not spent yet. Spending is a comparison and a subtraction
 * for each dimension; out of which part it came is worked out later, the oldest first.
 */
export class Prefetched {
  /** By dimension, all that is in hand. */
  readonly left: number[];
  /** Below this it is time to ask for more. */
  readonly low: number[];
  /** On its way from the store. */
  readonly coming: number[];
  /** Somebody has taken of it since that was last looked at, and how often it was looked at in vain. */
  isUsed = true;
  idleLooks = 0;
  /** Whether what is on its way has come. */
  pending: Promise<boolean> | undefined;
  #parts: PrefetchedPart[] = [];

  constructor(dimensions: number) {
    this.left = new Array<number>(dimensions).fill(0);
    this.low = new Array<number>(dimensions).fill(0);
    this.coming = new Array<number>(dimensions).fill(0);
  }

  /** All or nothing. */
  take(amounts: Amounts): boolean {
    const { left } = this;
    for (let index = 0; index < left.length; index++) {
      if ((amounts[index] as number) > (left[index] as number)) return false;
    }
    for (let index = 0; index < left.length; index++) {
      left[index] = (left[index] as number) - (amounts[index] as number);
    }
    this.isUsed = true;
    return true;
  }

  isLow(amounts: Amounts): boolean {
    const { left, low } = this;
    for (let index = 0; index < left.length; index++) {
      if ((amounts[index] as number) > 0 && (left[index] as number) < (low[index] as number)) return true;
    }
    return false;
  }

  /** Where a charge that is made now comes from, as far as that can be told: the oldest part, which leaves its window first. */
  get oldest(): PrefetchedPart | undefined {
    return this.#parts[0];
  }

  add(charge: StoreCharge, amounts: Amounts): void {
    this.#spend();
    this.#parts.push({ charge, amounts: [...amounts] });
    for (const [index, amount] of amounts.entries()) this.left[index] = (this.left[index] ?? 0) + amount;
    const [first, second] = this.#parts;
    if (this.#parts.length <= mostParts || !first || !second) return;
    this.#parts.splice(1, 1);
    for (const [index, amount] of second.amounts.entries()) first.amounts[index] = (first.amounts[index] ?? 0) + amount;
  }

  /** What was taken and not used. @returns false when that part is gone */
  putBack(part: PrefetchedPart, amounts: Amounts): boolean {
    if (!this.#parts.includes(part)) return false;
    this.#spend();
    if (!this.#parts.includes(part)) this.#parts.unshift(part);
    for (const [index, amount] of amounts.entries()) {
      part.amounts[index] = (part.amounts[index] ?? 0) + amount;
      this.left[index] = (this.left[index] ?? 0) + amount;
    }
    return true;
  }

  /** All that is in hand, by part; nothing is left. */
  empty(): readonly PrefetchedPart[] {
    this.#spend();
    this.left.fill(0);
    return this.#parts.splice(0);
  }

  /** Works out which parts have been spent, and forgets those that are gone altogether. */
  #spend(): void {
    for (let index = 0; index < this.left.length; index++) {
      let spent = -(this.left[index] ?? 0);
      for (const { amounts } of this.#parts) spent += amounts[index] ?? 0;
      for (const { amounts } of this.#parts) {
        const amount = amounts[index] ?? 0;
        const part = Math.min(amount, Math.max(0, spent));
        amounts[index] = amount - part;
        spent -= part;
      }
    }
    this.#parts = this.#parts.filter(({ amounts }) => amounts.some((amount) => amount > 0));
  }
}
