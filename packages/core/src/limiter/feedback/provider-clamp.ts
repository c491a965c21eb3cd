import type { Amounts, Dimension } from '../dimensions.js';
import type { ProviderDimension, ProviderLimits } from './provider-limits.js';

export interface Heard {
  readonly now: number;
  /** When the request was sent that this answers. Default: now. */
  readonly sentAt?: number;
  /** The request was refused for its rate (429, 529): only then does Retry-After mean us. */
  readonly isRateLimited: boolean;
}

/** What a provider says is left of one dimension. */
interface Left {
  remaining: number;
  /** What comes back before the end. */
  readonly perMs: number;
  readonly since: number;
  readonly until: number;
  /** What was sent before this knows no better. */
  readonly sentAt: number;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** At most: a day may have an hour more, when clocks change. */
const periodMs = { hour: hourMs, day: 25 * hourMs, week: 7 * dayMs + hourMs, month: 31 * dayMs + hourMs };

/** Where nothing is left and nobody says until when, one call is tried this often. */
const longestGuessMs = 60_000;
/** Whole seconds are what dates are made of, so a reset may seem that much longer than its window. */
const roundingMs = 2_000;

/**
 * What the answers of one provider say about our own dimensions: how much is left, until when, and how long it wants to be
 * left alone. It holds back, it never lets more through than the limits do. A wait is never longer than the provider said, nor
 * than the window, ours or the provider's, whose quota it is: its clock may be wrong. Fixed memory; O(1) to ask; instants
 * are the caller's, in milliseconds.
 */
export class ProviderClamp {
  /** By unit, the shortest window first. */
  readonly #windows: ReadonlyMap<string, readonly Window[]>;
  readonly #longestPauseMs: number;
  readonly #left: (Left | undefined)[];
  #pausedAt = 0;
  #pausedUntil = Number.NEGATIVE_INFINITY;

  constructor(dimensions: readonly Dimension[]) {
    const windows = dimensions.flatMap(toWindow).sort((left, right) => left.windowMs - right.windowMs);
    this.#windows = Map.groupBy(windows, ({ unit }) => unit);
    this.#longestPauseMs = Math.max(hourMs, windows.at(-1)?.windowMs ?? 0);
    this.#left = dimensions.map(() => undefined);
  }

  /**
   * Takes in what an answer says. After a refusal the dimensions of which nothing is left by its account are blocked, for the
   * longer of their reset and Retry-After; where it names none of ours, everything is.
   */
  learn(limits: ProviderLimits, { now, sentAt = now, isRateLimited }: Heard): void {
    const found = new Map<number, Left>();
    let pauseMs = 0;
    let isBlamed = false;
    for (const dimension of limits.dimensions) {
      const window = this.#windowOf(dimension);
      const isOut = isRateLimited && isExhausted(dimension);
      if (!window && isOut) pauseMs = Math.max(pauseMs, dimension.resetMs ?? 0);
      if (!window) continue;
      isBlamed ||= isOut;
      const left = isOut
        ? refused(dimension, limits.retryAfterMs, window, now)
        : standing(dimension, window, now, Math.min(sentAt, now));
      const other = found.get(window.index);
      if (left && (!other || isTighter(left, other))) found.set(window.index, left);
    }
    for (const [index, left] of found) if (!this.#knowsBetter(index, left)) this.#left[index] = left;
    if (isRateLimited && !isBlamed) pauseMs = Math.max(pauseMs, limits.retryAfterMs ?? 0);
    if (pauseMs > 0) this.#pause(Math.min(pauseMs, this.#longestPauseMs), now);
  }

  /** Milliseconds until a request that takes so much of the dimension may be sent: 0 now. */
  blockedMs(index: number, amount: number, now: number): number {
    const pauseMs = this.#pausedUntil - Math.max(now, this.#pausedAt);
    const left = this.#left[index];
    return Math.max(0, pauseMs, left && amount > 0 ? missingMs(left, amount, now) : 0);
  }

  /** Something was taken of our dimensions, so the provider has less left than it said. */
  onTake(amounts: Amounts): void {
    amounts.forEach((amount, index) => {
      const left = this.#left[index];
      if (left && amount > 0) left.remaining -= amount;
    });
  }

  #pause(ms: number, now: number): void {
    if (now + ms <= this.#pausedUntil) return;
    this.#pausedAt = now;
    this.#pausedUntil = now + ms;
  }

  /** Answers overtake one another: one to an earlier request says nothing new while a later one holds. */
  #knowsBetter(index: number, { sentAt, since }: Left): boolean {
    const known = this.#left[index];
    return known !== undefined && known.until > since && known.sentAt > sentAt;
  }

  /**
   * Ours that is meant: of its unit the one with the nearest window, or, where it names none, the shortest that can take so
   * long to reset.
   */
  #windowOf({ unit, windowMs, resetMs = 0 }: ProviderDimension): Window | undefined {
    const windows = this.#windows.get(unit);
    if (windowMs === undefined) {
      return windows?.find((window) => resetMs <= window.windowMs + roundingMs) ?? windows?.at(-1);
    }
    const distance = (window: Window): number => Math.abs(Math.log(window.windowMs / windowMs));
    return windows?.reduce((best, window) => (distance(window) < distance(best) ? window : best));
  }
}

interface Window {
  readonly index: number;
  readonly unit: string;
  readonly windowMs: number;
}

/** Places for concurrent calls come back when calls end, not at an instant: they are left out. */
function toWindow(dimension: Dimension, index: number): Window[] {
  if (dimension.kind === 'concurrency') return [];
  const windowMs = dimension.kind === 'window' ? dimension.windowMs : periodMs[dimension.per];
  return [{ index, unit: dimension.unit, windowMs }];
}

/** Some providers name but the one that is exhausted, with nothing but its reset. */
function isExhausted({ limit, remaining, resetMs = 0 }: ProviderDimension): boolean {
  return remaining === undefined ? limit === undefined && resetMs > 0 : remaining < 1;
}

function standing(dimension: ProviderDimension, window: Window, now: number, sentAt: number): Left | undefined {
  const { remaining, limit = Number.POSITIVE_INFINITY, isRefilling = false } = dimension;
  if (remaining === undefined || remaining >= limit) return undefined; // what is above its limit need not wait for more
  const resetMs = boundedReset(dimension, window);
  const perMs = isRefilling && resetMs > 0 && Number.isFinite(limit) ? (limit - remaining) / resetMs : 0;
  return { remaining, perMs, since: now, until: now + resetMs, sentAt };
}

/** Only requests that are sent after this was heard can tell that it is over. */
function refused(dimension: ProviderDimension, retryAfterMs: number | undefined, window: Window, now: number): Left {
  const resetMs = boundedReset(dimension, window);
  const afterMs = Math.min(retryAfterMs ?? 0, longestOf(dimension, window));
  const isKnown = dimension.isRefilling && retryAfterMs !== undefined; // full again is later than enough again
  const until = now + (isKnown ? afterMs : Math.max(resetMs, afterMs));
  return { remaining: 0, perMs: 0, since: now, until, sentAt: now };
}

function boundedReset(dimension: ProviderDimension, window: Window): number {
  const longestMs = longestOf(dimension, window);
  return Math.min(dimension.resetMs ?? longestGuessMs, longestMs);
}

function longestOf({ windowMs = 0 }: ProviderDimension, window: Window): number {
  return Math.max(window.windowMs, windowMs);
}

function isTighter(left: Left, other: Left): boolean {
  return left.remaining === other.remaining ? left.until > other.until : left.remaining < other.remaining;
}

function missingMs({ remaining, perMs, since, until }: Left, amount: number, now: number): number {
  const at = Math.max(now, since);
  const missing = amount - remaining - perMs * (at - since);
  if (missing <= 0) return 0;
  return perMs > 0 ? Math.min(until - at, missing / perMs) : until - at;
}
