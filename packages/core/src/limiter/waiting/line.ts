import { type Placed, PriorityClasses, type Queued } from '../../kernel/index.js';

/** What somebody else gives back is seen by looking: soon at first, then ever less often. */
const firstLookMs = 25;
const longestLookMs = 500;
/** Below that a wait could be lost in the rounding of an instant, and the same refusal be repeated for ever. */
const shortestWaitMs = 0.01;

interface Refusal {
  readonly waitMs: number;
  readonly isUpperBound?: boolean;
}

/** All that waits for one key, and when it is tried again. */
export class Line<T extends Queued> implements Placed {
  readonly key: string;
  readonly places: number[] = [-1];
  readonly order: PriorityClasses<T>;
  /** Who was tried last and refused: until another one is next, it need not be asked before its wait is over. */
  tried: T | undefined;
  /** One attempt at a time; what happens meanwhile is seen to when it ends. */
  isTrying = false;
  /** Something has come back while an attempt was under way, which may have been too early to see it. */
  isWoken = false;
  /** When to ask again. Infinity: when it is woken. */
  retryAt: number = Number.POSITIVE_INFINITY;
  #lookMs = firstLookMs;

  constructor(key: string, agingMs: number) {
    this.key = key;
    this.order = new PriorityClasses<T>(agingMs);
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
    this.retryAt = now + Math.max(this.isWoken ? 0 : retryMs, shortestWaitMs);
  }
}
