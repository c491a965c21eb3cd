export type BreakerState = 'closed' | 'open' | 'half-open';

/** Opens after this many failures in a row, */
const failuresInARow = 5;
/** or after this many among the last so many calls, which is how a store that flaps shows. */
const failuresInWindow = 10;
const windowCalls = 20;
const firstPauseMs = 1_000;
const longestPauseMs = 30_000;

/**
 * Whether a store is worth asking. After failures it is left alone for a while, then one call is let through as a probe:
 * its success closes the breaker, its failure opens it for twice as long. The pause starts small again only after as many
 * good calls as the window holds. Pure state: the time comes in. All operations are O(1), the memory is fixed.
 */
export class Breaker {
  #state: BreakerState = 'closed';
  /** The last calls, one bit each, the newest lowest; 1 is a failure. */
  #window = 0;
  #inARow = 0;
  #successes = 0;
  #pauseMs = firstPauseMs;
  #openUntil = 0;

  get state(): BreakerState {
    return this.#state;
  }

  /** Whether the pause after its failures is not over yet. */
  isPausing(now: number): boolean {
    return this.pauseLeftMs(now) > 0;
  }

  /** How long the pause after its failures goes on; 0 without one. */
  pauseLeftMs(now: number): number {
    return this.#state === 'open' ? Math.max(0, this.#openUntil - now) : 0;
  }

  /**
   * Whether a call may be made now; `record` its outcome, whatever it is. After a pause the one that is let through is the
   * probe, and until it is recorded there is no other.
   */
  allows(now: number): boolean {
    if (this.#state === 'closed') return true;
    if (this.#state === 'half-open' || now < this.#openUntil) return false;
    this.#state = 'half-open';
    return true;
  }

  /** There is reason to think that it answers again: the next call is a probe. */
  endPause(): void {
    this.#openUntil = Number.NEGATIVE_INFINITY;
  }

  record(isGood: boolean, now: number): void {
    if (this.#state === 'open') return; // begun before it opened
    this.#window = ((this.#window << 1) | (isGood ? 0 : 1)) & (2 ** windowCalls - 1);
    if (isGood) this.#recordSuccess();
    else this.#recordFailure(now);
  }

  #recordSuccess(): void {
    this.#inARow = 0;
    if (++this.#successes >= windowCalls) this.#pauseMs = firstPauseMs;
    if (this.#state !== 'half-open') return;
    this.#state = 'closed';
    this.#window = 0;
    this.#successes = 0;
  }

  #recordFailure(now: number): void {
    this.#inARow++;
    this.#successes = 0;
    const isTripped = this.#inARow >= failuresInARow || bitsOf(this.#window) >= failuresInWindow;
    if (this.#state === 'closed' && !isTripped) return;
    this.#state = 'open';
    this.#openUntil = now + this.#pauseMs;
    this.#pauseMs = Math.min(this.#pauseMs * 2, longestPauseMs);
    this.#inARow = 0;
  }
}

function bitsOf(word: number): number {
  let bits = 0;
  for (let rest = word; rest !== 0; rest &= rest - 1) bits++;
  return bits;
}
