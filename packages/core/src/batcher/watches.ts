import { AbortWatch, abortReason, type Clock, Deadlines, deadlineError } from '../kernel/index.js';
import { heapOf, type Load, type Watch } from './load.js';

/**
 * What ends the waiting of callers before they are answered: their signals, with one listener each however many wait with
 * it, and their deadlines, with one timer for all.
 */
export class Watches<Item, Result> {
  readonly #signals = new AbortWatch<Watch<Item, Result>>((watches, signal) => {
    const reason = abortReason(signal);
    for (const watch of watches) this.#end(watch, reason);
  });
  readonly #deadlines: Deadlines<Watch<Item, Result>>;
  readonly #onEnd: (load: Load<Item, Result>, watch: Watch<Item, Result>, reason: Error) => void;

  /**
   * @param what names a load in the errors of deadlines
   * @param onEnd is told of each load whose waiting has ended; nothing watches it any more
   */
  constructor(
    clock: Clock,
    what: string,
    onEnd: (load: Load<Item, Result>, watch: Watch<Item, Result>, reason: Error) => void,
  ) {
    const late = (watch: Watch<Item, Result>): void =>
      this.#end(watch, deadlineError(what, Math.max(0, watch.endsAt - watch.load.arrival.at)));
    this.#deadlines = new Deadlines(clock, late, heapOf.batcher);
    this.#onEnd = onEnd;
  }

  join(watch: Watch<Item, Result>): void {
    if (watch.signal) this.#signals.join(watch.signal, watch);
    if (watch.outerSignal) this.#signals.join(watch.outerSignal, watch);
    if (watch.endsAt < Number.POSITIVE_INFINITY) this.#deadlines.add(watch);
  }

  /** Nothing where it is not watched. */
  release(watch: Watch<Item, Result>): void {
    if (watch.signal) this.#signals.leave(watch.signal, watch);
    if (watch.outerSignal) this.#signals.leave(watch.outerSignal, watch);
    if (watch.endsAt < Number.POSITIVE_INFINITY) this.#deadlines.remove(watch);
  }

  #end(watch: Watch<Item, Result>, reason: Error): void {
    const { load } = watch;
    this.release(watch);
    if (load.isOver) return;
    load.isOver = true;
    this.#onEnd(load, watch, reason);
  }
}
