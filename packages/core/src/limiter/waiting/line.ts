import type { Placed } from './indexed-heap.js';
import { PriorityClasses } from './priority-classes.js';
import type { Queued } from './queued.js';

/** What somebody else gives back is seen by looking: soon at first, then ever less often. */
const firstLookMs = 25;
const longestLookMs = 500;
/** Below that a wait could be lost in the rounding of an instant, and the same refusal be repeated for ever. */
const shortestWaitMs = 0.01;

interface Refusal {
  readonly waitMs: number;
  readonly isUpperBound?: boolean;
}

/** All that waits for one key, and when it is looked at again. */
export class Line<T extends Queued> implements Placed {
  readonly key: string;
  readonly places: number[] = [-1];
  readonly order: PriorityClasses<T>;
  /** Who was tried last and refused: it is tried again when its wait is over. */
  tried: T | undefined;
  /** One attempt at a time; what happens meanwhile is seen to when it ends. */
  isTrying = false;
  /** Something has come back while an attempt was under way, which may have been too early to see it. */
  isWoken = false;
  lookAt: number = Number.POSITIVE_INFINITY;
  #retryAt = Number.POSITIVE_INFINITY;
  #lookMs = firstLookMs;
  readonly #agingMs: number;

  constructor(key: string, agingMs: number) {
    this.key = key;
    this.order = new PriorityClasses<T>(agingMs);
    this.#agingMs = agingMs;
  }

  /** Notes a refusal, and when to ask again. */
  refuse(item: T, { waitMs, isUpperBound }: Refusal, now: number): void {
    if (this.tried !== item) this.#lookMs = firstLookMs;
    this.tried = item;
    let retryMs = waitMs;
    if (isUpperBound) {
      retryMs = Math.min(waitMs, this.#lookMs);
      this.#lookMs = Math.min(2 * this.#lookMs, longestLookMs);
    }
    this.#retryAt = now + Math.max(this.isWoken ? 0 : retryMs, shortestWaitMs);
    this.isWoken = false;
    this.lookLater(now);
  }

  /**
   * Sets when to look again: at the retry, and before it as long as another one may rise above who was tried. That can only be
   * one that was here before it was refused, so nobody who comes later changes this.
   */
  lookLater(now: number): void {
    const mayBeOvertaken = this.order.size > 1 && (this.tried?.priority ?? 0) > 0;
    this.lookAt = mayBeOvertaken ? Math.min(this.#retryAt, now + Math.max(this.#agingMs, 1)) : this.#retryAt;
  }

  /** Whether there is something to try now: the wait is over, or it is another one's turn. */
  isReady(now: number): boolean {
    return now >= this.#retryAt || this.order.next(now) !== this.tried;
  }
}
