import { fits, waitUntil } from './tolerance.js';

/**
 * The generic cell rate algorithm (ITU-T I.371) in its form as a leaky bucket: what is charged drains evenly, and no more than
 * `burst` may be in the bucket. So any stretch of time takes at most `burst` and what drains during it. The state is the
 * level and its instant rather than a theoretical arrival time, so that a change of the rate makes no burst. O(1).
 */
export class Pace {
  readonly burst: number;
  /** Milliseconds in which one unit drains at the full rate. */
  readonly #unitMs: number;
  #level = 0;
  /** When the level was so. */
  #at: number = Number.NEGATIVE_INFINITY;

  constructor(burst: number, unitMs: number) {
    this.burst = burst;
    this.#unitMs = unitMs;
  }

  /** @param rate the part of the full rate at which it drains, since the last charge as well */
  waitMs(amount: number, rate: number, now: number): number {
    if (fits(amount, this.level(rate, now), this.burst)) return 0;
    if (!(rate > 0)) return Number.POSITIVE_INFINITY;
    const excess = amount > this.burst ? this.#level : this.#level + amount - this.burst;
    let waitMs = waitUntil(this.#at + (excess * this.#unitMs) / rate, now);
    // The level is rounded as well, and what is foretold must hold, to the last bit.
    let step = Math.max(1, now + waitMs) * Number.EPSILON;
    for (; !fits(amount, this.level(rate, now + waitMs), this.burst); step *= 2) waitMs += step;
    return waitMs;
  }

  charge(amount: number, rate: number, now: number): void {
    if (!(amount > 0)) return;
    this.#level = this.level(rate, now) + amount;
    this.#at = now;
  }

  /** To nothing at most. What others did meanwhile is as it was, so as much as came back may go at once beside the burst. */
  refund(amount: number): void {
    this.#level = Math.max(0, this.#level - amount);
  }

  level(rate: number, now: number): number {
    if (this.#level === 0) return 0;
    return Math.max(0, this.#level - ((now - this.#at) * rate) / this.#unitMs);
  }

  resetMs(rate: number, now: number): number {
    if (this.level(rate, now) === 0) return 0;
    return rate > 0 ? waitUntil(this.#at + (this.#level * this.#unitMs) / rate, now) : Number.POSITIVE_INFINITY;
  }
}
