import type { Clock, Random } from '../../kernel/index.js';

const firstLookMs = 50;
const longestLookMs = 1_000;

/**
 * Wakes who waits for a change elsewhere. Changes may go by unheard, so another look is due all the same after a while that
 * grows, with jitter.
 */
export class Bell {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #unwatch: (() => void) | undefined;
  #isRung = false;
  #wake: (() => void) | undefined;

  /** @param watch calls when something has changed. @returns how to end it, where it calls at all */
  constructor(
    { clock, random }: { readonly clock: Clock; readonly random: Random },
    watch: (onChange: () => void) => (() => void) | undefined,
  ) {
    this.#clock = clock;
    this.#random = random;
    this.#unwatch = watch(() => {
      this.#isRung = true;
      this.#wake?.();
    });
  }

  /** What has changed up to now is about to be seen. */
  hush(): void {
    this.#isRung = false;
  }

  /** Resolves when something has changed since `hush`, when another look is due, or when the signal is aborted. */
  async wait(looks: number, signal?: AbortSignal): Promise<void> {
    if (this.#isRung || signal?.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const lookMs = Math.min(firstLookMs * 2 ** looks, longestLookMs) * (1 - this.#random() / 2);
    const timer = this.#clock.schedule(lookMs, resolve);
    this.#wake = resolve;
    const onAbort = (): void => resolve();
    signal?.addEventListener('abort', onAbort, { once: true });
    await promise;
    signal?.removeEventListener('abort', onAbort);
    timer.cancel();
    this.#wake = undefined;
  }

  /** Who waits goes on. */
  close(): void {
    this.#unwatch?.();
    this.#isRung = true;
    this.#wake?.();
  }
}
