import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createFakeClock } from '../testing/index.js';
import { coarseNow, systemClock } from './index.js';

const dayMs = 86_400_000;

describe('systemClock', () => {
  beforeEach(() => void vi.useFakeTimers({ now: Date.UTC(2026, 0, 1) }));
  afterEach(() => void vi.useRealTimers());

  it('measures on a scale that a change of the wall clock does not move', () => {
    const before = systemClock.now();
    vi.setSystemTime(Date.UTC(2020, 0, 1));
    expect(systemClock.wall()).toBe(Date.UTC(2020, 0, 1));
    expect(systemClock.now()).toBe(before);
    vi.advanceTimersByTime(1_500);
    expect(systemClock.now() - before).toBe(1_500);
  });

  it.each([
    ['a moment', 1],
    ['the longest delay of the runtime', 2 ** 31 - 1],
    ['one more than that', 2 ** 31],
    ['sixty days', 60 * dayMs],
    ['a year', 365 * dayMs],
  ])('runs once after %s, not a millisecond before', (_, delayMs) => {
    const run = vi.fn();
    systemClock.schedule(delayMs, run);
    vi.advanceTimersByTime(delayMs - 1);
    expect(run).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(run).toHaveBeenCalledOnce();
    vi.advanceTimersByTime(400 * dayMs);
    expect(run).toHaveBeenCalledOnce();
    expect(vi.getTimerCount()).toBe(0);
  });

  it.each([0, -5])('runs in a later turn after %d ms, never at once', (delayMs) => {
    const run = vi.fn();
    systemClock.schedule(delayMs, run);
    expect(run).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(run).toHaveBeenCalledOnce();
  });

  it('never runs after Infinity', () => {
    const run = vi.fn();
    const timer = systemClock.schedule(Number.POSITIVE_INFINITY, run);
    vi.advanceTimersByTime(1_000 * dayMs);
    expect(run).not.toHaveBeenCalled();
    timer.cancel();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('cancels in any leg of a long delay, more than once, and after it has run', () => {
    const run = vi.fn();
    const timer = systemClock.schedule(60 * dayMs, run);
    vi.advanceTimersByTime(30 * dayMs);
    timer.cancel();
    timer.cancel();
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(60 * dayMs);
    expect(run).not.toHaveBeenCalled();

    const done = systemClock.schedule(5, run);
    vi.advanceTimersByTime(5);
    done.cancel();
    expect(run).toHaveBeenCalledOnce();
  });

  it('keeps the process alive for a wait, and not for housekeeping, in every leg', () => {
    const unref = vi.fn();
    const real = globalThis.setTimeout;
    type Schedule = typeof real;
    const spy = vi.spyOn(globalThis, 'setTimeout').mockImplementation(((run: () => void, delayMs: number) => {
      const handle = real(run, delayMs);
      handle.unref = unref.mockReturnValue(handle);
      return handle;
    }) as Schedule);
    systemClock.schedule(60 * dayMs, () => {}, { background: true });
    vi.advanceTimersByTime(60 * dayMs);
    expect(spy).toHaveBeenCalledTimes(3);
    expect(unref).toHaveBeenCalledTimes(3);
    systemClock.schedule(60 * dayMs, () => {});
    vi.advanceTimersByTime(60 * dayMs);
    expect(unref).toHaveBeenCalledTimes(3);
    spy.mockRestore();
  });
});

describe('systemClock on the real timers', () => {
  it('never runs early, although the runtime cuts fractions off delays', async () => {
    for (const delayMs of [0.3, 0.9, 1.5, 1.9, 2.7, 3.99, 4.5, 5.25]) {
      const start = systemClock.now();
      await new Promise<void>((resolve) => systemClock.schedule(delayMs, resolve));
      expect(systemClock.now() - start).toBeGreaterThanOrEqual(delayMs);
    }
  });
});

describe('coarseNow of the system clock', () => {
  beforeEach(() => void vi.useFakeTimers({ now: Date.UTC(2026, 0, 1) }));
  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  it('is taken anew when timers have run for a millisecond', () => {
    const read = coarseNow(systemClock);
    for (let turn = 0; turn < 5; turn++) {
      expect(read()).toBe(systemClock.now());
      vi.advanceTimersByTime(1);
    }
    vi.advanceTimersByTime(dayMs);
    expect(read()).toBe(systemClock.now());
  });

  it('is behind in a turn that blocks, for 256 reads and no more', () => {
    const now = vi.spyOn(systemClock, 'now').mockReturnValue(1_000);
    const read = coarseNow(systemClock);
    expect(read()).toBe(1_000);
    now.mockReturnValue(6_000);
    for (let count = 2; count <= 256; count++) expect(read()).toBe(1_000);
    expect(read()).toBe(6_000);
    expect(now).toHaveBeenCalledTimes(2);
  });

  it('never runs backwards nor ahead, however reads and timers fall', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ reads: fc.nat(600), passedMs: fc.constantFrom(0, 1, 1, 2, 50) }), { maxLength: 20 }),
        (steps) => {
          const read = coarseNow(systemClock);
          let last = Number.NEGATIVE_INFINITY;
          let inOrder = true;
          for (const { reads, passedMs } of steps) {
            for (let count = 0; count < reads; count++) {
              const reading = read();
              inOrder &&= reading >= last && reading <= systemClock.now();
              last = reading;
            }
            vi.advanceTimersByTime(passedMs);
          }
          expect(inOrder).toBe(true);
        },
      ),
    );
  });

  it('schedules nothing before the first read and nothing after the last, and never two timers', () => {
    const read = coarseNow(systemClock);
    expect(vi.getTimerCount()).toBe(0);
    for (let count = 0; count < 5_000; count++) read();
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(1);
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(dayMs);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('coarseNow on the real timers', () => {
  it('keeps no process alive, the first time and every other', async () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;
    const read = coarseNow(systemClock);
    for (let round = 0; round < 3; round++) {
      const before = timers();
      read();
      expect(timers()).toBe(before);
      await new Promise<void>((resolve) => systemClock.schedule(3, resolve));
      expect(systemClock.now() - read()).toBeLessThan(1);
    }
  });
});

describe('coarseNow of any other clock', () => {
  it('is exact after every move, and leaves no timer', async () => {
    const moves = fc.array(fc.oneof(fc.nat(5), fc.double({ min: 0, max: 3, noNaN: true })), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(moves, async (steps) => {
        const clock = createFakeClock();
        const read = coarseNow(clock);
        expect(read()).toBe(clock.now());
        for (const step of steps) {
          await clock.advance(step);
          expect(read()).toBe(clock.now());
        }
        expect(clock.pending).toBe(0);
      }),
    );
  });
});
