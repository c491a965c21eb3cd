import type { Clock } from '../src/kernel/index.js';

interface Due {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
  isCancelled: boolean;
}

/**
 * Virtual time for simulations of many processes: like the fake clock, with a heap of timers and one turn of the event loop
 * for each instant, so that a simulated second costs little.
 */
export class SimulatedClock implements Clock {
  readonly #heap: Due[] = [];
  #now = 0;
  #scheduled = 0;

  now(): number {
    return this.#now;
  }

  /** Timers that have neither run nor been cancelled. */
  get pending(): number {
    return this.#heap.filter(({ isCancelled }) => !isCancelled).length;
  }

  wall(): number {
    return Date.UTC(2026, 0, 1) + this.#now;
  }

  schedule(delayMs: number, run: () => void): { cancel(): void } {
    const due: Due = { at: this.#now + Math.max(0, delayMs), order: this.#scheduled++, run, isCancelled: false };
    this.#push(due);
    return {
      cancel: () => {
        due.isCancelled = true;
      },
    };
  }

  async runUntil(at: number): Promise<void> {
    await jobs();
    for (let first = this.#heap[0]; first && first.at <= at; first = this.#heap[0]) {
      this.#now = first.at;
      while (this.#heap[0] && this.#heap[0].at === this.#now) {
        const due = this.#pop();
        if (due && !due.isCancelled) due.run();
      }
      await jobs();
    }
    this.#now = at;
  }

  #push(due: Due): void {
    let index = this.#heap.push(due) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = this.#heap[parent];
      if (!above || isBefore(above, due)) break;
      this.#heap[index] = above;
      index = parent;
    }
    this.#heap[index] = due;
  }

  #pop(): Due | undefined {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    if (!first || !last || first === last) return first;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      const [left, right] = [this.#heap[child], this.#heap[child + 1]];
      if (!left) break;
      if (right && isBefore(right, left)) child++;
      const smaller = this.#heap[child];
      if (!smaller || isBefore(last, smaller)) break;
      this.#heap[index] = smaller;
      index = child;
    }
    this.#heap[index] = last;
    return first;
  }
}

function isBefore(one: Due, other: Due): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}

/** Lets all promise jobs run. */
function jobs(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
