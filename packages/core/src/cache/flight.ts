import { untilAborted } from '../kernel/index.js';

/**
 * One computation that any number of callers wait for. A caller's signal detaches that caller alone; when the last one
 * has left, the computation's own signal is aborted.
 */
export class Flight<T> {
  /** Set by an invalidation: the outcome still goes to those who wait for it, but is not kept. */
  voided = false;
  readonly #controller = new AbortController();
  readonly #outcome: Promise<T>;
  readonly #onOver: () => void;
  #waiting = 0;

  /** @param onOver the flight has landed, or the last caller left before it did: newcomers need one of their own */
  constructor(compute: (signal: AbortSignal, isVoid: () => boolean) => Promise<T>, onOver: () => void) {
    this.#onOver = onOver;
    this.#outcome = compute(this.#controller.signal, () => this.voided);
    this.#outcome.then(onOver, onOver); // a failure reaches each caller through join()
  }

  async join(signal: AbortSignal | undefined): Promise<T> {
    this.#waiting++;
    try {
      return await untilAborted(this.#outcome, signal);
    } finally {
      this.#waiting--;
      if (this.#waiting === 0 && signal?.aborted) {
        this.#onOver();
        this.#controller.abort(signal.reason);
      }
    }
  }
}
