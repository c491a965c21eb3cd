import { AbortWatch, abortReason, type Clock, deadlineError, IndexedHeap, type Timer } from '../kernel/index.js';
import { heapOf, type Load, type Watch } from './load.js';

/** An instant and what a timer says of it may differ by what is lost in the sum of two numbers. */
export const roundingMs = 1e-6;

/**
 * What ends the waiting of callers before they are answered: their signals, with one listener each however many wait with
 * it, and their deadlines, with one timer for all.
 */
export class Watches<Item, Result> {
  readonly #signals = new AbortWatch<Watch<Item, Result>>((watches, signal) => {
    for (const watch of watches) this.#end(watch, abortReason(signal));
  });
  readonly #deadlines = new IndexedHeap<Watch<Item, Result>>((a, b) => a.deadline < b.deadline, heapOf.batcher);
  readonly #clock: Clock;
  readonly #what: string;
  readonly #onEnd: (load: Load<Item, Result>, watch: Watch<Item, Result>, reason: Error) => void;
  #timer: Timer | undefined;
  #timerAt = Number.POSITIVE_INFINITY;

  /** @param onEnd is told of each load whose waiting has ended; nothing watches it any more */
  constructor(
    clock: Clock,
    what: string,
    onEnd: (load: Load<Item, Result>, watch: Watch<Item, Result>, reason: Error) => void,
  ) {
    this.#clock = clock;
    this.#what = what;
    this.#onEnd = onEnd;
  }

  join(watch: Watch<Item, Result>): void {
    if (watch.signal) this.#signals.join(watch.signal, watch);
    if (watch.outerSignal) this.#signals.join(watch.outerSignal, watch);
    if (watch.deadline === Number.POSITIVE_INFINITY) return;
    this.#deadlines.add(watch);
    if (watch.deadline < this.#timerAt) this.#arm(watch.deadline);
  }

  /** Nothing where it is not watched. */
  release(watch: Watch<Item, Result>): void {
    if (watch.signal) this.#signals.leave(watch.signal, watch);
    if (watch.outerSignal) this.#signals.leave(watch.outerSignal, watch);
    if (watch.deadline === Number.POSITIVE_INFINITY) return;
    this.#deadlines.remove(watch);
    // A timer that rings for one who has gone is set anew then; one that nobody needs goes at once.
    if (this.#deadlines.size === 0) this.#disarm();
  }

  #end(watch: Watch<Item, Result>, reason: Error): void {
    const { load } = watch;
    this.release(watch);
    if (load.isOver) return;
    load.isOver = true;
    this.#onEnd(load, watch, reason);
  }

  #arm(at: number): void {
    this.#timer?.cancel();
    this.#timerAt = at;
    this.#timer = this.#clock.schedule(Math.max(0, at - this.#clock.now()), () => this.#ring());
  }

  #disarm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
  }

  #ring(): void {
    this.#disarm();
    const now = this.#clock.now() + roundingMs;
    for (let first = this.#deadlines.first; first !== undefined; first = this.#deadlines.first) {
      if (first.deadline > now) {
        this.#arm(first.deadline);
        return;
      }
      this.#end(first, deadlineError(this.#what, Math.max(0, first.deadline - first.load.arrival.at)));
    }
  }
}
