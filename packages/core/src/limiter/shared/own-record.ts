import { Account } from '../account.js';
import type { Amounts, Dimension, Verdict } from '../dimensions.js';
import type { StoreTake, StoreVerdict } from '../store.js';

/** An instant on both scales of the clock; that of the day is 0 where no calendar needs it. */
export interface Moment {
  readonly now: number;
  readonly wall: number;
}

/** What the store has charged. */
export interface StoreCharge {
  readonly at: number;
  readonly generation: string;
  /** When this process was told. */
  readonly moment: Moment;
}

/** What the store has said last, and when this process was told. */
export interface Told {
  readonly verdict: StoreVerdict;
  readonly limits: Amounts | undefined;
  readonly at: Moment;
}

/**
 * What this process has had of one account, as far as it still counts, and what it was told of the account. A store that has lost
 * the account gets it back from here: from each process what that one has had.
 */
export class OwnRecord {
  readonly #dimensions: readonly Dimension[];
  readonly #had: Account;
  #told: Told | undefined;

  constructor(dimensions: readonly Dimension[]) {
    this.#dimensions = dimensions;
    this.#had = new Account(dimensions);
  }

  get told(): Told | undefined {
    return this.#told;
  }

  /** An answer has come. One that was overtaken by a newer one is not news. */
  hear(verdict: StoreVerdict, limits: Amounts | undefined, at: Moment): void {
    const before = this.#told?.verdict;
    if (before && before.generation === verdict.generation && before.at > verdict.at) return;
    this.#told = { verdict, limits, at };
  }

  charge(amounts: Amounts, { now, wall }: Moment): void {
    this.#had.charge(amounts, now, wall);
  }

  refund(amounts: Amounts, charged: Moment, { now, wall }: Moment): void {
    this.#had.refund(amounts, charged.now, charged.wall, now, wall);
  }

  /** What goes with each question, for the case that the store has lost the account or its clock has jumped. */
  evidence({ now, wall }: Moment): Pick<StoreTake, 'own' | 'since'> {
    if (!this.#told) return {};
    const { verdict, at } = this.#told;
    const since = { at: verdict.at, agoMs: now - at.now };
    const amounts = rates(this.#dimensions, this.#had.used(now, wall));
    return amounts ? { own: { generation: verdict.generation, amounts }, since } : { since };
  }

  /**
   * What everybody had used when the store was heard last. Where a burst is limited, what is known of it: how full the bucket
   * was. Undefined where nothing is known.
   */
  known(): { readonly used: Amounts; readonly at: Moment } | undefined {
    if (!this.#told) return undefined;
    const { verdict, limits, at } = this.#told;
    const used = this.#dimensions.map((dimension, index) => {
      if (dimension.kind === 'concurrency') return 0;
      const limit = limits?.[index] ?? dimension.limit;
      const most = dimension.kind === 'window' ? Math.min(limit, dimension.burst ?? limit) : limit;
      return Math.max(0, most - (verdict.remaining[index] ?? 0));
    });
    return { used, at };
  }

  /** The same now: what has come back since, for sure, is not counted. */
  used(now: number): Amounts | undefined {
    const resetMs = this.#told?.verdict.resetMs;
    const known = this.known();
    return known?.used.map((used, index) => (known.at.now + (resetMs?.[index] ?? 0) > now ? used : 0));
  }

  /**
   * What the store would say, as far as is known. Where it has not said that the request has to wait, the wait is an
   * upper bound. @param inHand what was taken in advance
   */
  look(amounts: Amounts, inHand: Amounts | undefined, now: number): Verdict {
    const told = this.#told;
    const agoMs = told ? now - told.at.now : 0;
    const resetMs = this.#dimensions.map((_, index) => Math.max(0, (told?.verdict.resetMs[index] ?? 0) - agoMs));
    const remaining = this.#dimensions.map(({ limit }, index) => {
      const full = told?.limits?.[index] ?? limit;
      const left = told && resetMs[index] !== 0 ? (told.verdict.remaining[index] ?? 0) : full;
      return Math.min(full, left + (inHand?.[index] ?? 0));
    });
    const waitsMs = remaining.map((left, index) => {
      if ((amounts[index] ?? 0) <= left) return 0;
      const waitMs = (told?.verdict.waitsMs[index] ?? 0) - agoMs;
      return waitMs > 0 ? waitMs : (resetMs[index] ?? 0);
    });
    const waitMs = Math.max(...waitsMs);
    const shares = this.#dimensions.map(({ limit }, index) => (remaining[index] ?? 0) / limit);
    const binding = waitMs > 0 ? waitsMs.indexOf(waitMs) : shares.indexOf(Math.min(...shares));
    return { ok: waitMs === 0, binding, waitMs, remaining, resetMs, waitsMs };
  }
}

/** Without the places of concurrency, which are no rates; undefined where nothing is left. */
export function rates(dimensions: readonly Dimension[], amounts: Amounts): Amounts | undefined {
  const only = dimensions.map(({ kind }, index) => (kind === 'concurrency' ? 0 : (amounts[index] ?? 0)));
  return only.some((amount) => amount > 0) ? only : undefined;
}

/** The two halves of a correction: what comes back and what is owed, both from 0 up. */
export function halves(corrections: Amounts): {
  readonly back: Amounts | undefined;
  readonly owed: Amounts | undefined;
} {
  const back = corrections.some((each) => each < 0) ? corrections.map((each) => Math.max(0, -each)) : undefined;
  const owed = corrections.some((each) => each > 0) ? corrections.map((each) => Math.max(0, each)) : undefined;
  return { back, owed };
}
