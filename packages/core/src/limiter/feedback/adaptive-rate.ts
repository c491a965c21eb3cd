import { type Duration, durationMs } from '../../kernel/index.js';

export interface AdaptiveRateOptions {
  /** The least that is left of the limits, as a part of them. Default 0.05. */
  readonly floor?: number;
  /** How long it takes to make one halving good while the limiter is what holds calls back. Default 1 min. */
  readonly recover?: Duration;
}

export interface RateChange {
  /** When, on the clock of the caller. */
  readonly at: number;
  readonly from: number;
  readonly to: number;
  /** `success` sums up all growth since the last cut. */
  readonly why: 'rate-limited' | 'success';
}

/** A pause without a success counts as growing time up to this part of `recover`: nobody has tried the rate meanwhile. */
const longestStepPart = 0.1;

/**
 * Which part of the limits is used, as a provider's answers suggest: additive increase, multiplicative decrease (Chiu and Jain
 * 1989). A rate-limit error halves it, once for each burst of them: errors of calls that were sent before the last cut tell
 * nothing new, as in TCP NewReno's recovery (RFC 6582). The configured limits are the cap. O(1), fixed memory; instants are
 * the caller's, in milliseconds.
 */
export class AdaptiveRate {
  readonly #floor: number;
  readonly #growthPerMs: number;
  readonly #longestStepMs: number;
  #factor = 1;
  #lastCutAt = Number.NEGATIVE_INFINITY;
  /** Until when growth is credited. */
  #creditedTo = Number.NEGATIVE_INFINITY;
  #lastChange: RateChange | undefined;

  constructor({ floor = 0.05, recover = 60_000 }: AdaptiveRateOptions = {}) {
    const recoverMs = durationMs(recover);
    this.#floor = floor;
    this.#growthPerMs = 0.5 / recoverMs;
    this.#longestStepMs = recoverMs * longestStepPart;
  }

  /** From `floor` to 1. */
  get factor(): number {
    return this.#factor;
  }

  get lastChange(): RateChange | undefined {
    return this.#lastChange;
  }

  /**
   * A call was refused for its rate (429, 529).
   * @param sentAt when it was sent
   * @returns whether the rate was cut: not for a call sent before the last cut, and not below the floor
   */
  onRateLimited(sentAt: number, now: number): boolean {
    if (!Number.isFinite(now)) return false;
    this.#followBack(now);
    if (this.#isBeforeCut(sentAt)) return false;
    this.#lastCutAt = now;
    this.#creditedTo = now;
    return this.#change(Math.max(this.#floor, this.#factor / 2), now, 'rate-limited');
  }

  /**
   * A call has succeeded.
   * @param isBusy whether the limiter holds calls back: a rate that nobody uses up is not shown to be safe
   */
  onSuccess(sentAt: number, now: number, isBusy: boolean): void {
    if (!Number.isFinite(now)) return;
    this.#followBack(now);
    if (this.#isBeforeCut(sentAt)) return;
    const stepMs = Math.min(now - this.#creditedTo, this.#longestStepMs);
    this.#creditedTo = now;
    if (isBusy) this.#change(Math.min(1, this.#factor + stepMs * this.#growthPerMs), now, 'success');
  }

  /** Of an instant that is no number nothing is known, so it counts as new. */
  #isBeforeCut(sentAt: number): boolean {
    return sentAt <= this.#lastCutAt;
  }

  /** Should the clock go back after all, what lies ahead of it counts as now: else no error would be new for that long. */
  #followBack(now: number): void {
    this.#lastCutAt = Math.min(this.#lastCutAt, now);
    this.#creditedTo = Math.min(this.#creditedTo, now);
  }

  #change(to: number, at: number, why: RateChange['why']): boolean {
    if (to === this.#factor) return false;
    const last = this.#lastChange;
    const from = why === 'success' && last?.why === 'success' ? last.from : this.#factor;
    this.#lastChange = { at, from, to, why };
    this.#factor = to;
    return true;
  }
}
