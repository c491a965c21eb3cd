import type { Clock, Timer } from '../../kernel/index.js';

/** How long somebody may do nothing before they count as gone. */
export const longestIdleMs: number = 5 * 60_000;

/** Calls once when nothing has happened for five minutes. One timer looks again rather than one for each happening. */
export class IdleWatch {
  readonly #clock: Clock;
  readonly #now: () => number;
  readonly #onIdle: () => void;
  #since: number;
  #timer: Timer;
  /** Somebody else's turn: it cannot become idle. */
  isBusy = false;

  /** @param now may be behind the clock, but not ahead */
  constructor(clock: Clock, now: () => number, onIdle: () => void) {
    this.#clock = clock;
    this.#now = now;
    this.#onIdle = onIdle;
    this.#since = now();
    this.#timer = this.#lookIn(longestIdleMs);
  }

  /** Something happens. */
  touch(): void {
    this.#since = this.#now();
  }

  cancel(): void {
    this.#timer.cancel();
  }

  #lookIn(delayMs: number): Timer {
    return this.#clock.schedule(delayMs, () => this.#look(), { background: true });
  }

  #look(): void {
    const idleMs = this.isBusy ? 0 : this.#clock.now() - this.#since;
    if (idleMs >= longestIdleMs) this.#onIdle();
    else this.#timer = this.#lookIn(longestIdleMs - idleMs);
  }
}
