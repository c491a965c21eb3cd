/** Of the smoothed gap between arrivals: a fifth of each new one. */
const gapShare = 0.2;
/** Of the smoothed time of a call and of its deviation: RFC 6298 §2, as for round trips. */
const timeShare = 1 / 8;
const deviationShare = 1 / 4;
const deviations = 4;

/**
 * How fast items come and how long calls take, smoothed, as far as waiting for more of them depends on it. Pure; O(1).
 */
export class Pace {
  #gapMs: number | undefined;
  #callMs: number | undefined;
  #deviationMs = 0;

  /** @param gapMs since the one before it, in the same group. Items of one instant are one arrival. */
  arrived(gapMs: number, windowMs: number): void {
    if (gapMs === 0) return;
    // A pause is a pause: how long it was does not say how soon others come once it is over.
    const counted = Math.min(gapMs, 4 * windowMs);
    this.#gapMs = this.#gapMs === undefined ? counted : this.#gapMs + gapShare * (counted - this.#gapMs);
  }

  took(callMs: number): void {
    if (this.#callMs === undefined) {
      this.#callMs = callMs;
      this.#deviationMs = callMs / 2;
      return;
    }
    this.#deviationMs += deviationShare * (Math.abs(callMs - this.#callMs) - this.#deviationMs);
    this.#callMs += timeShare * (callMs - this.#callMs);
  }

  /** What a call takes that is not unusually slow; 0 before the first. */
  get predictedMs(): number {
    return this.#callMs === undefined ? 0 : this.#callMs + deviations * this.#deviationMs;
  }

  /**
   * How long an item waits for others while no call is under way that it could wait for anyway: as long as a call takes, but
   * not at all unless others can be expected within that time. So waiting at most doubles what a caller sees, and only where
   * it saves calls.
   */
  idlePatienceMs(windowMs: number): number {
    if (this.#gapMs === undefined || this.#callMs === undefined) return 0;
    const patienceMs = Math.min(windowMs, this.#callMs);
    return this.#gapMs < patienceMs ? patienceMs : 0;
  }
}
