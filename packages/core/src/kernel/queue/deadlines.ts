import type { Clock, Timer } from '../clock.js';
import { IndexedHeap, type Placed } from './indexed-heap.js';
import { slots } from './queued.js';

/** An instant and what a timer says of it may differ by what is lost in the sum of two numbers. */
export const roundingMs = 1e-6;

/** What is over at some instant. */
export interface Due extends Placed {
  /** Monotonic milliseconds. */
  readonly endsAt: number;
}

/** Instants at which something is over, on one timer; none where nothing is due. Adding and removing cost O(log n). */
export class Deadlines<T extends Due> {
  readonly #clock: Clock;
  readonly #onDue: (item: T) => void;
  readonly #heap: IndexedHeap<T>;
  #timer: Timer | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #isRinging = false;

  /**
   * @param onDue is told of each at its instant, when it is in here no more
   * @param slot which of an item's places is this one's
   */
  constructor(clock: Clock, onDue: (item: T) => void, slot: number = slots.deadline) {
    this.#heap = new IndexedHeap<T>((a, b) => a.endsAt < b.endsAt, slot);
    this.#clock = clock;
    this.#onDue = onDue;
  }

  /** To be called when it is not inside. */
  add(item: T): void {
    this.#heap.add(item);
    this.#arm();
  }

  /** To be called when its instant has changed. */
  update(item: T): void {
    this.#heap.update(item);
    this.#arm();
  }

  has(item: T): boolean {
    return this.#heap.has(item);
  }

  /** Nothing where it is not inside. */
  remove(item: T): void {
    this.#heap.remove(item);
    this.#arm();
  }

  #ring(): void {
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
    this.#isRinging = true;
    try {
      const now = this.#clock.now() + roundingMs;
      for (let item = this.#heap.first; item !== undefined && item.endsAt <= now; item = this.#heap.first) {
        this.#heap.remove(item);
        this.#onDue(item);
      }
    } finally {
      this.#isRinging = false;
      this.#arm();
    }
  }

  /** The timer is set anew only for what is due before it: one that rings for nobody does no harm. */
  #arm(): void {
    if (this.#isRinging) return;
    const at = this.#heap.first?.endsAt ?? Number.POSITIVE_INFINITY;
    if (this.#heap.size > 0 && at >= this.#timerAt) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timerAt = at;
    if (at === Number.POSITIVE_INFINITY) return;
    this.#timer = this.#clock.schedule(Math.max(0, at - this.#clock.now()), () => this.#ring());
  }
}
