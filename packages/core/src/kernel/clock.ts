/** Where all time comes from. Tests pass a fake one, so nothing outside this file may ask the runtime for the time. */
export interface Clock {
  /** Monotonic milliseconds from an arbitrary start: for deadlines, ages and measurements. */
  now(): number;
  /** Milliseconds since 1970, which may jump: only for what people or other machines read. */
  wall(): number;
  /**
   * Runs `run` once, `delayMs` from now; a delay of any length is kept exactly.
   * A `background` timer (housekeeping) does not keep the process alive; any other does, since somebody waits for it.
   */
  schedule(delayMs: number, run: () => void, options?: { background?: boolean }): Timer;
}

export interface Timer {
  /** Idempotent, and harmless after the timer has run. */
  cancel(): void;
}

/** The runtime's timers fire at once when the delay does not fit 32 bits, so longer ones go in legs of this size. */
const longestLegMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  schedule(delayMs, run, { background = false } = {}) {
    const dueAt = performance.now() + delayMs;
    let handle: NodeJS.Timeout;
    const arm = (leftMs: number): void => {
      const last = leftMs <= longestLegMs;
      const next = last ? run : () => arm(dueAt - performance.now());
      handle = setTimeout(next, last ? leftMs : longestLegMs);
      if (background) handle.unref();
    };
    arm(delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
};
