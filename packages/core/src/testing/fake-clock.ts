import type { Clock } from '../kernel/index.js';

/** A clock that moves only when told to, so that tests of time never sleep. */
export interface FakeClock extends Clock {
  /** Moves on by `ms`, running each timer at its own instant and all promise jobs between two timers. */
  advance(ms: number): Promise<void>;
  /** Lets promise jobs and I/O callbacks that are ready run, without moving. */
  settle(): Promise<void>;
  /** Steps the wall clock alone, as a time server does; negative goes back. */
  stepWall(ms: number): void;
  /** Timers that have neither run nor been cancelled. */
  readonly pending: number;
}

interface FakeTimer {
  readonly dueAt: number;
  readonly order: number;
  readonly run: () => void;
}

/** @param startWall what `wall()` says at first, in milliseconds since 1970 */
export function createFakeClock(startWall: number = Date.UTC(2026, 0, 1)): FakeClock {
  const timers = new Set<FakeTimer>();
  let now = 0;
  let wallOffset = startWall;
  let scheduled = 0;

  const next = (until: number): FakeTimer | undefined => {
    let first: FakeTimer | undefined;
    for (const timer of timers) {
      if (timer.dueAt > until) continue;
      if (!first || timer.dueAt < first.dueAt || (timer.dueAt === first.dueAt && timer.order < first.order))
        first = timer;
    }
    return first;
  };
  // Two turns of the event loop: the first lets I/O that is ready call back, the second what that has set off.
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
  };

  return {
    now: () => now,
    wall: () => wallOffset + now,
    schedule(delayMs, run) {
      const timer = { dueAt: now + Math.max(0, delayMs), order: scheduled++, run };
      timers.add(timer);
      return { cancel: () => timers.delete(timer) };
    },
    async advance(ms) {
      const until = now + ms;
      await settle();
      for (let timer = next(until); timer; timer = next(until)) {
        timers.delete(timer);
        now = timer.dueAt;
        timer.run();
        await settle();
      }
      now = until;
    },
    settle,
    stepWall(ms) {
      wallOffset += ms;
    },
    get pending() {
      return timers.size;
    },
  };
}
