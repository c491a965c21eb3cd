import type { CalendarDimension } from '../dimensions.js';
import { type Calendar, calendarOf } from './calendar.js';
import type { Meter } from './meter.js';
import { fits } from './tolerance.js';

/**
 * So much in each period of a calendar. Its `now` is wall time, which may jump. Forwards, it gives one fresh quota at most. Back
 * into an earlier period, it gives none: what is used stays used, until the end of the period that was seen first; where that
 * is further away than one period, it was never true, and it is until the end of the present one. O(1).
 */
export class CalendarCount implements Meter {
  readonly #calendar: Calendar;
  #used = 0;
  #start = 0;
  #end = 0;

  constructor({ per, timeZone }: CalendarDimension) {
    this.#calendar = calendarOf(per, timeZone);
  }

  waitMs(amount: number, limit: number, now: number): number {
    if (fits(amount, this.used(now), limit)) return 0;
    return limit > 0 ? this.#end - now : Number.POSITIVE_INFINITY;
  }

  charge(amount: number, now: number): void {
    if (!(amount > 0)) return;
    this.#turn(now);
    this.#used += amount;
  }

  refund(amount: number, chargedAt: number, now: number): void {
    this.#turn(now);
    if (chargedAt < this.#start || chargedAt >= this.#end) return;
    const left = this.#used - amount;
    this.#used = left > this.#used * 1e-9 ? left : 0;
  }

  used(now: number): number {
    this.#turn(now);
    return this.#used;
  }

  /** How much could be taken now. */
  left(limit: number, now: number): number {
    return Math.max(0, limit - this.used(now));
  }

  resetMs(now: number): number {
    return this.used(now) === 0 ? 0 : this.#end - now;
  }

  /** To the period of this instant. */
  #turn(now: number): void {
    const isPast = now >= this.#end;
    if (!isPast && now >= this.#start - (this.#end - this.#start)) return;
    const { start, end } = this.#calendar.periodAt(now);
    this.#start = start;
    this.#end = end;
    if (isPast) this.#used = 0;
  }
}
