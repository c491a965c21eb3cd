import type { OutcomeWindow, SavedWindow } from './window.js';

export const bucketCount = 10;

/**
 * The calls of the last while, in tenths of it: a ring of counters. The tenth under way counts and the nine before it, so it looks
 * back over nine tenths of its length at least. Buckets are emptied when somebody comes after their time.
 */
export class TimeWindow implements OutcomeWindow {
  calls = 0;
  failures = 0;
  slow = 0;
  readonly #bucketMs: number;
  readonly #calls = new Float64Array(bucketCount);
  readonly #failed = new Float64Array(bucketCount);
  readonly #slow = new Float64Array(bucketCount);
  /** The number of the newest bucket, counted from the start of the clock. */
  #newest = Number.NEGATIVE_INFINITY;

  constructor(lengthMs: number) {
    this.#bucketMs = lengthMs / bucketCount;
  }

  add(isFailure: boolean, isSlow: boolean, now: number): void {
    this.age(now);
    this.#addTo(this.#newest, 1, isFailure ? 1 : 0, isSlow ? 1 : 0);
  }

  age(now: number): void {
    const number = Math.floor(now / this.#bucketMs);
    if (number <= this.#newest) return;
    if (number - this.#newest >= bucketCount) this.clear();
    else for (let old = this.#newest + 1; old <= number; old++) this.#empty(slotOf(old));
    this.#newest = number;
  }

  clear(): void {
    this.calls = 0;
    this.failures = 0;
    this.slow = 0;
    this.#calls.fill(0);
    this.#failed.fill(0);
    this.#slow.fill(0);
  }

  save(now: number): SavedWindow {
    this.age(now);
    const buckets: [number, number, number][] = [];
    for (let age = 0; age < bucketCount; age++) {
      const slot = slotOf(this.#newest - age);
      buckets.push([this.#calls[slot] ?? 0, this.#failed[slot] ?? 0, this.#slow[slot] ?? 0]);
    }
    return { bucketMs: this.#bucketMs, intoMs: Math.max(0, now - this.#newest * this.#bucketMs), buckets };
  }

  restore(saved: SavedWindow, elapsedMs: number, now: number): void {
    this.clear();
    this.age(now);
    if (!('buckets' in saved) || saved.bucketMs !== this.#bucketMs) return;
    const passed = Math.floor((saved.intoMs + elapsedMs) / this.#bucketMs);
    saved.buckets.slice(0, Math.max(0, bucketCount - passed)).forEach(([calls, failures, slow], age) => {
      this.#addTo(this.#newest - passed - age, calls, failures, slow);
    });
  }

  #addTo(number: number, calls: number, failures: number, slow: number): void {
    const slot = slotOf(number);
    this.#calls[slot] = (this.#calls[slot] ?? 0) + calls;
    this.#failed[slot] = (this.#failed[slot] ?? 0) + failures;
    this.#slow[slot] = (this.#slow[slot] ?? 0) + slow;
    this.calls += calls;
    this.failures += failures;
    this.slow += slow;
  }

  #empty(slot: number): void {
    this.calls -= this.#calls[slot] ?? 0;
    this.failures -= this.#failed[slot] ?? 0;
    this.slow -= this.#slow[slot] ?? 0;
    this.#calls[slot] = 0;
    this.#failed[slot] = 0;
    this.#slow[slot] = 0;
  }
}

/** Numbers before the start of the clock are negative. */
function slotOf(number: number): number {
  return ((number % bucketCount) + bucketCount) % bucketCount;
}
