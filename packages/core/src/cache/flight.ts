import { untilAborted } from '../kernel/index.js';

export type Voided = 'invalidated' | 'abandoned';

/**
 * One computation that any number of callers wait for. A caller's signal detaches that caller alone; when the last one
 * has left, the computation's own signal is aborted.
 */
export class Flight<T> {
  /** Why the outcome is not kept: its key was invalidated meanwhile, or the last caller left. Those who wait get it still. */
  voided: Voided | undefined;
  readonly #controller = new AbortController();
  readonly #outcome: Promise<T>;
  readonly #onOver: () => void;
  #waiting = 0;

  /** @param onOver the flight has landed, or the last caller left before it did: newcomers need one of their own */
  constructor(compute: (signal: AbortSignal, isVoid: () => Voided | undefined) => Promise<T>, onOver: () => void) {
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
        this.voided ??= 'abandoned'; // it may land yet, cut short by its signal, after its key was invalidated
        this.#onOver();
        this.#controller.abort(signal.reason);
      }
    }
  }
}
