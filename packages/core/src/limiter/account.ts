import { AccountVerdict } from './account-verdict.js';
import type { Amounts, Dimension } from './dimensions.js';
import { CalendarCount } from './meters/calendar-count.js';
import { Holds } from './meters/holds.js';
import { PacedWindow } from './meters/paced-window.js';
import { SlidingLog } from './meters/sliding-log.js';

type RateMeter = SlidingLog | PacedWindow | CalendarCount;

export interface TakeOptions {
  /** What each dimension holds at this moment, by index. Default: the limits. */
  readonly limits?: Amounts;
  /** Charges a refusal as well, but for places: the verdict tells the wait that this makes. */
  readonly penalise?: boolean;
  /** Takes a place in the dimensions of concurrency until it is released or this instant, on the scale of `now`, has come. */
  readonly lease?: { readonly id: string; readonly expiresAt: number };
}

/**
 * What one key has used of all dimensions. Everything happens at instants that the caller gives, in milliseconds: `now`
 * never goes back; `wall` is the time of day, which may jump, and which calendars alone look at. Amounts are numbers from 0
 * up, one for each dimension. All or nothing: a refusal leaves no trace.
 */
export class Account {
  readonly #dimensions: readonly Dimension[];
  /** By dimension; undefined for concurrency. */
  readonly #meters: readonly (RateMeter | undefined)[];
  /** The meter of an account that has but one dimension, and that one a window: the way that most requests go. */
  readonly #only: SlidingLog | undefined;
  /** For all dimensions of concurrency. */
  readonly #holds: Holds | undefined;

  constructor(dimensions: readonly Dimension[]) {
    this.#dimensions = dimensions;
    this.#meters = dimensions.map(meterOf);
    const [first] = this.#meters;
    this.#only = dimensions.length === 1 && first instanceof SlidingLog ? first : undefined;
    this.#holds = this.#meters.includes(undefined) ? new Holds() : undefined;
  }

  /** What fits of one window. @returns what is left then; -1 where it does not fit or there is more than one dimension */
  takeOne(amount: number, limit: number, now: number): number {
    return this.#only === undefined ? -1 : this.#only.take(amount, limit, now);
  }

  take(amounts: Amounts, now: number, wall: number, options?: TakeOptions): AccountVerdict {
    const only = this.#only;
    if (only !== undefined && options === undefined) {
      const amount = amounts[0] as number;
      const { limit } = this.#dimensions[0] as Dimension;
      const waitMs = only.waitMs(amount, limit, now);
      if (waitMs === 0) only.charge(amount, now);
      return AccountVerdict.ofOne(waitMs, only.left(limit, now), only.resetMs(now));
    }
    return this.#take(amounts, now, wall, options);
  }

  /** What one would be told, charging nothing. Places are not asked for. */
  look(amounts: Amounts, now: number, wall: number, limits?: Amounts): AccountVerdict {
    return this.#verdict(this.#waitsMs(amounts, now, wall, limits, false), now, wall, limits);
  }

  /** In any case, above the limits if need be: later callers wait. @param limits as what was taken was asked with */
  charge(amounts: Amounts, now: number, wall: number, limits?: Amounts): void {
    for (let index = 0; index < this.#meters.length; index++) {
      const meter = this.#meters[index];
      if (meter === undefined) continue;
      const amount = amounts[index] as number;
      if (meter instanceof CalendarCount) meter.charge(amount, wall);
      else meter.charge(amount, now, this.#limit(index, limits));
    }
  }

  /**
   * Gives back part of what was charged at that instant, as if it had never been taken; nothing of what counts no more. Not
   * more than was charged: the rest would be somebody else's.
   */
  refund(amounts: Amounts, chargedAt: number, chargedWall: number, now: number, wall: number): void {
    for (let index = 0; index < this.#meters.length; index++) {
      const meter = this.#meters[index];
      if (meter instanceof CalendarCount) meter.refund(amounts[index] as number, chargedWall, wall);
      else meter?.refund(amounts[index] as number, chargedAt, now);
    }
  }

  /** @returns false when it holds no place any more, or never did */
  release(leaseId: string): boolean {
    return this.#holds?.release(leaseId) ?? false;
  }

  /** @returns false when it holds no place any more, or never did */
  extend(leaseId: string, expiresAt: number, now: number): boolean {
    return this.#holds?.extend(leaseId, expiresAt, now) ?? false;
  }

  /** By dimension, what counts now; of concurrency how many places are held. */
  used(now: number, wall: number): number[] {
    return this.#dimensions.map((_, index) => this.#usedOf(index, now, wall));
  }

  /** Whether nothing is used, so that a new account would be the same. */
  isIdle(now: number, wall: number): boolean {
    for (let index = 0; index < this.#meters.length; index++) if (this.#usedOf(index, now, wall) > 0) return false;
    return true;
  }

  /** Whether somebody has a place. */
  isHeld(now: number): boolean {
    return this.#holds !== undefined && this.#holds.count(now) > 0;
  }

  #take(amounts: Amounts, now: number, wall: number, options?: TakeOptions): AccountVerdict {
    const limits = options?.limits;
    const lease = options?.lease;
    let waitsMs = this.#waitsMs(amounts, now, wall, limits, lease !== undefined);
    if (waitsMs === undefined) {
      this.charge(amounts, now, wall, limits);
      if (lease !== undefined) this.#holds?.add(lease.id, lease.expiresAt);
    } else if (options?.penalise) {
      this.charge(amounts, now, wall, limits);
      waitsMs = this.#waitsMs(amounts, now, wall, limits, lease !== undefined);
    }
    return this.#verdict(waitsMs, now, wall, limits);
  }

  /** By dimension; undefined where all fit. */
  #waitsMs(
    amounts: Amounts,
    now: number,
    wall: number,
    limits: Amounts | undefined,
    needsPlace: boolean,
  ): number[] | undefined {
    const meters = this.#meters;
    let waitsMs: number[] | undefined;
    for (let index = 0; index < meters.length; index++) {
      const meter = meters[index];
      const limit = this.#limit(index, limits);
      const waitMs =
        meter === undefined
          ? needsPlace
            ? (this.#holds as Holds).waitMs(limit, now)
            : 0
          : meter.waitMs(amounts[index] as number, limit, meter instanceof CalendarCount ? wall : now);
      if (waitMs > 0) {
        waitsMs ??= new Array<number>(meters.length).fill(0);
        waitsMs[index] = waitMs;
      }
    }
    return waitsMs;
  }

  #verdict(waitsMs: number[] | undefined, now: number, wall: number, limits: Amounts | undefined): AccountVerdict {
    const remaining: number[] = [];
    const resetMs: number[] = [];
    let binding = 0;
    let least = Number.POSITIVE_INFINITY;
    for (let index = 0; index < this.#meters.length; index++) {
      const meter = this.#meters[index];
      const limit = this.#limit(index, limits);
      const at = meter instanceof CalendarCount ? wall : now;
      remaining.push(meter === undefined ? this.#places(limit, now) : meter.left(limit, at));
      resetMs.push(meter === undefined ? (this.#holds as Holds).resetMs(now) : meter.resetMs(at, limit));
      const rank =
        waitsMs !== undefined
          ? -(waitsMs[index] as number)
          : meter instanceof PacedWindow
            ? meter.shareLeft(limit, now)
            : (remaining[index] as number) / limit;
      if (rank < least) {
        least = rank;
        binding = index;
      }
    }
    return AccountVerdict.ofAll(binding, { remaining, resetMs, waitsMs });
  }

  #places(limit: number, now: number): number {
    return Math.max(0, limit - (this.#holds as Holds).count(now));
  }

  #limit(index: number, limits: Amounts | undefined): number {
    return limits?.[index] ?? (this.#dimensions[index] as Dimension).limit;
  }

  #usedOf(index: number, now: number, wall: number): number {
    const meter = this.#meters[index];
    if (meter === undefined) return (this.#holds as Holds).count(now);
    return meter.used(meter instanceof CalendarCount ? wall : now);
  }
}

function meterOf(dimension: Dimension): RateMeter | undefined {
  if (dimension.kind === 'concurrency') return undefined;
  if (dimension.kind === 'calendar') return new CalendarCount(dimension);
  const { limit, windowMs, burst } = dimension;
  return burst === undefined || burst >= limit ? new SlidingLog(windowMs) : new PacedWindow(limit, windowMs, burst);
}
