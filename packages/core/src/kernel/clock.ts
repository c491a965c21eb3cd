/** Where all time comes from. Tests pass a fake one, so nothing outside this file may ask the runtime for the time. */
export interface Clock {
  /** Monotonic milliseconds from an arbitrary start: for deadlines, ages and measurements. */
  now(): number;
  /** Milliseconds since 1970, which may jump: only for what people or other machines read. */
  wall(): number;
  /**
   * Runs `run` once, `delayMs` from now at the earliest: what is due then is really due. Any length of delay is kept.
   * A `background` timer (housekeeping) does not keep the process alive; any other does, since somebody waits for it.
   */
  schedule(delayMs: number, run: () => void, options?: { background?: boolean }): Timer;
}

export interface Timer {
  /** Idempotent, and harmless after the timer has run. */
  cancel(): void;
}

/** The runtime's timers fire at once when the delay does not fit 31 bits, so longer ones go in legs of this size. */
const longestLegMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  schedule(delayMs, run, { background = false } = {}) {
    const dueAt = performance.now() + delayMs;
    let handle: NodeJS.Timeout;
    // The runtime cuts fractions off delays and counts from the start of its turn, so its timers may ring up to a
    // millisecond early: one that does is set again for the rest, as is one that has only come to the end of a leg.
    const ring = (): void => (performance.now() < dueAt ? arm() : run());
    const arm = (): void => {
      const leftMs = Math.ceil(dueAt - performance.now());
      handle = setTimeout(ring, Math.min(Math.max(leftMs, 1), longestLegMs));
      if (background) handle.unref();
    };
    arm();
    return { cancel: () => clearTimeout(handle) };
  },
};

/** Shared by so many, the 50 ns that a reading of the system's clock takes, and its timer, come to half a nanosecond each. */
const readsOfOne = 256;

/**
 * Readings of `clock.now()` at a nanosecond or two, for decisions that may come a moment late, such as whether an entry has
 * expired. Of the system clock one reading serves a turn of the event loop, as `uv_now` does in libuv: it is taken anew
 * once timers have run for 1 ms, and after 256 reads. So it is behind by up to 2 ms, or, where a turn blocks, until timers
 * run again: code that reads, computes for a second and reads again before then does not see the second pass, for at most
 * 256 reads. It never runs ahead of `now()`, and never backwards. Nothing is scheduled while nobody reads, and nothing
 * keeps the process alive. Any other clock is read anew each time, since it may move by itself, as those of tests do.
 */
export function coarseNow(clock: Clock): () => number {
  if (clock !== systemClock) return () => clock.now();
  let reading = 0;
  let readsLeft = 0;
  let timer: NodeJS.Timeout | undefined;
  const forget = (): void => {
    readsLeft = 0;
  };
  const readAnew = (): number => {
    reading = systemClock.now();
    readsLeft = readsOfOne - 1;
    timer = timer?.refresh() ?? setTimeout(forget, 1).unref();
    return reading;
  };
  return () => (readsLeft-- > 0 ? reading : readAnew());
}
