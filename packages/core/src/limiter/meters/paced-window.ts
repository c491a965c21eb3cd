import type { Meter } from './meter.js';
import { Pace } from './pace.js';
import { resolution, SlidingLog } from './sliding-log.js';

/**
 * A window limit whose charges are spaced: no more than `burst` at once, and never more than the limit in any window, which the
 * log sees to whatever is refunded. A burst of at most 1/64 of the limit is paced so slowly that the log never has to
 * stop anybody, which keeps the spaces even; it uses (1 - burst / limit) * 64/65 of the limit.
 */
export class PacedWindow implements Meter {
  readonly #pace: Pace;
  readonly #log: SlidingLog;
  readonly #limit: number;

  constructor(limit: number, windowMs: number, burst: number) {
    const isEven = burst <= limit * resolution;
    this.#limit = limit;
    this.#log = new SlidingLog(windowMs);
    this.#pace = new Pace(burst, isEven ? (windowMs * (1 + resolution)) / (limit - burst) : windowMs / limit);
  }

  waitMs(amount: number, limit: number, now: number): number {
    return Math.max(this.#log.waitMs(amount, limit, now), this.#pace.waitMs(amount, limit / this.#limit, now));
  }

  /** @param limit what was asked with: the lower, the longer until the pace lets the next one go */
  charge(amount: number, now: number, limit: number = this.#limit): void {
    this.#log.charge(amount, now);
    this.#pace.charge(amount, limit / this.#limit, now);
  }

  refund(amount: number, chargedAt: number, now: number): void {
    this.#pace.refund(this.#log.takeBack(amount, chargedAt, now));
  }

  used(now: number): number {
    return Math.max(this.#log.used(now), this.#pace.level(1, now));
  }

  resetMs(now: number, limit: number = this.#limit): number {
    return Math.max(this.#log.resetMs(now), this.#pace.resetMs(limit / this.#limit, now));
  }

  /** How much could be taken now. */
  left(limit: number, now: number): number {
    return Math.max(0, Math.min(limit - this.#log.used(now), this.#space(limit, now)));
  }

  /** The same as a part of the limit or of the burst, whichever is less. */
  shareLeft(limit: number, now: number): number {
    return Math.max(0, Math.min((limit - this.#log.used(now)) / limit, this.#space(limit, now) / this.#pace.burst));
  }

  #space(limit: number, now: number): number {
    return this.#pace.burst - this.#pace.level(limit / this.#limit, now);
  }
}
