/**
 * Marks that hold for the rest of one turn: one callback of the event loop and all promise jobs that follow from it. What
 * another process has done in the meantime cannot have been heard of before the turn ends, so once a turn is often enough to
 * ask about it.
 */
export class Turn {
  #isMarked = false;
  // Ticks run when the callback and its promise jobs are over, before the loop takes the next one.
  readonly #end = (): void => {
    this.#isMarked = false;
  };

  /** True for the first call of each turn. */
  isFirst(): boolean {
    if (this.#isMarked) return false;
    this.#isMarked = true;
    process.nextTick(this.#end);
    return true;
  }
}
